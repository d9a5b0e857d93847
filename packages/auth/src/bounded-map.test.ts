import { expect, test } from 'vitest';
import { BoundedMap } from './bounded-map.ts';

test('it forgets what was used longest ago, and never holds more', () => {
  const map = new BoundedMap<number, string>({ maxEntries: 3 });
  for (const key of [1, 2, 3]) map.set(key, String(key));
  expect(map.get(1)).toBe('1');
  map.set(4, '4');
  expect([1, 2, 3, 4].map((key) => map.get(key))).toEqual(['1', undefined, '3', '4']);
  for (let key = 10; key < 1000; key += 1) map.set(key, 'x');
  expect(map.size).toBe(3);
  map.delete(999);
  expect([map.size, map.get(999)]).toEqual([2, undefined]);
});
