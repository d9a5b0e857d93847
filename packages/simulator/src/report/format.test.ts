import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { formatValue, formatX } from './format.ts';

test.each([
  [0, '0'],
  [1234567.8, '1,234,568'],
  [999.96, '1,000'],
  [40.6237, '40.62'],
  [-0.00123456, '-0.001235'],
])('a value: %d is %s', (value, text) => {
  expect(formatValue(value)).toBe(text);
});

test.each([
  ['elapsed', 0, '0 s'],
  ['elapsed', 0.25, '0.25 s'],
  ['elapsed', 5400, '1 h 30 min'],
  ['elapsed', 3605, '1 h 5 s'],
  ['elapsed', 59.9999, '1 min'],
  ['elapsed', -60, '-1 min'],
  ['timeOfDay', 0, '00:00'],
  ['timeOfDay', 36_061, '10:01:01'],
  ['timeOfDay', 86_400, '24:00'],
  ['timeOfDay', 90_000, '01:00 +1 d'],
  ['timeOfDay', 172_800, '00:00 +2 d'],
  ['number', 1_000_000, '1,000,000'],
] as const)('a place: %s %d is %s', (kind, x, text) => {
  expect(formatX(kind, x)).toBe(text);
});

test('both are whole by themselves: a page has nothing but their source', () => {
  expect(runInNewContext(`(${formatValue.toString()})(1234.5)`)).toBe('1,235');
  expect(runInNewContext(`(${formatX.toString()})('timeOfDay', 90000)`)).toBe('01:00 +1 d');
});
