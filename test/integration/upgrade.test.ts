import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { adminRequest, type ManagerStatus } from '@sekisho/manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type LocalAgent, startLocalAgent } from '../kit/local-agent.ts';
import { Mesh, type MeshRole, type MeshSite } from '../kit/mesh.ts';
import { startRedis, type Redis } from '../kit/redis.ts';
import { SmtpConversation } from '../kit/smtp-conversation.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';

/** docs/upgrading.md, step by step, at both servers of a site that has no others, while mail is sent all the time. */

const SERVERS = ['s1', 's2'];
const ROLES: readonly MeshRole[] = ['auth', 'relay', 'manager'];
const LANES = 4;
const PAUSE_MS = 20;
/** Of an agent's lease and its moves, of three probes, and what a busy machine adds. */
const PATIENCE_MS = 20_000;

let mesh: Mesh;
let site: MeshSite;
let redis: Redis;
let ledger: SmtpLedger;
let office: LocalAgent;

beforeAll(async () => {
  [ledger, redis, mesh] = await Promise.all([startSmtpLedger(), startRedis(), Mesh.create()]);
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: SERVERS.map((name, index) => ({ name, address: `127.0.27.${index + 1}`, roles: [...ROLES] })),
    settings: { 'store.url': redis.url, 'manager.probeInterval': '200ms', 'relay.destinations.extraPorts': [ledger.port] },
  });
  await site.start();
  mesh.publish([site]);
  office = await startLocalAgent(mesh, { mac: '02:00:5e:27:00:01', destination: { host: ledger.address, port: ledger.port } });
});

afterAll(async () => {
  office?.close();
  await mesh?.stop();
  await Promise.all([ledger?.stop(), redis?.stop()]);
});

const check = (server: string, ...more: string[]) => mesh.sekisho.run('upgrade-check', '--config', site.file, '--server', server, ...more);
const order = (...args: string[]) => mesh.sekisho.run('table', ...args, '--config', site.file);

/** Of every relay at every manager, `relay state sessions`; asked without a process for each time. */
async function relays(): Promise<string[]> {
  const sockets = SERVERS.map((name) => join(dirname(site.file), 'state', `manager-${name}.sock`));
  const answers = await Promise.all(sockets.map((socket) => adminRequest(socket, 'GET', '/status').catch(() => undefined)));
  return answers.flatMap((answer) => (answer?.body as ManagerStatus | undefined)?.table.relays ?? []).map(({ name, state, sessions }) => `${name} ${state} ${sessions}`);
}

function waitForRelays(what: (rows: readonly string[]) => boolean): Promise<void> {
  return vi.waitFor(async () => expect(await relays()).toSatisfy(what), { timeout: PATIENCE_MS, interval: 50 });
}

const allUp = (rows: readonly string[]): boolean => rows.length === 4 && rows.every((row) => row.includes(' up '));

/** As a client of an office: one conversation after the other, each its own connection. What does not go well is kept. */
async function sendUntil(over: AbortSignal, lane: number, sent: string[], failed: unknown[]): Promise<void> {
  for (let count = 0; !over.aborted; count += 1) {
    const subject = `lane ${lane}, mail ${count}`;
    try {
      await office.send(subject);
      sent.push(subject);
    } catch (error) {
      failed.push({ subject, error });
    }
    await sleep(PAUSE_MS);
  }
}

