import type { ManagerStatus } from '@sekisho/manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type LocalAgent, type LogLine, startLocalAgent } from '../kit/local-agent.ts';
import { Mesh, type MeshSite } from '../kit/mesh.ts';
import { SmtpConversation, SmtpReplyError } from '../kit/smtp-conversation.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';

const MAX_SESSIONS = 4;
const LINE_BYTES_PER_SECOND = 1_000_000;
/** Three probes and their time-outs, and what a busy machine adds. */
const NOTICED_WITHIN_MS = 15_000;
/** Renewals come after at most 6 s of a lease of 10 s. */
const RENEWED_WITHIN_MS = 10_000;

let mesh: Mesh;
let site: MeshSite;
let ledger: SmtpLedger;
/** Runs through all of this; it must never be refused and never go direct. */
let office: LocalAgent;
/** Sessions of it that ended before the present test. */
let earlier = 0;
const agents: LocalAgent[] = [];

beforeAll(async () => {
  ledger = await startSmtpLedger();
  mesh = await Mesh.create();
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 's1', address: '127.0.23.1', roles: ['auth', 'relay', 'manager'] },
      { name: 's2', address: '127.0.23.2', roles: ['relay'] },
    ],
    settings: {
      'auth.ticketTtl': '10s',
      'relay.destinations.extraPorts': [ledger.port],
      'relay.maxSessions': MAX_SESSIONS,
      'relay.bytesPerSecondLimit': `${LINE_BYTES_PER_SECOND}B`,
    },
  });
  await site.start();
  mesh.publish([site]);
  office = await startAgent();
});

afterAll(async () => {
  for (const agent of agents) agent.close();
  await mesh?.stop();
  await ledger?.stop();
});

async function startAgent(): Promise<LocalAgent> {
  const mac = `02:00:5e:23:00:${(agents.length + 1).toString(16).padStart(2, '0')}`;
  const agent = await startLocalAgent(mesh, { mac, destination: { host: ledger.address, port: ledger.port } });
  agents.push(agent);
  return agent;
}

/** Of each relay, as `sekisho status --json` has it. */
async function states(): Promise<Record<string, string>> {
  const { managers } = (await site.status()) as unknown as { managers: [ManagerStatus] };
  return Object.fromEntries(managers[0].table.relays.map(({ name, state }) => [name, state]));
}

async function waitForState(relay: string, wanted: string | RegExp): Promise<void> {
  const state = wanted instanceof RegExp ? expect.stringMatching(wanted) : wanted;
  await vi.waitFor(async () => expect(await states()).toMatchObject({ [relay]: state }), { timeout: NOTICED_WITHIN_MS, interval: 200 });
}

/** Both relays are up and in the office's lease, and it has a conversation at the one that is named first. */
async function begin(): Promise<{ relay: string; other: string; conversation: SmtpConversation }> {
  await vi.waitFor(async () => expect(await states()).toEqual({ s1: 'up', s2: 'up' }), { timeout: 2 * NOTICED_WITHIN_MS, interval: 200 });
  await vi.waitFor(() => expect(office.status().lease!.relays).toHaveLength(2), { timeout: RENEWED_WITHIN_MS });
  earlier = office.events('session').length;
  const conversation = await SmtpConversation.open(office.port);
  await conversation.untilData();
  const { relay } = office.status().links.find(({ sessions }) => sessions === 1)!;
  return { relay, other: relay === 's1' ? 's2' : 's1', conversation };
}

/** The conversation goes to its end at the relay where it began. */
async function end(conversation: SmtpConversation, relay: string): Promise<void> {
  await conversation.finish('held meanwhile');
  expect(await office.session(conversation.client)).toMatchObject({ route: 'relayed', relay, outcome: 'completed' });
}

/** New sessions of an agent go through this relay, within that time. */
async function goesThrough(agent: LocalAgent, relay: string, withinMs: number): Promise<void> {
  await vi.waitFor(async () => expect((await agent.send('new')).session).toMatchObject({ route: 'relayed', relay }), {
    timeout: withinMs,
    interval: 100,
  });
}

/** One that has just come asks the manager, which names a relay of the rotation. */
async function newAgentGoesThrough(relay: string): Promise<void> {
  const agent = await startAgent();
  expect((await agent.send('first')).session).toMatchObject({ route: 'relayed', relay });
  agent.close();
}

/** Sessions of the office since begin() that were refused, broke, or went direct. */
function troubles(): LogLine[] {
  const sessions = office.events('session').slice(earlier);
  return sessions.filter(({ route, outcome }) => route !== 'relayed' || outcome !== 'completed');
}

