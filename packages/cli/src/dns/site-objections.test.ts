import { expect, test } from 'vitest';
import type { Probe } from './probe.ts';
import { joinObjections, type JoinState, leaveObjections } from './site-objections.ts';

const ABOUT = { version: '0.1.0', config: 'aaaa', stack: '5555' };
const UP: Probe = { address: '192.0.2.11', tookMs: 1, ok: true, site: 'osaka-1', manager: 's1', certificateDays: 800, clockOffsetMs: 0, software: 'x', config: 'aaaa', stack: '5555', relays: null };
const DOWN: Probe = { address: '192.0.2.12', tookMs: 1, ok: false, kind: 'silent', reason: 'ECONNREFUSED' };
const STATE: JoinState = { site: 'osaka-1', about: ABOUT, ours: [UP], others: [{ ...UP, site: 'tokyo-1', config: 'bbbb' }], relaysUp: 1 };

test('a site that is ready may join, also as the first, and beside others that are down or older', () => {
  for (const others of [STATE.others, [], [DOWN], [{ ...UP, stack: null }], [{ ...UP, stack: '6666' }, ...STATE.others]])
    expect(joinObjections({ ...STATE, others })).toEqual([]);
});

test.each<[string, Partial<JoinState>, RegExp]>([
  ['a manager that is down', { ours: [UP, DOWN] }, /its manager at 192\.0\.2\.12 does not answer as one \(ECONNREFUSED\)/u],
  ['a manager of another site', { ours: [{ ...UP, site: 'tokyo-1' }] }, /at 192\.0\.2\.11 is a manager of site tokyo-1/u],
  ['a manager with another file', { ours: [{ ...UP, config: 'cccc' }] }, /runs with another configuration/u],
  ['no relay', { relaysUp: 0 }, /none of its relays answers/u],
  ['another stack', { others: [{ ...UP, stack: '6666' }] }, /not the stack that the other sites are \(6666; here 5555\)/u],
])('%s is an objection', (_, changes, pattern) => {
  const objections = joinObjections({ ...STATE, ...changes });
  expect(objections).toHaveLength(1);
  expect(objections[0]).toMatch(pattern);
});

test('a site may leave while somebody stays who answers', () => {
  expect(leaveObjections({ others: [DOWN, UP], unanswered: [] })).toEqual([]);
  expect(leaveObjections({ others: [], unanswered: [] })[0]).toContain('the last addresses');
  expect(leaveObjections({ others: [DOWN], unanswered: [] })[0]).toContain('none of those who would stay answers as a manager (192.0.2.12)');
  expect(leaveObjections({ others: [UP], unanswered: ['AAAA'] })[0]).toContain('no answer for the AAAA records');
});
