import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Bind, startBind } from '../kit/bind.ts';
import { type LocalAgent, startLocalAgent } from '../kit/local-agent.ts';
import { listenOn } from '../kit/loopback-listen.ts';
import { MANAGER_NAME, Mesh, type MeshSite } from '../kit/mesh.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';
import { destinationTls } from '../kit/tls.ts';

/**
 * docs/adding-a-site.md, step by step, with a real BIND and mail flowing: a third site is made, started, entered with
 * one address, and taken out again. Nobody's mail is refused, delayed or sent directly.
 */

const TOKYO = '127.0.31.1';
const OSAKA = '127.0.31.2';
const NAGOYA = '127.0.31.3';
const IMPOSTOR = '127.0.31.8';
const NOBODY = '127.0.31.9';
const TTL_S = 1;
/** A TTL, the jitter with which agents move (2 s), the look-up itself, and what a busy machine adds. */
const MOVED_WITHIN_MS = TTL_S * 1000 + 2000 + 5000;
/** That none of them goes to the new one, each with a chance of a third: once in 16,000 runs. */
const AGENTS = 24;
const BETWEEN_MAILS_MS = 1000;

let mesh: Mesh;
let bind: Bind;
let ledger: SmtpLedger;
let tokyo: MeshSite;
let osaka: MeshSite;
let settings: Record<string, unknown>;
const fleet: LocalAgent[] = [];
const traffic = { sent: 0, failed: [] as unknown[], isOver: false };
let flow: Promise<unknown>;

beforeAll(async () => {
  ledger = await startSmtpLedger();
  mesh = await Mesh.create();
  bind = await startBind({ zone: 'sekisho.test', addresses: [TOKYO, OSAKA], ttlS: TTL_S });
  settings = { 'relay.destinations.extraPorts': [ledger.port], 'relay.dns.servers': [] };
  [tokyo, osaka] = [await addSite('tokyo-1', TOKYO), await addSite('osaka-1', OSAKA)];
  await Promise.all([tokyo.start(), osaka.start()]);
  for (let index = 1; index <= AGENTS; index += 1) fleet.push(await startAgent(index));
  await vi.waitUntil(() => !sites().has('none'), { timeout: 10_000 });
  flow = Promise.all(fleet.map((agent) => keepSending(agent)));
});

afterAll(async () => {
  traffic.isOver = true;
  await flow;
  for (const agent of fleet) agent.close();
  await mesh?.stop();
  await bind?.stop();
  await ledger?.stop();
});

function addSite(name: string, address: string): Promise<MeshSite> {
  return mesh.addSite({ name, servers: [{ name: 's1', address, roles: ['auth', 'relay', 'manager'] }], settings });
}

function startAgent(index: number): Promise<LocalAgent> {
  return startLocalAgent(mesh, {
    mac: `02:00:5e:31:00:${index.toString(16).padStart(2, '0')}`,
    destination: { host: ledger.address, port: ledger.port },
    dnsServer: bind.server,
    timings: { ttlMinMs: TTL_S * 1000 },
  });
}

async function keepSending(agent: LocalAgent): Promise<void> {
  await sleep(Math.random() * BETWEEN_MAILS_MS);
  while (!traffic.isOver) {
    try {
      const { session } = await agent.send('while sites come and go');
      traffic.sent += 1;
      if (session['route'] !== 'relayed') traffic.failed.push(session);
    } catch (error) {
      traffic.failed.push(error);
    }
    await sleep(BETWEEN_MAILS_MS);
  }
}

/** The sites of which agents have their lease. */
function sites(): Set<string> {
  return new Set(fleet.map((agent) => agent.status().lease?.site ?? 'none'));
}

const zoneChange = (command: 'join' | 'leave', site: MeshSite, ...more: string[]) =>
  mesh.sekisho.run('site', command, '--config', site.file, '--server', bind.server, '--tsig-key', bind.keyFile, '--ttl', String(TTL_S), ...more);

interface Checked {
  readonly ok: boolean;
  readonly addresses: readonly Record<string, unknown>[];
  readonly findings: readonly { readonly level: string; readonly about: string | null; readonly text: string }[];
}