test('draining by order: its agents are moved, its conversation finishes, and it comes back', async () => {
  const { relay, other, conversation } = await begin();
  await mesh.sekisho.mustRun('table', 'drain', relay, '--config', site.file);
  await waitForState(relay, 'draining');
  await goesThrough(office, other, 5000);
  await newAgentGoesThrough(other);
  await end(conversation, relay);
  await mesh.sekisho.mustRun('table', 'undrain', relay, '--config', site.file);
  await waitForState(relay, 'up');
  expect(troubles()).toEqual([]);
});

test('draining by SIGTERM: new sessions go elsewhere, the conversation finishes, then the process ends by itself', async () => {
  const { relay, other, conversation } = await begin();
  const child = site.process(relay, 'relay');
  child.kill('SIGTERM');
  await waitForState(relay, 'draining');
  await goesThrough(office, other, 5000);
  await newAgentGoesThrough(other);
  expect(child.running).toBe(true);
  await end(conversation, relay);
  expect(await child.exited).toEqual({ code: 0, signal: null });
  await waitForState(relay, 'down');
  await site.startRole(relay, 'relay');
  await waitForState(relay, 'up');
  expect(troubles()).toEqual([]);
});

test('full: the next session goes to the other relay at once, and it comes back when there is room', async () => {
  const { relay, other, conversation } = await begin();
  const more: SmtpConversation[] = [];
  while (more.length < MAX_SESSIONS - 1) {
    const one = await SmtpConversation.open(office.port);
    await one.untilData();
    more.push(one);
  }
  expect(office.status().links.find((link) => link.relay === relay)!.sessions).toBe(MAX_SESSIONS);
  expect((await office.send('one too many')).session).toMatchObject({ route: 'relayed', relay: other });
  await waitForState(relay, 'full');
  await newAgentGoesThrough(other);
  for (const one of more) await one.finish('one of many');
  await end(conversation, relay);
  await waitForState(relay, 'up');
  expect(troubles()).toEqual([]);
});

test('overloaded: a full line takes a relay out of the rotation though its CPU is idle, and it comes back', async () => {
  const { relay, other, conversation } = await begin();
  const flood = new AbortController();
  const flooded = fillLine(conversation, flood.signal);
  try {
    await waitForState(relay, 'overloaded');
    await newAgentGoesThrough(other);
    await goesThrough(office, other, RENEWED_WITHIN_MS);
  } finally {
    flood.abort();
  }
  await flooded;
  await end(conversation, relay);
  await waitForState(relay, 'up');
  expect(troubles()).toEqual([]);
});

/** Twice what the line carries. */
async function fillLine(conversation: SmtpConversation, signal: AbortSignal): Promise<void> {
  const line = `${'x'.repeat(76)}\r\n`;
  const everyMs = 50;
  const bytes = line.repeat((2 * LINE_BYTES_PER_SECOND * everyMs) / 1000 / line.length);
  while (!signal.aborted) {
    await conversation.write(bytes);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

test('slow: a relay that stands still is raced, leaves the rotation, and comes back when it goes on', async () => {
  const { relay, other, conversation } = await begin();
  const child = site.process(relay, 'relay');
  child.kill('SIGSTOP');
  try {
    // Before anybody has noticed: 300 ms for the acknowledgement, 100 ms that the destination takes to greet.
    const { greetingMs, session } = await office.send('while it stands still');
    expect(session).toMatchObject({ route: 'relayed', relay: other });
    expect(greetingMs).toBeLessThan(1500);
    await waitForState(relay, /^(?:stale|down)$/u);
    await newAgentGoesThrough(other);
  } finally {
    child.kill('SIGCONT');
  }
  await waitForState(relay, 'up');
  await end(conversation, relay);
  expect(troubles()).toEqual([]);
});

test('dead: the next session goes elsewhere at once, and a relay that was started again is used again', async () => {
  const { relay, other, conversation } = await begin();
  await site.killRole(relay, 'relay');
  await expect(conversation.expect(250)).rejects.toThrow(SmtpReplyError);
  expect(await office.session(conversation.client)).toMatchObject({ relay, outcome: 'relay_lost' });
  expect((await office.send('after its death')).session).toMatchObject({ route: 'relayed', relay: other, outcome: 'completed' });
  await waitForState(relay, 'down');
  await newAgentGoesThrough(other);
  await site.startRole(relay, 'relay');
  await waitForState(relay, 'up');
  // It is chosen again, and not only up: the other one is taken out.
  await mesh.sekisho.mustRun('table', 'drain', other, '--config', site.file);
  await goesThrough(office, relay, 5000);
  expect(office.status().direct).toMatchObject({ managers_silent: 0, managers_absent: 0, relay_unreachable: 0 });
});
