import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Dnsmasq, startDnsmasq } from '../kit/dnsmasq.ts';
import { type LocalAgent, type LocalAgentInit, startLocalAgent } from '../kit/local-agent.ts';
import { listenOn } from '../kit/loopback-listen.ts';
import { MANAGER_NAME, Mesh, type MeshSite } from '../kit/mesh.ts';
import { sendMail, SmtpConversation, SmtpReplyError } from '../kit/smtp-conversation.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';
import { destinationTls } from '../kit/tls.ts';

const TOKYO = '127.0.22.1';
const OSAKA = '127.0.22.2';
const IMPOSTOR = '127.0.22.9';
const TTL_S = 1;
/** A TTL, the jitter with which agents move (2 s), the look-up itself, and what a busy machine adds. */
const MOVED_WITHIN_MS = TTL_S * 1000 + 2000 + 3000;
/** All on one side by chance: once in 30,000 runs. */
const AGENTS = 16;

let mesh: Mesh;
let dns: Dnsmasq;
let tokyo: MeshSite;
let osaka: MeshSite;
let ledger: SmtpLedger;
const agents: LocalAgent[] = [];
let macs = 0;

beforeAll(async () => {
  ledger = await startSmtpLedger();
  mesh = await Mesh.create();
  dns = await startDnsmasq({ ttlS: TTL_S, zone: { [MANAGER_NAME]: [TOKYO] } });
  tokyo = await addSite('tokyo-1', TOKYO);
  await tokyo.start();
});

afterAll(async () => {
  for (const agent of agents) agent.close();
  await mesh?.stop();
  await dns?.stop();
  await ledger?.stop();
});

function addSite(name: string, address: string): Promise<MeshSite> {
  return mesh.addSite({
    name,
    servers: [{ name: 's1', address, roles: ['auth', 'relay', 'manager'] }],
    settings: { 'auth.ticketTtl': '10s', 'relay.destinations.extraPorts': [ledger.port] },
  });
}

async function startAgent(init: Partial<LocalAgentInit> = {}): Promise<LocalAgent> {
  macs += 1;
  const agent = await startLocalAgent(mesh, {
    mac: `02:00:5e:22:00:${macs.toString(16).padStart(2, '0')}`,
    destination: { host: ledger.address, port: ledger.port },
    timings: { ttlMinMs: TTL_S * 1000 },
    ...init,
  });
  agents.push(agent);
  return agent;
}

/** How many agents have their lease of each site. */
function sitesOf(all: readonly LocalAgent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const agent of all) {
    const site = agent.status().lease?.site ?? 'none';
    counts[site] = (counts[site] ?? 0) + 1;
  }
  return counts;
}

test('a real zone: what it gains gets its share, what it loses is left within a TTL, and no conversation breaks', async () => {
  const fleet: LocalAgent[] = [];
  for (let index = 0; index < AGENTS; index += 1) fleet.push(await startAgent({ dnsServer: dns.server }));
  await vi.waitFor(() => expect(sitesOf(fleet)).toEqual({ 'tokyo-1': AGENTS }), { timeout: 5000 });
  const conversation = await SmtpConversation.open(fleet[0]!.port);
  await conversation.untilData();

  // The new site has its own keys, the operator's CA certificate, and nothing of the other site.
  osaka = await addSite('osaka-1', OSAKA);
  expect(sharedFiles(tokyo, osaka)).toEqual(['ca.cert.pem']);
  await osaka.start();
  await dns.set(MANAGER_NAME, [TOKYO, OSAKA]);
  await vi.waitFor(
    () => {
      const { 'tokyo-1': stayed, 'osaka-1': moved } = sitesOf(fleet);
      expect(stayed).toBeGreaterThan(0);
      expect(moved).toBeGreaterThan(0);
    },
    { timeout: MOVED_WITHIN_MS },
  );

  await dns.set(MANAGER_NAME, [OSAKA]);
  await vi.waitFor(() => expect(sitesOf(fleet)).toEqual({ 'osaka-1': AGENTS }), { timeout: MOVED_WITHIN_MS });
  for (const agent of fleet) expect((await agent.send('after the move')).session).toMatchObject({ route: 'relayed', site: 'osaka-1' });
  await vi.waitFor(async () => expect(await agentsOf(tokyo)).toBe(0), { timeout: 5000 });

  // Begun through the site that is out of the zone, and finished there.
  await conversation.finish('held through the move');
  expect(await fleet[0]!.session(conversation.client)).toMatchObject({ route: 'relayed', site: 'tokyo-1', outcome: 'completed' });
  expect(ledger.messages.some(({ raw }) => raw.includes('held through the move'))).toBe(true);
  for (const agent of fleet) {
    expect(agent.status().direct).toMatchObject({ dns_empty: 0, managers_silent: 0, managers_absent: 0, relay_unreachable: 0 });
    agent.close();
  }
});

