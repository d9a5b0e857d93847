import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Detection, MAX_DETECTIONS_PER_CALL } from '@sekisho/store';
import { expect, test } from 'vitest';
import { RecordBatches } from './record-batches.ts';

const detection = (key: string): Detection => ({ key, at: 0, source: 'notice', reporter: 'x', mac: null, signature: 'A', protocol: null, client: null, destination: null, contact: null });
const many = (count: number): Detection[] => Array.from({ length: count }, (_, index) => detection(`k${index}`));

test('what comes in one turn, or while a batch is being written, goes together, in order, as much as one call takes', async () => {
  const calls: string[][] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const batches = new RecordBatches({
    record: async (detections) => {
      calls.push(detections.map(({ key }) => key));
      await promise;
    },
  });
  const first = [batches.add([detection('a')]), batches.add([detection('b')])];
  await expect.poll(() => calls).toEqual([['a', 'b']]);
  const others = [200, 200, 200, MAX_DETECTIONS_PER_CALL, 1].map((count) => batches.add(many(count)));
  await nextTurn();
  expect(calls).toHaveLength(1);
  resolve();
  await Promise.all([...first, ...others]);
  expect(calls.slice(1).map(({ length }) => length)).toEqual([400, 200, 500, 1]);
});

test('a batch that fails fails for all in it, and the next one is tried', async () => {
  let calls = 0;
  const batches = new RecordBatches({ record: () => (++calls === 1 ? Promise.reject(new Error('full')) : Promise.resolve()) });
  const results = await Promise.allSettled([batches.add(many(1)), batches.add(many(1))]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await batches.add(many(1));
  expect(calls).toBe(2);
});

test('a store that does not answer fails, and does not hold up what comes after', async () => {
  let calls = 0;
  const batches = new RecordBatches({ record: () => (++calls === 1 ? new Promise(() => undefined) : Promise.resolve()) }, { timeoutMs: 20 });
  await expect(batches.add(many(1))).rejects.toThrow(/longer than 20 ms/u);
  await batches.add(many(1));
});
