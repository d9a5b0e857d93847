import { expect, test } from 'vitest';
import { isBreached, parseRange } from './range.ts';

/** The table of the guidelines for plugins: what each range alarms on, and what not. */
const TABLE: readonly [range: string, alarms: readonly number[], not: readonly number[]][] = [
  ['10', [-1, 10.5], [0, 10]],
  ['10:', [9, -5], [10, 1e9]],
  ['~:10', [11], [10, -1e9]],
  ['10:20', [9, 21], [10, 20]],
  ['@10:20', [10, 15, 20], [9, 21]],
  ['-5:5.5', [-6, 5.6], [-5, 0, 5.5]],
  ['@0', [0], [1, -1]],
  [':3', [4, -1], [0, 3]],
];

test.each(TABLE)('%s', (text, alarms, not) => {
  const range = parseRange(text);
  expect(range.text).toBe(text);
  expect([...alarms, ...not].filter((value) => isBreached(range, value))).toEqual(alarms);
});

test.each(['', ':', '@', 'x', '1 ', '5:2', '1:2:3', '~', '--1', '1e3', 'NaN'])('%j is no range', (text) => {
  expect(() => parseRange(text)).toThrow(/threshold/u);
});
