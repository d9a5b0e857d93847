import fc from 'fast-check';
import { expect, test } from 'vitest';
import { contains, missingFrom, sorted } from './sorted-addresses.ts';

const lists = fc.array(fc.constantFrom<string[]>('192.0.2.1', '192.0.2.10', '192.0.2.2', '2001:db8::1', '::1'), { maxLength: 8 });
const inOrder = (list: string[]): string[] => [...new Set(list)].sort();

test('sorted is in order and without repetition, and the same list for the same list', () => {
  fc.assert(
    fc.property(lists, (list) => {
      expect(sorted(list)).toEqual(inOrder(list));
      expect(sorted(list)).toBe(sorted(list));
    }),
  );
});

test('contains and missingFrom say what the lists themselves say', () => {
  fc.assert(
    fc.property(lists.map(inOrder), lists.map(inOrder), (one, other) => {
      for (const address of [...one, ...other, '192.0.2.11']) expect(contains(one, address)).toBe(one.includes(address));
      expect(missingFrom(one, other)).toEqual(one.filter((address) => !other.includes(address)));
    }),
  );
});
