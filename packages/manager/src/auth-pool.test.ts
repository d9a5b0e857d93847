import { ChannelError } from '@sekisho/channel';
import { type Message, REFUSALS, type RefusalCode } from '@sekisho/wire';
import { beforeEach, expect, test } from 'vitest';
import { type AuthLink, AuthPool } from './auth-pool.ts';

const QUESTION = { type: 'authorize', mac: Buffer.alloc(6), certificate: Buffer.alloc(1), verified: 1, address: '192.0.2.1', relays: [] } as const;
const GRANT: Message<'grant'> = { type: 'grant', id: 1, ticket: Buffer.alloc(65), ttlMs: 1 };
const refuse = (code: RefusalCode): Message<'refuse'> => ({ type: 'refuse', id: 1, code: REFUSALS[code].number, text: code, retryAfterMs: 7 });

let nowMs: number;
let asked: [string, number][];
beforeEach(() => {
  nowMs = 0;
  asked = [];
});

/** Answers after `afterMs`, or fails by its deadline. */
function link(name: string, answer: Message | 'silent' | 'closed', init: { up?: boolean; trusted?: boolean } = {}): AuthLink {
  return {
    up: init.up ?? true,
    trusted: init.trusted ?? true,
    authorize: (_question, timeoutMs) => {
      asked.push([name, timeoutMs]);
      if (answer === 'closed') return Promise.reject(new ChannelError('CLOSED', 'gone'));
      if (answer !== 'silent') return Promise.resolve(answer);
      nowMs += timeoutMs;
      return Promise.reject(new ChannelError('TIMEOUT', 'silent'));
    },
  };
}

const authorize = (...links: AuthLink[]) => new AuthPool({ links, clock: { now: () => nowMs } }, { timeoutMs: 2000 }).authorize(QUESTION);

test('the first in the order answers; those that are down are not asked', async () => {
  expect(await authorize(link('a', GRANT, { up: false }), link('b', GRANT), link('c', GRANT))).toBe(GRANT);
  expect(asked).toEqual([['b', 1000]]);
});

test('one that is silent costs half of the time, and is asked last from then on', async () => {
  expect(await authorize(link('a', 'silent'), link('b', GRANT))).toBe(GRANT);
  expect([asked, nowMs]).toEqual([[['a', 1000], ['b', 1000]], 1000]);
  asked = [];
  expect(await authorize(link('a', 'silent', { trusted: false }), link('b', GRANT))).toBe(GRANT);
  expect(asked).toEqual([['b', 1000]]);
});

test('a single one may take all of the time', async () => {
  await expect(authorize(link('a', 'silent'))).rejects.toMatchObject({ code: 'AUTH_UNAVAILABLE' });
  expect(asked).toEqual([['a', 2000]]);
});

test('three that are silent take no more than the time', async () => {
  await expect(authorize(link('a', 'silent'), link('b', 'silent'), link('c', GRANT))).rejects.toMatchObject({ code: 'AUTH_UNAVAILABLE' });
  expect([asked.length, nowMs]).toEqual([2, 2000]);
});

test('nobody there at all', async () => {
  await expect(authorize()).rejects.toMatchObject({ code: 'AUTH_UNAVAILABLE', temporary: true, absence: true });
});

test.each(['DEVICE_REFUSED', 'DEVICE_REVOKED', 'DEVICE_EXPIRED', 'DEVICE_DISABLED', 'RATE_LIMITED'] as const)(
  '%s is a decision: nobody else is asked, and the text and the pause are passed on',
  async (code) => {
    await expect(authorize(link('a', refuse(code)), link('b', GRANT))).rejects.toMatchObject({ code, message: code, retryAfterMs: 7, absence: false });
    expect(asked.length).toBe(1);
  },
);

test.each(['INTERNAL', 'IDENTITY', 'PROTOCOL', 'VERSION', 'AUTH_UNAVAILABLE'] as const)(
  '%s of an auth, and no better answer from the others, is no absence: nobody goes direct because of it',
  async (code) => {
    const refusal = { code: 'INTERNAL', message: expect.stringContaining(code), temporary: true, absence: false };
    await expect(authorize(link('a', refuse(code)))).rejects.toMatchObject(refusal);
    await expect(authorize(link('a', 'closed'), link('b', refuse(code)), link('c', 'silent'))).rejects.toMatchObject(refusal);
    await expect(authorize(link('a', refuse(code)), link('b', refuse('DEVICE_REVOKED')))).rejects.toMatchObject({ code: 'DEVICE_REVOKED' });
  },
);

test('nonsense is no answer', async () => {
  await expect(authorize(link('a', { type: 'pong', id: 1 }), link('b', 'closed'))).rejects.toMatchObject({ code: 'AUTH_UNAVAILABLE' });
});

test.each([['an error of its own', refuse('INTERNAL')], ['another kind of refusal', refuse('PROTOCOL')], ['nonsense', { type: 'pong', id: 1 } as const], ['a lost connection', 'closed'] as const])(
  'after %s the next one is asked',
  async (_what, answer) => {
    expect(await authorize(link('a', answer), link('b', GRANT))).toBe(GRANT);
  },
);
