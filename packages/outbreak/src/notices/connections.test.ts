import { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Connection, Connections, LOGIN_WITHIN_MS, MAX_CONNECTIONS, MAX_PER_ADDRESS, MAX_PER_STRANGER, MAX_STRANGERS, NOTICE_WITHIN_MS } from './connections.ts';

const sockets: Socket[] = [];
let now = 0;
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

function setUp() {
  const connections = new Connections({ now: () => now });
  const admit = (address: string, isListed: boolean): Connection | undefined => {
    const socket = new Socket();
    sockets.push(socket);
    return connections.admit(socket, address, isListed);
  };
  /** How many of these are admitted. */
  const count = (addresses: readonly string[], isListed: boolean): number => addresses.filter((address) => admit(address, isListed) !== undefined).length;
  return { connections, admit, count };
}
const same = (address: string, count: number): string[] => Array.from({ length: count }, () => address);
const different = (count: number): string[] => Array.from({ length: count }, (_, index) => `198.51.100.${index}`);

test('one address has its share, all have theirs', () => {
  const { count } = setUp();
  expect(count(same('192.0.2.1', 200), true)).toBe(MAX_PER_ADDRESS);
  expect(count(different(200), true)).toBe(MAX_CONNECTIONS - MAX_PER_ADDRESS);
});

test('strangers have little of it, one of them less, and who logs in is none any more', () => {
  const { admit, count } = setUp();
  const first = admit('2001:db8::1', false);
  expect(count(['2001:db8::2', '2001:db8::3:4', '2001:db8::5', '2001:db8::6', '2001:db8::7', '2001:db8:0:0:ffff::'], false)).toBe(MAX_PER_STRANGER - 1);
  expect(count(different(100), false)).toBe(MAX_STRANGERS - MAX_PER_STRANGER);
  if (first !== undefined) first.isLoggedIn = true;
  expect(count(['2001:db8::8', '2001:db8::9'], false)).toBe(1);
  expect(count(same('192.0.2.1', 10), true)).toBe(10);
});

test('a closed connection gives its place back', () => {
  const { connections, count } = setUp();
  count(same('192.0.2.1', MAX_PER_ADDRESS), true);
  sockets[0]?.destroy();
  expect(count(same('192.0.2.1', 2), true)).toBe(1);
  expect(connections.open).toHaveLength(MAX_PER_ADDRESS);
  expect(connections.get('1')).toBeUndefined();
});

test('who does nothing is overdue, strangers sooner, and what is done counts', () => {
  const { connections, admit } = setUp();
  admit('192.0.2.1', true);
  const stranger = admit('192.0.2.2', false);
  const overdue = (): string[] => connections.overdue().map(({ address }) => address);
  now = LOGIN_WITHIN_MS - 1;
  expect(overdue()).toEqual([]);
  now += 1;
  expect(overdue()).toEqual(['192.0.2.2']);
  if (stranger !== undefined) connections.extend(stranger);
  expect(overdue()).toEqual([]);
  now = NOTICE_WITHIN_MS;
  expect(overdue()).toEqual(['192.0.2.1']);
  now += LOGIN_WITHIN_MS;
  expect(overdue()).toEqual(['192.0.2.1', '192.0.2.2']);
});
