import { expect, test } from 'vitest';
import { MAX_ATTEMPTS, TokenAttempts } from './token-attempts.ts';

function attemptsAt(clock: { ms: number }): TokenAttempts {
  return new TokenAttempts({ clock: { now: () => clock.ms } });
}

test('an address with too many wrong tokens waits for the rest of the minute, others do not', () => {
  const clock = { ms: 0 };
  const attempts = attemptsAt(clock);
  for (let number = 0; number < MAX_ATTEMPTS; number += 1) {
    expect(attempts.waitMs('192.0.2.1')).toBe(0);
    attempts.fail('192.0.2.1');
    clock.ms += 1000;
  }
  expect([attempts.waitMs('192.0.2.1'), attempts.waitMs('192.0.2.2')]).toEqual([55_000, 0]);
  clock.ms = 60_000;
  expect(attempts.waitMs('192.0.2.1')).toBe(0);
  attempts.fail('192.0.2.1');
  expect(attempts.waitMs('192.0.2.1')).toBe(0);
});

test('another address of the same /64 is the same stranger', () => {
  const attempts = attemptsAt({ ms: 0 });
  for (let number = 0; number < MAX_ATTEMPTS; number += 1) attempts.fail(`2001:db8:0:1::${number}`);
  expect([attempts.waitMs('2001:db8:0:1::ffff'), attempts.waitMs('2001:db8:0:2::1')]).toEqual([60_000, 0]);
});

test('what is remembered is bounded: of 300 addresses the first are forgotten', () => {
  const attempts = attemptsAt({ ms: 0 });
  for (let address = 0; address < 300; address += 1)
    for (let number = 0; number < MAX_ATTEMPTS; number += 1) attempts.fail(`2001:db8:0:${address}::1`);
  const waiting = Array.from({ length: 300 }, (_, address) => attempts.waitMs(`2001:db8:0:${address}::1`) > 0);
  expect(waiting.filter(Boolean).length).toBe(256);
  expect([waiting[0], waiting[43], waiting[44], waiting[299]]).toEqual([false, false, true, true]);
});