test.each(['silent', 'servfail', 'nxdomain'] as const)('DNS is dead (%s): the last known addresses stay in use', async (mode) => {
  mesh.dns.mode = 'answer';
  mesh.dns.set(MANAGER_NAME, { a: [OSAKA], ttlS: TTL_S });
  const agent = await startAgent();
  await agent.send('DNS answers');
  mesh.dns.mode = mode;
  await vi.waitFor(() => expect(agent.status().zone.problem).toBe(mode === 'nxdomain' ? 'empty' : 'failed'), { timeout: 10_000 });
  expect(agent.events('dns_failed')).not.toHaveLength(0);

  // Found again without DNS, by the address that was known.
  await osaka.killRole('s1', 'manager');
  await vi.waitFor(() => expect(agent.status().manager).toBeUndefined(), { timeout: 5000 });
  expect((await agent.send('by the lease')).session).toMatchObject({ route: 'relayed' });
  await osaka.startRole('s1', 'manager');
  await vi.waitFor(() => expect(agent.status().manager).toBe(OSAKA), { timeout: 10_000 });
  expect((await agent.send('DNS is still dead')).session).toMatchObject({ route: 'relayed', site: 'osaka-1' });
  expect(agent.status().zone.problem).toBeDefined();
  agent.close();
});

test('poisoned DNS: whoever is no manager of ours is refused in the handshake, and hears nothing', async () => {
  mesh.dns.mode = 'answer';
  const stranger = await otherOperatorsManager();
  const impostors = {
    'a server of another CA': { ...destinationTls(), cause: 'tls' },
    'a manager of another operator': { ...stranger, cause: 'tls' },
    'a relay of this very site': { ...keysOf(osaka, 'relay'), cause: 'identity' },
  };
  for (const [who, { cert, key, cause }] of Object.entries(impostors)) {
    const impostor = await Impostor.start({ cert, key, port: mesh.managerPort });
    try {
      mesh.dns.set(MANAGER_NAME, { a: [IMPOSTOR], ttlS: TTL_S });
      const agent = await startAgent({ failMode: 'closed' });
      await expect(sendMail(agent.port, who), who).rejects.toThrow(SmtpReplyError);
      expect(agent.events('manager_identity')[0], who).toMatchObject({ level: 'error', manager: IMPOSTOR, cause });

      // Among good ones it does no harm.
      mesh.dns.set(MANAGER_NAME, { a: [IMPOSTOR, OSAKA], ttlS: TTL_S });
      await vi.waitFor(() => expect(agent.status().manager).toBe(OSAKA), { timeout: 10_000 });
      expect((await agent.send(`not for ${who}`)).session, who).toMatchObject({ route: 'relayed', site: 'osaka-1' });

      expect(impostor.connections, who).toBeGreaterThan(0);
      expect(impostor.bytes, who).toBe(0);
      agent.close();
    } finally {
      await impostor.stop();
    }
  }
});

/** Listens where a manager would, with somebody else's key. */
class Impostor {
  connections = 0;
  /** That came through the encryption. */
  bytes = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', () => (this.connections += 1));
    server.on('secureConnection', (socket) => {
      socket.on('data', (chunk: Buffer) => (this.bytes += chunk.length));
      socket.on('error', () => socket.destroy());
    });
    server.on('tlsClientError', () => undefined);
  }

  static async start(init: { cert: string; key: string; port: number }): Promise<Impostor> {
    const { cert, key, port } = init;
    const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['sekisho-control/1'] });
    const impostor = new Impostor(server);
    await listenOn(server, IMPOSTOR, port);
    return impostor;
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

type Pair = { readonly cert: string; readonly key: string };

function keysOf({ file }: Pick<MeshSite, 'file'>, role: string): Pair {
  const keys = join(dirname(file), 'keys');
  return { cert: readFileSync(join(keys, `${role}.cert.pem`), 'utf8'), key: readFileSync(join(keys, `${role}.key.pem`), 'utf8') };
}

/** Everything about it is right but the CA. */
async function otherOperatorsManager(): Promise<Pair> {
  const operator = join(mesh.directory, 'other-operator');
  const site = join(mesh.directory, 'other-site');
  await mesh.sekisho.mustRun('operator', 'init', operator, '--manager-name', MANAGER_NAME);
  await mesh.sekisho.mustRun('site', 'init', site, '--operator', operator, '--site', 'osaka-1', '--dev');
  return keysOf({ file: join(site, 'site.yaml') }, 'manager');
}

/** Names of key files with the same content in both sites. */
function sharedFiles(one: MeshSite, other: MeshSite): string[] {
  const [here, there] = [one, other].map(({ file }) => join(dirname(file), 'keys'));
  return readdirSync(here!).filter((name) => readFileSync(join(here!, name)).equals(readFileSync(join(there!, name))));
}

async function agentsOf(site: MeshSite): Promise<unknown> {
  const { managers } = (await site.status()) as { managers: { agents: number }[] };
  return managers[0]!.agents;
}
