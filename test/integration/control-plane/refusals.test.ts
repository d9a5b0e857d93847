import { encodeFrame, type Message, macBytes, REFUSALS, type RefusalCode } from '@sekisho/wire';
import { connectEndpoint, secureContext } from '@sekisho/channel';
import { Operator } from '@sekisho/auth';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, MAC, MANAGER_NAME, MiniSite, TestPeer, values } from './mini-site.ts';

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
});
afterEach(() => site.close());

const refuse = (code: RefusalCode) => ({ type: 'refuse', code: REFUSALS[code].number });

async function startAll(): Promise<void> {
  await site.startAuth();
  await site.startRelays(1);
  await site.startManager();
}

const record = (state: 'enabled' | 'disabled', proof: 'certificate' | 'mac-only' = 'certificate') => ({
  mac: MAC,
  label: 'Front office',
  contact: '',
  notes: '',
  state,
  proof,
  serial: null,
  rights: ['smtp'],
  expiresAt: null,
  revokedAt: null,
  updatedAt: Date.now(),
  lastSeenAt: null,
  lastSeenFrom: null,
});

/** The answer as bytes, and that the connection ends. */
async function refused(agent: TestPeer, fields: Partial<Message<'hello'>> = {}): Promise<Buffer> {
  const answer = await agent.hello(fields);
  await agent.whenClosed();
  if (answer.type !== 'refuse') throw new Error(`not refused: ${answer.type}`);
  return encodeFrame(answer);
}

test('the right MAC with a wrong key is answered exactly like an unknown MAC', async () => {
  await startAll();
  await site.store.putDevice(record('enabled'));
  await eventually('auth has heard of it', () => site.auths[0]!.status().registeredDevices === 1);
  const wrongKey = await refused(await site.agent(await site.selfSigned()));
  const unknown = '02:00:5e:10:00:99';
  const unknownMac = await refused(await site.agent(await site.selfSigned(unknown)), { mac: macBytes(unknown) });
  const ofSomebodyElse = await refused(await site.agent(await site.device(unknown)));
  expect(wrongKey.toString('hex')).toBe(unknownMac.toString('hex'));
  expect(wrongKey.toString('hex')).toBe(ofSomebodyElse.toString('hex'));
  expect(await (await site.agent(await site.device())).hello()).toMatchObject({ type: 'lease' });
});

test('a certificate of another operator with the same names', async () => {
  await startAll();
  const impostor = await Operator.init(join(site.directory, 'impostor'), { name: 'Example', managerName: MANAGER_NAME });
  const certificate = await impostor.enrollDevice({ mac: MAC, rights: ['smtp'], days: 5, proof: 'certificate' });
  expect(await (await site.agent(certificate)).hello()).toMatchObject(refuse('DEVICE_REFUSED'));
});

test('disabled and enabled again at this site; revoked for good', async () => {
  await startAll();
  const certificate = await site.device();
  await site.store.putDevice(record('disabled'));
  await eventually('auth has heard of it', () => site.auths[0]!.status().registeredDevices === 1);
  const agent = await site.agent(certificate);
  expect(await agent.hello()).toMatchObject(refuse('DEVICE_DISABLED'));
  await agent.whenClosed();
  await site.store.putDevice(record('enabled'));
  await expect.poll(async () => (await (await site.agent(certificate)).hello()).type, { timeout: 10_000 }).toBe('lease');

  const { listPem, list } = await site.operator.revoke({ serials: [certificate.serial] });
  await site.store.putRevocations({ number: list.number, pem: listPem, fetchedAt: Date.now() });
  await expect.poll(async () => (await (await site.agent(certificate)).hello()), { timeout: 10_000 }).toMatchObject(refuse('DEVICE_REVOKED'));
  await expect.poll(async () => (await site.store.getDevice(MAC))?.lastSeenFrom, { timeout: 10_000 }).toBe('127.0.0.1');
});

test('an expired certificate', async () => {
  const past = Date.now() - 20 * 86_400_000;
  const operator = await Operator.init(join(site.directory, 'past'), { name: 'Example', managerName: MANAGER_NAME, clock: () => past });
  const old = await operator.enrollDevice({ mac: MAC, rights: ['smtp'], days: 10, proof: 'certificate' });
  const today = await Operator.open(join(site.directory, 'past'));
  const keys = await today.issueSite({ site: 'tokyo-1', days: 10 });
  const credentials = (role: 'manager' | 'auth') => ({ caPem: today.caCertPem, certPem: keys[role].certPem, keyPem: keys[role].keyPem });
  await site.startAuth({ credentials: credentials('auth') });
  await site.startRelays(1);
  await site.startManager({ credentials: credentials('manager') });
  const agent = await TestPeer.connect({ port: site.manager!.port, caPem: today.caCertPem, certificate: old });
  expect(await agent.hello()).toMatchObject(refuse('DEVICE_EXPIRED'));
  await agent.whenClosed();
});

