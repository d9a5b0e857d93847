import type { ManagerStatus } from '@sekisho/manager';
import { expect, test } from 'vitest';
import type { Server } from './site.ts';
import { siteFindings } from './upgrade-findings.ts';

type Relay = ManagerStatus['table']['relays'][number];
type Given = Partial<Record<'state' | 'sessions' | 'maxSessions' | 'score' | 'override' | 'reason' | 'software', unknown>>;

const relay = (name: string, given: Given = {}): Relay =>
  ({ name, state: 'up', sessions: 10, maxSessions: 100, score: 0.2, override: null, reason: 'reports are good', software: 'sekisho-relay/0.2.0', ...given }) as Relay;
const peer = (name: string, up = true) => ({ name, up, reason: up ? null : 'refused', software: 'sekisho-manager/0.2.0' });

const status = (given: { relays?: Relay[]; panic?: boolean; auths?: object[]; managers?: object[] | undefined; storeUp?: boolean } = {}) =>
  ({
    name: 's1',
    table: { panic: given.panic ?? false, relays: given.relays ?? [relay('s1'), relay('s2'), relay('s3')] },
    auths: given.auths ?? [peer('s1'), peer('s2')],
    managers: 'managers' in given ? given.managers : [peer('s1'), peer('s2')],
    store: { up: given.storeUp ?? true, reason: given.storeUp === false ? 'ECONNREFUSED' : null, confirmedAt: 1 },
  }) as unknown as ManagerStatus;

const MANAGING: Server = { name: 's1', address: '192.0.2.11', roles: ['manager', 'auth', 'relay'] };
const RELAYING: Server = { name: 's3', address: '192.0.2.13', roles: ['relay'] };

/** Those that are not `ok`, as `level check: message`. */
function troubles(of: ManagerStatus, server = MANAGING, drained = false): string[] {
  return siteFindings(of, { server, drained, options: '--config site.yaml' })
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, message }) => `${level} ${check}: ${message}`);
}

test('a whole site: each check is named, and all are good', () => {
  const found = siteFindings(status(), { server: MANAGING, drained: false, options: '' });
  expect(found.map(({ check, level }) => [check, level])).toEqual(['relays', 'managers', 'auths', 'store', 'software'].map((check) => [check, 'ok']));
  expect(found[0]?.message).toBe('s2, s3 carry on, with room for 180 sessions; it has 10');
  expect(found.at(-1)?.message).toBe('0.2.0 on s1, s2, s3');
});

test('a dedicated relay takes no manager and no auth away', () => {
  const found = siteFindings(status({ managers: [peer('s1', false)], auths: [peer('s1', false)] }), { server: RELAYING, drained: false, options: '' });
  expect(found.map(({ check }) => check)).toEqual(['relays', 'store', 'software']);
});

const down = { state: 'down', reason: 'connection refused', sessions: null };
const drained = { state: 'draining', override: { drain: true, by: 'anna' }, sessions: 0 };

test.each<[string, Parameters<typeof status>[0], RegExp[]]>([
  ['no other relay is up', { relays: [relay('s1'), relay('s2', down), relay('s3', { state: 'overloaded', reason: 'CPU' })] }, [/^warning relays: s2 is DOWN: connection refused$/u, /^warning relays: s3 is OVERLOADED: CPU$/u, /^stop relays: no other relay/u]],
  ['the only relay', { relays: [relay('s1')] }, [/^warning relays: it is the only relay of the site/u]],
  ['another one is still drained', { relays: [relay('s1'), relay('s2', drained), relay('s3')] }, [/^warning relays: s2 is still drained, by anna; .*sekisho table undrain s2 --config site\.yaml$/u]],
  ['too little room', { relays: [relay('s1', { sessions: 90 }), relay('s2', { sessions: 60 }), relay('s3', { sessions: 60 })] }, [/^stop relays: it has 90 sessions, and s2, s3 have room for 80/u]],
  ['too much load', { relays: [relay('s1', { score: 0.8 }), relay('s2', { score: 0.8 })] }, [/^warning relays: the others would be at about 160 %/u]],
  ['panic', { panic: true }, [/^stop relays: the table is in panic/u]],
  ['no other manager', { managers: [peer('s1'), peer('s2', false)] }, [/^stop managers: no other manager is up \(s2: refused\)/u]],
  ['the only manager', { managers: [peer('s1')] }, [/^warning managers: it is the only manager/u]],
  ['a manager too old to know the others', { managers: undefined }, [/^warning managers: this manager is too old/u]],
  ['no other auth', { auths: [peer('s1'), peer('s2', false)] }, [/^stop auths: no other auth is up \(s2\)/u]],
  ['the only auth', { auths: [peer('s1')] }, [/^warning auths: it is the only auth/u]],
  ['no store', { storeUp: false }, [/^stop store: it does not answer \(ECONNREFUSED\)/u]],
  ['two versions', { relays: [relay('s1', { software: 'sekisho-relay/0.1.0' }), relay('s2'), relay('s3')] }, [/^warning software: 0\.1\.0 on s1; 0\.2\.0 on s2, s3, s1: finish/u]],
])('%s', (_what, given, expected) => {
  const found = troubles(status(given));
  expect(found).toHaveLength(expected.length);
  for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern);
});

test('--drained: the relay must be drained and without sessions, or not run', () => {
  const own = (given: Given): string[] => troubles(status({ relays: [relay('s1', given), relay('s2')] }), MANAGING, true);
  expect(own({})).toEqual(['stop sessions: its relay is UP and not drained: sekisho table drain s1 --config site.yaml']);
  expect(own({ ...drained, sessions: 3 })).toEqual([expect.stringMatching(/^stop sessions: 3 sessions are still there/u)]);
  expect(own({ ...drained, sessions: null })).toEqual([expect.stringMatching(/^stop sessions: an unknown number/u)]);
  expect(own(drained)).toEqual([]);
  expect(own(down)).toEqual([]);
  // Its sessions are gone: what the others have room for no longer matters. That one of them is up does.
  expect(troubles(status({ relays: [relay('s1', drained), relay('s2', { sessions: 100 })] }), MANAGING, true)).toEqual([]);
  expect(troubles(status({ relays: [relay('s1', drained), relay('s2', down)] }), MANAGING, true)).toHaveLength(2);
});
