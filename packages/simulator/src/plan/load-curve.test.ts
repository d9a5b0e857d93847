import { expect, test } from 'vitest';
import { FLAT_HOURS, LoadCurve, OFFICE_HOURS } from './load-curve.ts';

const HOUR_MS = 3_600_000;

test.each([
  ['office', OFFICE_HOURS],
  ['flat', FLAT_HOURS],
])('the sessions of a day are those that were asked for (%s)', (_, hours) => {
  const curve = new LoadCurve({ hours, sessionsPerDay: 120 });
  let sum = 0;
  for (let atMs = 30_000; atMs < 24 * HOUR_MS; atMs += 60_000) sum += curve.ratePerMs(atMs) * 60_000;
  expect(sum).toBeCloseTo(120, 6);
});

test('straight lines between the hours, the same every day, also the day before', () => {
  const curve = new LoadCurve({ hours: OFFICE_HOURS.map((_, hour) => (hour === 9 ? 3 : 1)), sessionsPerDay: 26 });
  const perHour = (hour: number): number => curve.ratePerMs(hour * HOUR_MS) * HOUR_MS;
  expect([8, 8.5, 9, 9.25, 10, 33, -15].map((hour) => perHour(hour).toFixed(3))).toEqual(['1.000', '2.000', '3.000', '2.500', '1.000', '3.000', '3.000']);
  expect(curve.busiestMs).toBe(9 * HOUR_MS);
  expect(new LoadCurve({ hours: FLAT_HOURS.map(() => 0), sessionsPerDay: 5 }).ratePerMs(0)).toBe(0);
});
