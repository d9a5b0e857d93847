import { expect, test } from 'vitest';
import { Throughput } from './throughput.ts';

test('bytes a second over the last two seconds', () => {
  let nowMs = 0;
  const throughput = new Throughput({ now: () => nowMs });
  expect(throughput.bytesPerSecond).toBe(0);
  throughput.add(1000);
  expect(throughput.bytesPerSecond).toBe(500);
  nowMs = 1000;
  throughput.add(3000);
  expect(throughput.bytesPerSecond).toBe(2000);
  nowMs = 2001;
  expect(throughput.bytesPerSecond).toBe(1500);
  nowMs = 4000;
  expect(throughput.bytesPerSecond).toBe(0);
});