test('no relay is said at once, stays open, and ends when there is one', async () => {
  await site.startAuth();
  await site.startRelays(1);
  site.relays[0]!.report = { ...site.relays[0]!.report, unable: 'no workers' };
  await site.startManager();
  const agent = await site.agent(await site.device());
  expect(await agent.hello({}, 1000)).toMatchObject(refuse('NO_RELAY'));
  const { unable: _unable, ...able } = site.relays[0]!.report;
  site.relays[0]!.report = able;
  await expect.poll(async () => (await agent.hello()).type, { timeout: 10_000 }).toBe('lease');
  expect(await agent.hello({ avoid: ['s1'] })).toMatchObject(refuse('NO_RELAY'));
  expect(await (await site.agent(await site.device())).hello()).toMatchObject({ type: 'lease' });
});

test('no auth: an absence; but a device that is not admitted never hears one', async () => {
  await site.startRelays(1);
  const auth = await site.startAuth();
  await site.startManager({ table: { entries: ['s1'] }, relays: [{ name: 's1', host: '127.0.0.1', port: 7026, controlPort: 1 }] });
  expect(await (await site.agent(await site.selfSigned())).hello()).toMatchObject(refuse('DEVICE_REFUSED'));
  const agent = await site.agent(await site.device());
  expect(await agent.hello()).toMatchObject(refuse('NO_RELAY'));
  await auth.close();
  await eventually('the manager has noticed', () => site.manager!.status().auths[0]?.up !== true);
  expect(await agent.hello()).toMatchObject(refuse('AUTH_UNAVAILABLE'));
  expect(agent.closed).toBeUndefined();
});

test('a second auth answers when the first is gone', async () => {
  await site.startAuth();
  await site.startAuth();
  await site.startRelays(1);
  await site.startManager();
  const agent = await site.agent(await site.device());
  expect(await agent.hello()).toMatchObject({ type: 'lease' });
  await site.auths[0]!.close();
  expect(await agent.hello()).toMatchObject({ type: 'lease' });
  await eventually('the manager has noticed', () => site.manager!.status().auths[0]?.up !== true);
  expect(await agent.hello()).toMatchObject({ type: 'lease' });
});

test('versions, missing and changing MACs', async () => {
  await startAll();
  const certificate = await site.device();
  const old = await site.agent(certificate);
  expect(await old.hello({ versions: Buffer.from([9, 7]) })).toMatchObject({ ...refuse('VERSION'), versions: Buffer.from([1]) });
  await old.whenClosed();
  const both = await site.agent(certificate);
  expect(await both.hello({ versions: Buffer.from([9, 1]) })).toMatchObject({ type: 'lease', version: 1 });
  expect(await both.hello({ mac: macBytes('02:00:5e:10:00:02') })).toMatchObject(refuse('PROTOCOL'));
  await both.whenClosed();
  const nameless = await site.agent(certificate);
  expect(await nameless.hello({ mac: undefined })).toMatchObject(refuse('PROTOCOL'));
  await nameless.whenClosed();
});

test('too many failures: later, and for how long; a device with its key is not concerned', async () => {
  await site.startAuth({ failures: { device: { burst: 2, refillMs: 60_000 }, address: { burst: 100, refillMs: 1000 } } });
  await site.startRelays(1);
  await site.startManager();
  const wrong = await site.selfSigned();
  for (let attempt = 0; attempt < 2; attempt += 1) await refused(await site.agent(wrong));
  const limited = await (await site.agent(wrong)).hello();
  expect(limited).toMatchObject(refuse('RATE_LIMITED'));
  expect((limited as Message<'refuse'>).retryAfterMs).toBeGreaterThan(1000);
  expect(await (await site.agent(await site.device())).hello()).toMatchObject({ type: 'lease' });
  expect(await values(site.authMetrics)).toMatchObject({
    'sekisho_auth_refusals_total{code="DEVICE_REFUSED"}': 2,
    'sekisho_auth_refusals_total{code="RATE_LIMITED"}': 1,
    'sekisho_auth_grants_total{proof="certificate"}': 1,
  });
});

