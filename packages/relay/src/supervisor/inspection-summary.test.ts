import { expect, test } from 'vitest';
import { InspectionSummary, type Told } from './inspection-summary.ts';

const scanner = (address: string, why = '') => ({ address, up: why === '', why });
const told = (...scanners: Told['scanners']): Told => ({
  verdicts: { clean: 4, infected: 3, unscannable: 2, uninspected: 1 },
  scanners,
});

test('what the workers have done is added up, also of those that are no more', () => {
  const summary = new InspectionSummary();
  const worker = told(scanner('a'), scanner('b'));
  for (let n = 0; n < 10; n += 1) summary.add(worker);
  expect(summary.report([worker])).toEqual({ clean: 40, infected: 30, unscannable: 20, uninspected: 10, scanners: 2, scannersUp: 2 });
});

test('a scanner is up if every worker can use it', () => {
  const summary = new InspectionSummary();
  const fine = told(scanner('a'), scanner('b'));
  expect(summary.report([fine, fine])).toMatchObject({ scanners: 2, scannersUp: 2 });
  const report = summary.report([fine, told(scanner('a'), scanner('b', `refused\n${'x'.repeat(300)}`)), undefined]);
  expect(report).toMatchObject({ scanners: 2, scannersUp: 1, why: expect.stringMatching(/^b: refused\\u000ax+$/u) });
  expect(Buffer.byteLength(report?.why ?? '')).toBe(255);
  const late = told(scanner('a'), scanner('b', 'late'));
  expect(summary.report([late, late])).toMatchObject({ scanners: 2, scannersUp: 1, why: 'b: late' });
  const none = summary.report([told(scanner('a', 'late'), scanner('b')), told(scanner('a'), scanner('b', 'full'))]);
  expect(none).toMatchObject({ scanners: 2, scannersUp: 0, why: 'a: late' });
});

test('nothing is said before a worker has, and while all are replaced the last word counts', () => {
  const summary = new InspectionSummary();
  expect(summary.report([])).toBeUndefined();
  expect(summary.report([undefined])).toBeUndefined();
  summary.report([told(scanner('a', 'late'))]);
  summary.add(told());
  expect(summary.report([])).toMatchObject({ clean: 4, scanners: 1, scannersUp: 0, why: 'a: late' });
});
