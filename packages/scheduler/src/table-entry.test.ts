import { expect, test } from 'vitest';
import { ORIGIN_TABLE } from '../test/fake-site.ts';
import { MAX_WEIGHT, parseTable } from './table-entry.ts';

test('an address written twice has twice the weight', () => {
  expect(parseTable(ORIGIN_TABLE)).toEqual([
    { name: '10.0.0.1', weight: 1 },
    { name: '10.0.0.2', weight: 1 },
    { name: '10.0.0.3', weight: 2 },
    { name: '10.0.0.4', weight: 2 },
    { name: '10.0.0.5', weight: 2 },
  ]);
});

test('weights of repeated entries are added, texts and objects may be mixed', () => {
  expect(parseTable(['a', { name: 'b', weight: 3 }, { name: 'a' }, { name: 'b', weight: 0.5 }])).toEqual([
    { name: 'a', weight: 2 },
    { name: 'b', weight: 3.5 },
  ]);
});

test.each([
  ['an empty table', [], /names no relay/],
  ['an empty text', ' , ', /names no relay/],
  ['an empty name', ['a', ' '], /entry 2 of the table has no name/],
  ['weight 0', [{ name: 'a', weight: 0 }], /weight of a is 0/],
  ['a negative weight', [{ name: 'a', weight: -1 }], /weight of a is -1/],
  ['NaN', [{ name: 'a', weight: Number.NaN }], /weight of a is NaN/],
  ['too much', [{ name: 'a', weight: MAX_WEIGHT + 1 }], /up to 1000/],
])('%s is refused', (_what, table, message) => {
  expect(() => parseTable(table)).toThrow(message);
});