test('mac-only admits who is registered for it, loudly', async () => {
  await site.store.putDevice(record('enabled', 'mac-only'));
  await site.startAuth({ proof: 'mac-only' });
  await site.startRelays(1);
  await site.startManager();
  expect(await (await site.agent(await site.selfSigned())).hello()).toMatchObject({ type: 'lease' });
  const other = '02:00:5e:10:00:02';
  expect(await (await site.agent(await site.selfSigned(other))).hello({ mac: macBytes(other) })).toMatchObject(refuse('DEVICE_REFUSED'));
  expect(site.logged.some(({ event, level }) => event === 'mac_only' && level === 'warn')).toBe(true);
  expect(await values(site.authMetrics)).toMatchObject({ sekisho_auth_mac_only: 1, 'sekisho_auth_grants_total{proof="mac-only"}': 1 });
});

test('a revoked device stays out when auth starts again with the store and every source of the list gone', async () => {
  const rememberedFile = join(site.directory, 'revocations.crl.pem');
  const certificate = await site.device();
  await writeFile(rememberedFile, (await site.operator.revoke({ serials: [certificate.serial] })).listPem);
  await site.startAuth({ revocations: { urls: ['http://127.0.0.1:1/list'], rememberedFile, refreshMs: 1000, maxAgeMs: 1e9 } });
  await site.startRelays(1);
  await site.startManager();
  expect(await (await site.agent(certificate)).hello()).toMatchObject(refuse('DEVICE_REVOKED'));
});

test('only managers of the same site are answered by auth', async () => {
  const auth = await site.startAuth();
  const other = await site.operator.issueSite({ site: 'osaka-1', days: 5 });
  const impostor = await Operator.init(join(site.directory, 'impostor'), { name: 'Example', managerName: MANAGER_NAME });
  const forged = await impostor.issueSite({ site: 'tokyo-1', days: 5 });
  for (const certificate of [site.keys.relay, site.keys.auth, other.manager, forged.manager, await site.device()]) {
    const peer = await TestPeer.connect({ port: auth.port, caPem: site.operator.caCertPem, certificate, role: 'auth' });
    const answer = await eventually('the refusal', () => peer.messages[0]);
    expect(answer).toMatchObject({ ...refuse('IDENTITY'), id: 0 });
    await peer.whenClosed();
  }
  const early = await TestPeer.connect({ port: auth.port, caPem: site.operator.caCertPem, certificate: site.keys.manager, role: 'auth' });
  const question = { type: 'authorize', mac: macBytes(MAC), certificate: Buffer.from('x'), verified: 1, address: '192.0.2.1', relays: [] } as const;
  expect(await early.connection.ask<'authorize'>(question, 2000)).toMatchObject(refuse('PROTOCOL'));
  const manager = await TestPeer.connect({ port: auth.port, caPem: site.operator.caCertPem, certificate: site.keys.manager, role: 'auth' });
  expect(await manager.hello({ versions: Buffer.from([1]) })).toMatchObject({ type: 'welcome', name: 's1', site: 'tokyo-1', version: 1 });
  expect(await manager.connection.ask<'authorize'>(question, 2000)).toMatchObject(refuse('DEVICE_REFUSED'));
  expect(await values(site.authMetrics)).toMatchObject({ 'sekisho_auth_rejected_connections_total{reason="identity"}': 5 });
});

test('a manager of another name is none to an agent', async () => {
  await startAll();
  const { certPem, keyPem } = await site.device();
  await expect(
    connectEndpoint({
      host: '127.0.0.1',
      port: site.manager!.port,
      context: secureContext({ caPem: site.operator.caCertPem, certPem, keyPem }),
      alpn: 'sekisho-control/1',
      expect: { role: 'manager', serverName: 'other.example.com' },
      timeoutMs: 5000,
    }),
  ).rejects.toMatchObject({ code: 'IDENTITY' });
});

test('the same device from two addresses at once is an alarm', async () => {
  const auth = await site.startAuth();
  const manager = await TestPeer.connect({ port: auth.port, caPem: site.operator.caCertPem, certificate: site.keys.manager, role: 'auth' });
  await manager.hello();
  const { X509Certificate } = await import('node:crypto');
  const certificate = new X509Certificate((await site.device()).certPem).raw;
  for (const address of ['192.0.2.1', '198.51.100.1'])
    expect(await manager.connection.ask<'authorize'>({ type: 'authorize', mac: macBytes(MAC), certificate, verified: 1, address, relays: ['s1'] }, 2000)).toMatchObject({ type: 'grant' });
  expect(site.logged.filter(({ event }) => event === 'two_places')).toMatchObject([{ device: MAC, address: '198.51.100.1' }]);
  expect(await values(site.authMetrics)).toMatchObject({ sekisho_auth_two_places_total: 1 });
});
