import { type Detection, MAX_DETECTIONS_PER_CALL } from '@sekisho/store';
import { expect, test } from 'vitest';
import { RecordBatches } from './record-batches.ts';

const detection = (key: string): Detection => ({ key, at: 0, source: 'notice', reporter: 'x', mac: null, signature: 'A', protocol: null, client: null, destination: null, contact: null });
const many = (count: number): Detection[] => Array.from({ length: count }, (_, index) => detection(`k${index}`));

test('one is recorded at once; what comes meanwhile goes together, in order, as much as one call takes', async () => {
  const calls: number[] = [];
  let goOn = Promise.withResolvers<void>();
  const batches = new RecordBatches({
    record: async (detections) => {
      calls.push(detections.length);
      await goOn.promise;
    },
  });
  const all = [many(1), many(200), many(200), many(200), many(MAX_DETECTIONS_PER_CALL), many(1)].map((detections) => batches.add(detections));
  expect(calls).toEqual([1]);
  goOn.resolve();
  goOn = Promise.withResolvers();
  goOn.resolve();
  await Promise.all(all);
  expect(calls).toEqual([1, 400, 200, 500, 1]);
});

test('a batch that fails fails for all in it, and the next one is tried', async () => {
  let calls = 0;
  const batches = new RecordBatches({
    record: () => {
      calls += 1;
      return calls === 2 ? Promise.reject(new Error('full')) : Promise.resolve();
    },
  });
  const results = await Promise.allSettled([batches.add(many(1)), batches.add(many(1)), batches.add(many(1))]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  await batches.add(many(1));
  expect(calls).toBe(3);
});

test('a store that does not answer fails, and does not hold up what comes after', async () => {
  let calls = 0;
  const batches = new RecordBatches({ record: () => (++calls === 1 ? new Promise(() => undefined) : Promise.resolve()) }, { timeoutMs: 20 });
  await expect(batches.add(many(1))).rejects.toThrow(/longer than 20 ms/u);
  await batches.add(many(1));
});
