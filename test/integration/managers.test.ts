import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type LocalAgent, type LocalAgentInit, startLocalAgent } from '../kit/local-agent.ts';
import { MANAGER_NAME, Mesh, type MeshSite } from '../kit/mesh.ts';
import { freePort } from '../kit/ports.ts';
import { type BlackHole, type SilentServer, startBlackHole, startSilentServer } from '../kit/silent-server.ts';
import { sendMail, SmtpReplyError } from '../kit/smtp-conversation.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';

/** The lowest address: with `identity` as chance an agent asks it first. */
const SILENT = '127.0.21.1';
const MANAGERS = ['127.0.21.2', '127.0.21.3'] as const;
const TICKET_TTL_MS = 10_000;
/** The shuffle of an agent leaves the order as it is. */
const identity = (): number => 0;
/** What a machine that is busy with other things may add. */
const SLACK_MS = 1000;

let mesh: Mesh;
let site: MeshSite;
let ledger: SmtpLedger;
const agents: LocalAgent[] = [];
let macs = 0;

beforeAll(async () => {
  ledger = await startSmtpLedger();
  mesh = await Mesh.create();
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 's2', address: MANAGERS[0], roles: ['auth', 'relay', 'manager'] },
      { name: 's3', address: MANAGERS[1], roles: ['manager'] },
    ],
    settings: { 'auth.ticketTtl': '10s', 'relay.destinations.extraPorts': [ledger.port] },
  });
  await site.start();
  // The first of everything in a process takes longer than any other: what is measured is not that.
  mesh.publish([site]);
  const first = await startAgent();
  await first.send('to warm up');
  first.close();
  mesh.dns.set(MANAGER_NAME, { a: [SILENT, ...MANAGERS] });
});

afterAll(async () => {
  for (const agent of agents) agent.close();
  await mesh?.stop();
  await ledger?.stop();
});

function nextMac(): string {
  macs += 1;
  return `02:00:5e:21:00:${macs.toString(16).padStart(2, '0')}`;
}

async function startAgent(init: Partial<LocalAgentInit> = {}): Promise<LocalAgent> {
  const destination = { host: ledger.address, port: ledger.port };
  const agent = await startLocalAgent(mesh, { mac: nextMac(), destination, ...init });
  agents.push(agent);
  return agent;
}

async function withSilence(kind: 'accepts nothing' | 'never answers', run: () => Promise<void>): Promise<void> {
  const init = { address: SILENT, port: mesh.managerPort };
  const silent: BlackHole | SilentServer = kind === 'accepts nothing' ? await startBlackHole(init) : await startSilentServer(init);
  try {
    await run();
    // It was asked, and said nothing: otherwise this test shows nothing.
    if ('connections' in silent) expect(silent.connections).toBeGreaterThan(0);
  } finally {
    await silent.stop();
  }
}

test.each(['accepts nothing', 'never answers'] as const)(
  'the first of three managers %s: the first mail of a fresh agent arrives in under 1 s',
  async (kind) => {
    await withSilence(kind, async () => {
      const agent = await startAgent({ random: identity });
      const { acceptedMs, session } = await agent.send(`first manager ${kind}`);
      expect(session).toMatchObject({ route: 'relayed', outcome: 'completed', relay: 's2' });
      expect(acceptedMs).toBeLessThan(1000);
      // Silence is noticed, and costs nothing twice.
      await vi.waitFor(() => expect(agent.status().managers[0]).toMatchObject({ address: SILENT, state: 'dead', lastFailure: 'silent' }));
      expect((await agent.send('second')).greetingMs).toBeLessThan(300);
      agent.close();
    });
  },
);

test('all managers are silent: leases are used up, then direct, loudly; one comes back: relayed again', async () => {
  await withSilence('accepts nothing', async () => {
    const leased = await startAgent();
    expect((await leased.send('with managers')).session).toMatchObject({ route: 'relayed' });

    for (const { name } of site.servers) site.process(name, 'manager').kill('SIGSTOP');
    try {
      await Promise.all([outliveManagers(leased), freshAgent(), closedAgent()]);
    } finally {
      site.process('s3', 'manager').kill('SIGCONT');
    }
    const returnedAt = performance.now();
    await Promise.all(agents.slice(-3).map((agent) => relayedAgain(agent, returnedAt)));
    site.process('s2', 'manager').kill('SIGCONT');
  });
});

