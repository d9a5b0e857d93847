import { createPublicKey, X509Certificate, createHash } from 'node:crypto';
import { macBytes, openTicket, RIGHTS } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, MAC, MiniSite, values } from './mini-site.ts';

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
});
afterEach(() => site.close());

test('hello to lease: the relays, the ticket, the times; and a renewal that stays where it is', async () => {
  await site.startAuth();
  await site.startRelays(2);
  await site.startManager();
  const certificate = await site.device();
  const agent = await site.agent(certificate);
  const lease = await agent.hello();
  if (lease.type !== 'lease') throw new Error(JSON.stringify(lease));
  expect(lease).toMatchObject({ version: 1, site: 'tokyo-1', manager: 's1', ttlMs: 600_000, reason: 'least-load' });
  expect(lease.relays.map(({ name }) => name).sort()).toEqual(['s1', 's2']);
  expect(lease.relays[0]).toMatchObject({ host: '127.0.0.1', port: 7026 });
  expect(lease.renewAfterMs).toBeGreaterThanOrEqual(240_000);
  expect(lease.renewAfterMs).toBeLessThanOrEqual(360_000);

  const fingerprint = createHash('sha256').update(new X509Certificate(certificate.certPem).raw).digest();
  const keys = new Map([[site.keys.ticketKey.keyId, createPublicKey(site.keys.ticketKey.publicPem)]]);
  for (const relay of ['s1', 's2']) {
    const ticket = openTicket(Buffer.from(lease.ticket), { keys, site: 'tokyo-1', relay, fingerprint, nowMs: Date.now() });
    expect(ticket).toMatchObject({ mac: macBytes(MAC), proof: 0, rights: RIGHTS.smtp | RIGHTS.pop3 | RIGHTS.imap });
    expect(ticket.expiresAtMs - ticket.issuedAtMs).toBe(600_000);
  }

  const relay = lease.relays[0]!.name;
  expect(await agent.hello({ relay })).toMatchObject({ type: 'lease', reason: 'kept', relays: [{ name: relay }, {}] });
  expect(await agent.hello({ relay, avoid: [relay] })).toMatchObject({ type: 'lease', relays: [{ name: relay === 's1' ? 's2' : 's1' }] });
  expect(await agent.connection.ask({ type: 'ping' }, 2000)).toMatchObject({ type: 'pong' });
  agent.connection.send({ type: 'bye', session: Buffer.alloc(16, 7), outcome: 'done', bytesUp: 1, bytesDown: 2, durationMs: 3, relay });
  const bye = await eventually('the session is in the log', () => site.logged.find(({ event }) => event === 'session'));
  expect(bye).toMatchObject({ session: '07'.repeat(16), device: MAC, relay, bytesUp: 1, bytesDown: 2, outcome: 'done' });
  expect(await values(site.managerMetrics)).toMatchObject({
    sekisho_manager_agents: 1,
    'sekisho_manager_leases_total{reason="kept"}': 1,
    'sekisho_manager_leases_total{reason="least-load"}': 2,
    'sekisho_manager_relay_state{relay="s1",state="up"}': 1,
    'sekisho_manager_auth_up{auth="s1"}': 1,
    sekisho_manager_store_up: 1,
  });
});