test('a third site: one address in DNS brings it agents, and takes them from it; no mail is refused', async () => {
  const nagoya = await addSite('nagoya-1', NAGOYA);
  // Entered too soon it would be a refusal for everybody who comes.
  const early = await zoneChange('join', nagoya);
  expect(early).toMatchObject({ code: 1, stderr: expect.stringMatching(/its manager at 127\.0\.31\.3 does not answer as one \(ECONNREFUSED\)[\s\S]+none of its relays answers[\s\S]+Nothing was changed/u) });
  await nagoya.start();
  expect(sites()).toEqual(new Set(['tokyo-1', 'osaka-1']));

  const joined = await zoneChange('join', nagoya);
  expect(joined).toMatchObject({ code: 0, stderr: expect.stringContaining('site nagoya-1: joined.') });
  await vi.waitFor(() => expect(sites()).toEqual(new Set(['tokyo-1', 'osaka-1', 'nagoya-1'])), { timeout: MOVED_WITHIN_MS });

  const { code, stdout } = await mesh.sekisho.run('dns-check', '--config', nagoya.file, '--dns', bind.server, '--json');
  const checked = JSON.parse(stdout.toString()) as Checked;
  expect(code).toBe(0);
  expect(checked.addresses.map(({ site, manager, ok }) => ({ site, manager, ok }))).toEqual(['tokyo-1', 'osaka-1', 'nagoya-1'].map((site) => ({ site, manager: 's1', ok: true })));
  // The same stack, each with a configuration of its own.
  expect(new Set(checked.addresses.map(({ stack }) => stack)).size).toBe(1);
  expect(new Set(checked.addresses.map(({ config }) => config)).size).toBe(3);
  expect(checked.findings.map(({ text }) => text)).toEqual([expect.stringContaining('the TTL is 1 s')]);

  const left = await zoneChange('leave', nagoya);
  expect(left).toMatchObject({ code: 0, stderr: expect.stringContaining('site nagoya-1: left.') });
  // Only while those are there whom it counts on.
  expect(left.stdout.toString()).toContain(`prereq yxrrset ${MANAGER_NAME}. A ${OSAKA}\n`);
  await vi.waitFor(() => expect(sites()).toEqual(new Set(['tokyo-1', 'osaka-1'])), { timeout: MOVED_WITHIN_MS });
  const { managers } = (await nagoya.status()) as { managers: { agents: number }[] };
  expect(managers.map(({ agents }) => agents)).toEqual([0]);

  expect(traffic.sent).toBeGreaterThan(AGENTS);
  expect(traffic.failed).toEqual([]);
});

test('dns-check tells a dead address and an impostor, who hears nothing, and asks as a device, too', async () => {
  const impostor = createServer({ ...destinationTls(), requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['sekisho-control/1'] });
  let bytes = 0;
  impostor.on('secureConnection', (socket) => socket.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('error', () => {}));
  await listenOn(impostor, IMPOSTOR, mesh.managerPort);
  mesh.dns.set(MANAGER_NAME, { a: [TOKYO, IMPOSTOR, NOBODY], ttlS: 3600 });
  const device = await mesh.enroll('02:00:5e:31:01:01');
  writeFileSync(device, readFileSync(device, 'utf8').replace(/^manager:$/mu, `manager:\n  port: ${mesh.managerPort}`));
  try {
    const [asServer, asDevice] = await Promise.all([
      mesh.sekisho.run('dns-check', MANAGER_NAME, '--config', osaka.file, '--dns', mesh.dnsServer),
      mesh.sekisho.run('dns-check', MANAGER_NAME, '--agent', device, '--dns', mesh.dnsServer, '--json'),
    ]);
    expect(asServer).toMatchObject({ code: 1, stderr: `sekisho: ${MANAGER_NAME}: 2 problems.\n` });
    const page = asServer.stdout.toString();
    expect(page).toMatch(/manager\.sekisho\.test: 3 addresses, TTL 3600 s/u);
    expect(page).toMatch(/127\.0\.31\.1 +ok +\d+ +tokyo-1 +s1 +sekisho-manager\/\S+ +\d+ d +[+-]0\.\d s +[0-9a-f]{16} +[0-9a-f]{16}/u);
    expect(page).toMatch(/PROBLEM +127\.0\.31\.8: IMPOSTOR/u);
    expect(page).toMatch(/PROBLEM +127\.0\.31\.9: does not answer \(ECONNREFUSED\)/u);
    expect(page).toMatch(/warning +the TTL is 3600 s/u);
    const { addresses } = JSON.parse(asDevice.stdout.toString()) as Checked;
    expect(addresses).toMatchObject([
      { address: TOKYO, ok: true, site: 'tokyo-1', manager: 's1', relays: ['s1'], config: null, software: null },
      { address: IMPOSTOR, ok: false, kind: 'impostor' },
      { address: NOBODY, ok: false, kind: 'silent', reason: 'ECONNREFUSED' },
    ]);
    expect(Math.abs(Number(addresses[0]?.['clockOffsetMs']))).toBeLessThan(3000);
    expect(bytes).toBe(0);
  } finally {
    await new Promise((resolve) => impostor.close(resolve));
  }
});

test('the last site does not leave by mistake', async () => {
  expect(await zoneChange('leave', tokyo)).toMatchObject({ code: 0 });
  const last = await zoneChange('leave', osaka);
  expect(last).toMatchObject({ code: 1, stderr: expect.stringMatching(/these are the last addresses of the name[\s\S]+--confirm=osaka-1 leaves nevertheless/u) });
  const key = /secret "([^"]+)"/u.exec(readFileSync(bind.keyFile, 'utf8'))?.[1];
  expect(key).toBeDefined();
  expect(bind.log).not.toContain(key);
});