/** The lease holds without anybody to ask, to its end and no longer. */
async function outliveManagers(agent: LocalAgent): Promise<void> {
  const expiresAt = performance.now() + agent.status().lease!.expiresInMs;
  let relayed = 0;
  for (;;) {
    const startedAt = performance.now();
    const { acceptedMs, session } = await agent.send('without managers');
    if (session['route'] === 'direct') {
      expect(startedAt + acceptedMs).toBeGreaterThan(expiresAt);
      expect(acceptedMs).toBeLessThan(5000 + SLACK_MS);
      break;
    }
    // Begun within the lease, or while its end was being noticed.
    expect(startedAt).toBeLessThan(expiresAt);
    expect(session).toMatchObject({ route: 'relayed', outcome: 'completed' });
    relayed += 1;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(relayed).toBeGreaterThan((TICKET_TTL_MS * 0.3) / 500);
  expect(agent.events('direct_mode')).toHaveLength(1);
}

async function freshAgent(): Promise<void> {
  const agent = await startAgent();
  const first = await agent.send('nobody answers');
  expect(first.session).toMatchObject({ route: 'direct', reason: 'managers_silent', outcome: 'completed' });
  expect(first.acceptedMs).toBeLessThan(5000 + SLACK_MS);
  const second = await agent.send('at once');
  expect(second.session).toMatchObject({ route: 'direct', reason: 'managers_silent' });
  // The destination itself takes 100 ms to greet.
  expect(second.greetingMs).toBeLessThan(300);

  expect(agent.events('direct_mode')).toMatchObject([{ level: 'error', reason: 'managers_silent' }]);
  expect(agent.events('direct')).toHaveLength(2);
  expect(agent.status()).toMatchObject({ mode: 'direct', directReason: 'managers_silent', direct: { managers_silent: 2 } });
  const metrics = await agent.metrics.text();
  expect(metrics).toMatch(/^sekisho_agent_direct_total\{reason="managers_silent"\} 2$/mu);
  expect(metrics).toMatch(/^sekisho_agent_direct 1$/mu);
}

/** failMode closed: told to try later, and nothing goes past the mesh. */
async function closedAgent(): Promise<void> {
  const agent = await startAgent({ failMode: 'closed' });
  const startedAt = performance.now();
  const refused = sendMail(agent.port, 'must not go direct');
  await expect(refused).rejects.toThrow(SmtpReplyError);
  await expect(refused).rejects.toThrow(/^421 4\.3\.2 /u);
  expect(performance.now() - startedAt).toBeLessThan(5000 + SLACK_MS);
  expect(ledger.messages.some(({ raw }) => raw.includes('must not go direct'))).toBe(false);
  expect(agent.events('direct')).toHaveLength(0);
}

async function relayedAgain(agent: LocalAgent, returnedAt: number): Promise<void> {
  await vi.waitFor(() => expect(agent.status()).toMatchObject({ mode: 'relayed', manager: MANAGERS[1] }), { timeout: 20_000, interval: 50 });
  expect((await agent.send('the manager is back')).session).toMatchObject({ route: 'relayed', relay: 's2' });
  expect(performance.now() - returnedAt).toBeLessThan(20_000);
}

test('an agent as a process of its own: direct is counted on its metrics port, and over when a manager is there again', async () => {
  const metricsPort = await freePort();
  for (const { name } of site.servers) await site.killRole(name, 'manager');
  const agent = await mesh.startAgent({
    mac: nextMac(),
    forward: [`${ledger.address}:${ledger.port}/smtp`],
    settings: { 'metrics.port': metricsPort },
  });
  await sendMail(agent.ports[0]!, 'by itself');
  expect(agent.events('direct_mode')).toMatchObject([{ level: 'error' }]);
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  // Whoever looked whether the port accepts was a client, too.
  const counted = Number(/^sekisho_agent_direct_total\{reason="managers_silent"\} (\d+)$/mu.exec(metrics)?.[1]);
  expect(counted).toBeGreaterThan(0);
  expect(agent.events('direct')).toHaveLength(counted);

  await site.startRole('s3', 'manager');
  await agent.waitForEvents('relayed_mode', 1, 20_000);
  const { client } = await sendMail(agent.ports[0]!, 'through a relay again');
  await vi.waitFor(() =>
    expect(agent.events('session').find((line) => line['client'] === client)).toMatchObject({ route: 'relayed', relay: 's2' }),
  );
});
