import { expect, test } from 'vitest';
import { LinkHealth } from './link-health.ts';

test('pauses grow while a relay fails, and start over when it has admitted us', () => {
  const health = new LinkHealth({ random: () => 1 }, { retry: { firstMs: 500, maxMs: 4000 } });
  const pauses: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    health.failed(1000, undefined);
    pauses.push(health.retryAtMs - 1000);
  }
  expect(pauses).toEqual([500, 1000, 2000, 4000, 4000]);
  expect(health.failure).toBe('unreachable');
  health.recovered();
  expect(health.failure).toBeUndefined();
  health.failed(1000, 'FULL', 9000);
  expect(health.failure).toEqual({ refused: 'FULL' });
  expect(health.retryAtMs).toBe(10_000);
});
