import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_UINT32 } from './frame.ts';
import { InboundIds, MAX_SKIPPED_IDS, OutboundIds } from './stream-ids.ts';

test('a client hands out odd ids, a server even ones', () => {
  const client = new OutboundIds(1);
  const server = new OutboundIds(2);
  expect([client.take(), client.take(), server.take(), server.take()]).toEqual([1, 3, 2, 4]);
  expect([client.used(3), client.used(5), server.used(4), server.used(6)]).toEqual([true, false, true, false]);
});

test('ids end with 32 bits', () => {
  const client = new OutboundIds(MAX_UINT32 - 2);
  expect([client.take(), client.take(), client.take(), client.take()]).toEqual([
    MAX_UINT32 - 2,
    MAX_UINT32,
    undefined,
    undefined,
  ]);
  const server = new OutboundIds(MAX_UINT32 - 1);
  expect([server.take(), server.take()]).toEqual([MAX_UINT32 - 1, undefined]);
});

test('an id is used once, in order or not', () => {
  const ids = new InboundIds(1);
  expect([ids.use(1), ids.use(7), ids.use(3), ids.use(5), ids.use(9)]).toEqual([true, true, true, true, true]);
  expect([ids.use(1), ids.use(3), ids.use(5), ids.use(7), ids.use(9)]).toEqual([false, false, false, false, false]);
});

test('an id that was passed over is not used', () => {
  const ids = new InboundIds(2);
  ids.use(6);
  expect([ids.used(2), ids.used(4), ids.used(6), ids.used(8)]).toEqual([false, false, true, false]);
});

test('the largest jump remembers MAX_SKIPPED_IDS ids and no more', () => {
  const ids = new InboundIds(1);
  ids.use(MAX_UINT32);
  const reach = 2 * MAX_SKIPPED_IDS;
  expect(ids.used(MAX_UINT32 - reach)).toBe(false);
  expect(ids.used(MAX_UINT32 - reach - 2)).toBe(true);
  expect(ids.used(1)).toBe(true);
});

test('many jumps forget the oldest', () => {
  const ids = new InboundIds(1);
  for (let id = 3; id <= 4 * MAX_SKIPPED_IDS + 3; id += 4) ids.use(id);
  expect(ids.use(1)).toBe(false);
  expect(ids.use(5)).toBe(true);
});

test('no id is ever used twice', () => {
  const id = fc.nat(300).map((index) => 1 + 2 * index);
  fc.assert(
    fc.property(fc.array(id, { maxLength: 200 }), (sequence) => {
      const ids = new InboundIds(1);
      const seen = new Set<number>();
      for (const each of sequence) {
        const isNew = !seen.has(each);
        if (ids.use(each)) expect(isNew).toBe(true);
        if (isNew && seen.size === 0) expect(ids.used(each)).toBe(true);
        seen.add(each);
      }
      // Everything that was opened or refused counts as used; only what was passed over lately does not.
      for (const each of seen) expect(ids.used(each)).toBe(true);
    }),
  );
});
