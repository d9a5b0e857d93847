import { expect, test } from 'vitest';
import { MAX_SOURCES, RateLimit } from './rate-limit.ts';
import { mayAskForPassword, Networks, plainAddress, strangerOf } from './sources.ts';

test('a network has its addresses, however a socket spells them', () => {
  const networks = new Networks(['192.0.2.0/25', '2001:db8::/32', '198.51.100.7/32']);
  const has = (address: string): boolean => networks.has(plainAddress(address));
  expect(['192.0.2.127', '::ffff:192.0.2.1', '::FFFF:198.51.100.7', '2001:db8:ffff::1', '2001:0DB8::1'].filter((address) => !has(address))).toEqual([]);
  expect(['192.0.2.128', '198.51.100.8', '2001:db9::1', '::1', 'fe80::1%eth0', '::ffff:192.0.2.128', '::192.0.2.1'].filter((address) => has(address))).toEqual([]);
  expect(() => new Networks(['192.0.2.0/33'])).toThrow(/out of range/u);
});

test('a password in clear text stays on this machine', () => {
  expect(['127.0.0.1', '127.255.255.254', '::1'].filter((address) => !mayAskForPassword(address, false))).toEqual([]);
  expect(['192.0.2.1', '10.0.0.1', '2001:db8::1', '128.0.0.1'].filter((address) => mayAskForPassword(address, false))).toEqual([]);
  expect(mayAskForPassword('192.0.2.1', true)).toBe(true);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:DB8::6', '2001:db8:0:0'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['::1', '0:0:0:0'],
  ['::', '0:0:0:0'],
])('%s is counted as %s', (address, stranger) => {
  expect(strangerOf(address)).toBe(stranger);
});

test('a limit gives so many at once, and them again within a minute, to each source', () => {
  let now = 1_000_000;
  const limit = new RateLimit({ now: () => now }, { perMinute: 3 });
  const take = (source: string): boolean => limit.take(source);
  expect(['a', 'a', 'a', 'a', 'b'].map(take)).toEqual([true, true, true, false, true]);
  expect([limit.allows('a'), limit.allows('b'), limit.allows('new')]).toEqual([false, true, true]);
  now += 19_000;
  expect(take('a')).toBe(false);
  now += 1000;
  expect(['a', 'a'].map(take)).toEqual([true, false]);
  // A clock that is put back neither gives nor locks for ever.
  now -= 3_600_000;
  expect(take('a')).toBe(false);
  now += 60_000;
  expect(['a', 'a', 'a', 'a'].map(take)).toEqual([true, true, true, false]);
});

test('a limit remembers so many sources, and forgets the longest silent', () => {
  const limit = new RateLimit({ now: () => 0 }, { perMinute: 1 });
  limit.take('first');
  limit.take('second');
  expect(limit.take('first')).toBe(false);
  for (let count = 0; count < MAX_SOURCES - 1; count += 1) limit.take(`other ${count}`);
  expect([limit.allows('second'), limit.allows('first')]).toEqual([true, false]);
});
