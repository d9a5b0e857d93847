import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ViewRun } from './view-run.ts';

test('views that lie side by side leave as one, others on their own and in order', () => {
  const bytes = Buffer.from('250 one\r\n250 two\r\n');
  const run = new ViewRun();
  expect(run.push(bytes.subarray(0, 9))).toBeUndefined();
  expect(run.push(bytes.subarray(9))).toBeUndefined();
  const other = Buffer.alloc(3, 'x');
  expect(run.push(other)?.equals(bytes)).toBe(true);
  expect(run.take()).toBe(other);
  expect(run.take()).toBeUndefined();
});

test('whatever views there are, the same bytes come out', () => {
  const source = [Buffer.from('abcdefghij'), Buffer.from('0123456789')];
  const view = fc.record({ of: fc.constantFrom(...source), from: fc.integer({ min: 0, max: 9 }), length: fc.integer({ min: 0, max: 9 }) });
  fc.assert(
    fc.property(fc.array(view), (views) => {
      const run = new ViewRun();
      const given = views.map(({ of, from, length }) => of.subarray(from, from + length));
      const out = given.map((one) => run.push(one));
      out.push(run.take());
      expect(Buffer.concat(out.filter((one) => one !== undefined)).toString()).toBe(Buffer.concat(given).toString());
    }),
  );
});
