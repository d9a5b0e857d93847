import { expect, test } from 'vitest';
import { inRandomOrder } from './random-order.ts';
import { seeded } from './testing/virtual-mesh.ts';

test('every order comes equally often', () => {
  const random = seeded(7);
  const counts = new Map<string, number>();
  for (let i = 0; i < 24_000; i += 1) {
    const order = [...inRandomOrder(['a', 'b', 'c', 'd'], random)].join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(24);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('nothing is drawn that is not asked for', () => {
  let draws = 0;
  const order = inRandomOrder(Array.from({ length: 1000 }, (_, i) => i), () => (draws += 1) / 2000);
  order.next();
  order.next();
  expect(draws).toBe(2);
  expect([...inRandomOrder([], () => 0)]).toEqual([]);
});
