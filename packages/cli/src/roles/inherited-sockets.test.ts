import { expect, test } from 'vitest';
import { inheritedSockets } from './inherited-sockets.ts';

const PID = 4321;

test('sockets are counted from descriptor 3 and have the names of their units', () => {
  const env = { LISTEN_PID: '4321', LISTEN_FDS: '3', LISTEN_FDNAMES: 'intercept::metrics' };
  expect(inheritedSockets(env, PID)).toEqual([
    { fd: 3, name: 'intercept' },
    { fd: 4, name: 'unknown' },
    { fd: 5, name: 'metrics' },
  ]);
});

test('without names they are unknown, and with fewer the rest is', () => {
  expect(inheritedSockets({ LISTEN_PID: '4321', LISTEN_FDS: '1' }, PID)).toEqual([{ fd: 3, name: 'unknown' }]);
  expect(inheritedSockets({ LISTEN_PID: '4321', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' }, PID).map(({ name }) => name)).toEqual(['a', 'unknown']);
});

test('the variables are removed, so that a child does not take them for its own', () => {
  const env: NodeJS.ProcessEnv = { PATH: '/bin', LISTEN_PID: '4321', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a', LISTEN_PIDFDID: '7' };
  inheritedSockets(env, PID);
  expect(env).toEqual({ PATH: '/bin' });
});

test('those of another process are not ours, and their variables are removed, too', () => {
  const env: NodeJS.ProcessEnv = { LISTEN_PID: '4320', LISTEN_FDS: '1' };
  expect(inheritedSockets(env, PID)).toEqual([]);
  expect(env).toEqual({});
  expect(inheritedSockets({ LISTEN_FDS: '1' }, PID)).toEqual([]);
});

test('without socket activation there are none', () => {
  expect(inheritedSockets({}, PID)).toEqual([]);
  expect(inheritedSockets({ LISTEN_PID: '4321' }, PID)).toEqual([]);
  expect(inheritedSockets({ LISTEN_PID: '4321', LISTEN_FDS: '0' }, PID)).toEqual([]);
});

test('a number that makes no sense is refused before anything is allocated for it', () => {
  for (const count of ['', '-1', '1e3', '65', '99999', '4294967296', 'x'])
    expect(() => inheritedSockets({ LISTEN_PID: '4321', LISTEN_FDS: count }, PID)).toThrow('LISTEN_FDS must be from 0 to 64');
  expect(inheritedSockets({ LISTEN_PID: '4321', LISTEN_FDS: '64' }, PID)).toHaveLength(64);
});
