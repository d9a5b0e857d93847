import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IssuedCertificate } from '@sekisho/auth';
import { REFUSALS } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MiniSite, TestPeer, values } from './mini-site.ts';

const run = promisify(execFile);

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
  await site.startAuth();
  await site.startRelays(1);
});
afterEach(() => site.close());

/** A certificate that anybody can make; `extension` is one of OpenSSL's. */
async function homemade(extension: string): Promise<IssuedCertificate> {
  const [key, cert] = [join(site.directory, 'made.key'), join(site.directory, 'made.crt')];
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=made'];
  await run('openssl', ['req', '-x509', ...options, '-keyout', key, '-out', cert, '-addext', extension]);
  return { certPem: await readFile(cert, 'utf8'), keyPem: await readFile(key, 'utf8'), serial: '01', expiresAt: new Date() };
}

test('a stranger does not keep his place by talking; a device does', async () => {
  await site.startManager({ idleMs: 900 });
  const stranger = await site.agent(await site.selfSigned());
  const limited = await site.agent(await site.selfSigned('02:00:5e:10:00:02'));
  const device = await site.agent(await site.device());
  const pings = setInterval(() => {
    for (const one of [stranger, limited, device]) one.connection.send({ type: 'ping', id: 9 });
  }, 100);
  try {
    await stranger.whenClosed();
    await limited.whenClosed();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(device.closed).toBeUndefined();
    expect(site.manager!.status().agents).toBe(1);
  } finally {
    clearInterval(pings);
  }
});

test('a certificate too large to be shown to auth is a stranger’s, and no mistake of ours', async () => {
  await site.startManager();
  const agent = await site.agent(await homemade(`1.2.3.4=ASN1:UTF8String:${'x'.repeat(5000)}`));
  expect(await agent.hello()).toMatchObject({ type: 'refuse', code: REFUSALS.DEVICE_REFUSED.number });
  await agent.whenClosed();
  expect(site.logged.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a stranger raises no alarm of agents that go direct', async () => {
  await site.startManager();
  const stranger = await site.agent(await site.selfSigned());
  expect(await stranger.hello({ direct: 1 })).toMatchObject({ type: 'refuse', code: REFUSALS.DEVICE_REFUSED.number });
  expect(site.manager!.status().direct).toEqual({ agents: 0, hellos: 0 });
  expect(site.logged.filter(({ event }) => event === 'agent_direct')).toEqual([]);
  const device = await site.agent(await site.device());
  await device.hello({ direct: 1 });
  expect(site.logged.filter(({ event }) => event === 'agent_direct')).toMatchObject([{ device: '02:00:5e:10:00:01' }]);
});

test('agents that say they go direct and are gone before they have a lease are not counted any more, nor less than none', async () => {
  await site.startManager();
  const certificate = await site.device();
  for (let time = 0; time < 5; time += 1) {
    const agent = await site.agent(certificate);
    void agent.hello({ direct: 1 }).catch(() => {});
    agent.connection.socket.destroySoon();
    await agent.whenClosed();
  }
  const last = await site.agent(certificate);
  expect(await last.hello()).toMatchObject({ type: 'lease' });
  expect(site.manager!.status().direct.agents).toBe(0);
  expect((await values(site.managerMetrics))['sekisho_manager_agents_direct'] ?? 0).toBe(0);
});

test('who is no manager and knocks at auth again and again is counted each time, and told of once', async () => {
  const certificate = await site.device();
  for (let time = 0; time < 10; time += 1) {
    const peer = await TestPeer.connect({ port: site.auths[0]!.port, caPem: site.operator.caCertPem, certificate, role: 'auth' });
    await peer.whenClosed();
  }
  expect((await values(site.authMetrics))['sekisho_auth_rejected_connections_total{reason="identity"}']).toBe(10);
  expect(site.logged.filter(({ event }) => event === 'identity_refused').map(({ level }) => level)).toEqual(['warn', ...Array<string>(9).fill('debug')]);
});
