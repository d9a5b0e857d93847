import { expect, test } from 'vitest';
import { MAX_SIGN_INS, SIGN_IN_MS, SignIns } from './sign-ins.ts';

test('a sign-in lasts for a shift, or until it is closed', () => {
  const clock = { ms: 0 };
  const signIns = new SignIns({ clock: { now: () => clock.ms } });
  const [one, two] = [signIns.open(), signIns.open()];
  expect(one).toMatch(/^[\w-]{43}$/u);
  expect([signIns.has(one), signIns.has(two), signIns.has(''), signIns.has(`${one.slice(0, -1)}!`)]).toEqual([true, true, false, false]);
  signIns.close(one);
  expect([signIns.has(one), signIns.has(two)]).toEqual([false, true]);
  clock.ms = SIGN_IN_MS - 1;
  expect(signIns.has(two)).toBe(true);
  clock.ms = SIGN_IN_MS;
  expect(signIns.has(two)).toBe(false);
});

test('the oldest is signed out for a new one', () => {
  const signIns = new SignIns({ clock: { now: () => 0 } });
  const secrets = Array.from({ length: MAX_SIGN_INS + 1 }, () => signIns.open());
  expect(secrets.map((secret) => signIns.has(secret))).toEqual([false, ...Array.from({ length: MAX_SIGN_INS }, () => true)]);
});
