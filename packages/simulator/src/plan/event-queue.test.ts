import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.ts';

test('events come in the order of their times, and of asking when the times are the same', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 }), (times) => {
      const queue = new EventQueue({ startMs: 0 });
      const seen: { at: number; index: number }[] = [];
      for (const [index, at] of times.entries()) queue.at(at, () => seen.push({ at: queue.now, index }));
      queue.runUntil(20);
      expect(seen).toEqual(times.map((at, index) => ({ at, index })).toSorted((a, b) => a.at - b.at || a.index - b.index));
      expect(queue.done).toBe(times.length);
    }),
  );
});

test('what an event asks for happens in the same run, the past at once; the rest waits', () => {
  const queue = new EventQueue({ startMs: 100 });
  const seen: string[] = [];
  queue.after(10, () => {
    seen.push('first');
    queue.at(5, () => seen.push(`past at ${queue.now}`));
    queue.after(3, () => seen.push('soon'));
    queue.after(50, () => seen.push('later'));
  });
  queue.runUntil(120);
  expect(seen).toEqual(['first', 'past at 110', 'soon']);
  expect(queue.now).toBe(120);
  queue.runUntil(200);
  expect(seen.at(-1)).toBe('later');
});

test('somebody who is asked now and then may end the run before its time', () => {
  const queue = new EventQueue({ startMs: 0 });
  for (let at = 1; at <= 20_000; at += 1) queue.at(at, () => {});
  const asked: number[] = [];
  expect(queue.runUntil(30_000, () => asked.push(queue.now) < 2)).toBe(false);
  expect(asked).toEqual([8192, 16_384]);
  expect([queue.now, queue.done]).toEqual([16_384, 16_384]);
  expect(queue.runUntil(30_000)).toBe(true);
  expect([queue.now, queue.done]).toEqual([30_000, 20_000]);
});
