import { expect, test } from 'vitest';
import { Ledger } from '../../lab/ledger.ts';
import type { AgentSession } from '../../lab/office.ts';
import type { Attempt } from '../../lab/traffic/events.ts';

/** A ledger that cannot find anything would call every scenario good. */

const time = 1_000_000;

function attempt(id: string, outcome: Attempt['outcome'], more: Partial<Attempt> = {}): Attempt {
  const client = `10.1.0.2:${1000 + Number(id)}`;
  return { kind: 'submission', protocol: 'smtp', id, hash: `hash-${id}`, infected: false, client, startedAt: time - 50, endedAt: time, decisionMs: 10, greeted: true, longestWaitMs: 5, outcome, reply: '', ...more };
}

function session(id: string, route: AgentSession['route']): AgentSession {
  return { office: 'kita', time: time + 20, client: `10.1.0.2:${1000 + Number(id)}`, route, ...(route === 'relayed' ? { site: 'tokyo-1' } : {}), outcome: 'completed', durationMs: 40 };
}

function ledgerOf(...mails: readonly { readonly id: string; readonly infected?: boolean; readonly attempts: readonly Attempt[] }[]): Ledger {
  const ledger = new Ledger();
  for (const { id, infected = false, attempts } of mails) {
    ledger.record({ report: 'sent', id, hash: `hash-${id}`, infected });
    for (const one of attempts) ledger.record({ report: 'attempt', attempt: one });
  }
  return ledger;
}

test('a mail that was accepted and is not there is lost; one without a final answer is not', () => {
  const ledger = ledgerOf(
    { id: '1', attempts: [attempt('1', 'broken'), attempt('1', 'later'), attempt('1', 'accepted')] },
    { id: '2', attempts: [attempt('2', 'accepted')] },
    { id: '3', attempts: [attempt('3', 'broken')] },
    { id: '4', attempts: [attempt('4', 'refused')] },
    { id: '5', attempts: [] },
  );
  const summary = ledger.close({ stored: ['hash-1', 'hash-1', 'hash-3'], sessions: [session('1', 'relayed'), session('2', 'direct')] });
  expect(summary).toMatchObject({ sent: 5, accepted: 2, stored: 2, lost: 1, duplicates: 1, abandoned: 2, refused: 1, altered: 0, later: 1, broken: 2, direct: 1 });
  expect(summary.sites).toEqual({ 'tokyo-1': 1, direct: 1 });
});

test('what is stored and was never sent is altered, and so is what was fetched wrongly', () => {
  const ledger = ledgerOf({ id: '1', attempts: [attempt('1', 'accepted')] });
  const { id: _id, ...fetch } = attempt('2', 'altered', { kind: 'fetch' });
  ledger.record({ report: 'attempt', attempt: fetch });
  expect(ledger.close({ stored: ['another'], sessions: [] })).toMatchObject({ lost: 1, altered: 2 });
});

test('a virus that is stored was let through unless the agent says that it went directly', () => {
  const infected = (id: string, outcome: Attempt['outcome']) => ({ id, infected: true, attempts: [attempt(id, outcome, { infected: true })] });
  const ledger = ledgerOf(infected('1', 'accepted'), infected('2', 'accepted'), infected('3', 'accepted'), infected('4', 'infected'));
  const { id: _id, ...fetch } = attempt('5', 'accepted', { kind: 'fetch', virusFetched: true });
  ledger.record({ report: 'attempt', attempt: fetch });
  const sessions = [session('1', 'relayed'), session('2', 'direct'), session('5', 'relayed')];
  const summary = ledger.close({ stored: ['hash-1', 'hash-2', 'hash-3'], sessions });
  expect(summary).toMatchObject({ infectedDelivered: 3, infectedDirect: 1, infectedRefused: 1 });
});

test('the longest decision is of all attempts, and a new scenario begins with nothing', () => {
  const ledger = ledgerOf({ id: '1', attempts: [attempt('1', 'broken', { decisionMs: 4900, greeted: false }), attempt('1', 'accepted', { longestWaitMs: 700 })] });
  expect(ledger.close({ stored: ['hash-1'], sessions: [] })).toMatchObject({ maxDecisionMs: 4900, maxAnswerMs: 700 });
  expect(ledger.close({ stored: [], sessions: [] })).toMatchObject({ sent: 0, attempts: 0, maxDecisionMs: 0 });
});