test('orders name their site: one that is meant for another is refused, and the last relay goes only with --confirm', async () => {
  const refusals = await Promise.all([
    order('drain', 's1', '--site', 'osaka-1'),
    order('drain', 's1', '--confirm', 'osaka-1'),
    order('drain', 's9'),
    order('drain', 's1', '--dry-run'),
    check('s9'),
    check('s1', '--drained'),
  ]);
  expect(refusals.map(({ code }) => code)).toEqual([2, 2, 1, 0, 2, 1]);
  const [otherSite, otherConfirm, unknown, dryRun, , notDrained] = refusals.map(({ stderr }) => stderr);
  expect(otherSite).toContain('is of site tokyo-1');
  expect(otherConfirm).toContain('the name of the site, which is tokyo-1');
  expect(unknown).toContain('the table has s1, s2, and no s9');
  expect(JSON.parse(refusals[3]?.stdout.toString() ?? '')).toMatchObject({ dryRun: true, relay: 's1' });
  expect(dryRun).toMatch(/^site tokyo-1, relay s1: nothing was changed\..*shared so: s2 100%/u);
  expect(refusals.at(-1)?.stdout.toString()).toMatch(/STOP +sessions +its relay is UP and not drained: sekisho table drain s1 --config/u);
  expect(notDrained).toContain('site tokyo-1, server s1: is not to be stopped now');
  expect(await relays()).toSatisfy(allUp);
});

test('both servers are replaced under load: no conversation is refused, reset or lost', async () => {
  const startedAt = performance.now();
  const over = new AbortController();
  const sent: string[] = [];
  const failed: unknown[] = [];
  const lanes = Promise.all(Array.from({ length: LANES }, (_, lane) => sendUntil(over.signal, lane, sent, failed)));
  try {
    const { relay: first } = (await office.send('which relay')).session;
    sent.push('which relay');
    for (const server of SERVERS.toSorted((a, b) => Number(b === first) - Number(a === first))) {
      // It goes through the relay that is to be replaced, and lasts longer than anybody else's there.
      const long = await SmtpConversation.open(office.port);
      await long.untilData();
      expect(await check(server)).toMatchObject({ code: 0 });
      const drained = await order('drain', server, '--site', 'tokyo-1');
      expect(drained).toMatchObject({ code: 0, stderr: expect.stringContaining(`site tokyo-1, relay ${server}: drains.`) as string });
      const waiting = { code: 1, output: expect.stringMatching(/STOP +sessions +\d+ sessions are still there/u) as string };
      // The other manager hears of the drain within a second.
      await waitForRelays((rows) => rows.filter((row) => row.startsWith(`${server} draining `) && !row.endsWith(' 0')).length === 2);
      expect(await check(server, '--drained')).toMatchObject(waiting);
      await long.finish('held meanwhile');
      expect(await office.session(long.client)).toMatchObject({ relay: server, outcome: 'completed' });
      await replace(server);
    }
  } finally {
    over.abort();
  }
  await lanes;
  expect(failed).toEqual([]);
  await ledger.waitForMessages(sent.length + SERVERS.length);
  const sessions = office.events('session');
  expect(sessions.filter(({ route, outcome }) => route !== 'relayed' || outcome !== 'completed')).toEqual([]);
  expect(new Set(sessions.map(({ relay }) => relay))).toEqual(new Set(SERVERS));
  expect(sessions.length).toBe(sent.length + SERVERS.length);
  // Accepted once each, and nothing else.
  const stored = ledger.messages.map(({ raw }) => /^Subject: (.*)\r$/mu.exec(raw.toString())?.[1]);
  expect(stored).toHaveLength(sent.length + SERVERS.length);
  expect(new Set(stored)).toEqual(new Set([...sent, 'held meanwhile']));
  console.log(`rolling upgrade of ${SERVERS.length} servers: ${sent.length} mails, none refused, reset or lost; ${Math.round(performance.now() - startedAt)} ms`);
});

/** Waits until the drained server has no session, stops it, starts what replaces it, and takes it in again. */
async function replace(server: string): Promise<void> {
  await waitForRelays((rows) => rows.filter((row) => row === `${server} draining 0`).length === 2);
  expect(await check(server, '--drained')).toMatchObject({ code: 0 });
  await Promise.all(ROLES.map((role) => site.stopRole(server, role)));
  const other = SERVERS.find((name) => name !== server) ?? '';
  const last = await order('drain', other);
  expect(last).toMatchObject({ code: 1, stderr: expect.stringContaining(`${other} is the last relay of site tokyo-1`) as string });
  for (const role of ROLES) await site.startRole(server, role);
  expect(await order('undrain', server)).toMatchObject({ code: 0 });
  await waitForRelays(allUp);
}
