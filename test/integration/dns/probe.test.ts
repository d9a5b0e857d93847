import { secureContext } from '@sekisho/channel';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ask, askAsDevice, askAsServer } from '../../../packages/cli/src/dns/probe.ts';
import { MAC, MANAGER_NAME, MiniSite } from '../control-plane/mini-site.ts';

/** What dns-check makes of who answers at an address. */

const ABOUT = { version: '1.2.3', config: 'aaaaaaaaaaaaaaaa', stack: '5555555555555555' };

let site: MiniSite;
beforeAll(async () => {
  site = await MiniSite.make();
  await site.startAuth();
  await site.startRelays(2);
  await site.startManager({ about: ABOUT });
});
afterAll(() => site.close());

function asServer(port = site.manager!.port, name = MANAGER_NAME): Ask {
  return askAsServer(secureContext(site.credentials('relay')), { port, name, timeoutMs: 3000 });
}

async function asDevice(mac = MAC, proof: 'certificate' | 'mac-only' = 'certificate'): Promise<Ask> {
  const issued = proof === 'certificate' ? await site.device(mac) : await site.selfSigned(mac);
  const credentials = { caPem: site.operator.caCertPem, certPem: issued.certPem, keyPem: issued.keyPem };
  return askAsDevice(credentials, mac, { port: site.manager!.port, name: MANAGER_NAME, timeoutMs: 3000 });
}

test('a server is told software and digests, a device its relays; both see the clock', async () => {
  const [server, device] = [await asServer()('127.0.0.1'), await (await asDevice())('127.0.0.1')];
  const same = { address: '127.0.0.1', ok: true, site: 'tokyo-1', manager: 's1', certificateDays: 9 };
  expect(server).toMatchObject({ ...same, software: 'sekisho-manager/1.2.3', config: ABOUT.config, stack: ABOUT.stack, relays: null });
  expect(device).toMatchObject({ ...same, software: null, config: null, stack: null });
  for (const probe of [server, device]) expect(Math.abs(probe.ok ? (probe.clockOffsetMs ?? 9e9) : 9e9)).toBeLessThan(1000);
  expect(device.ok && device.relays?.toSorted()).toEqual(['s1', 's2']);
});

test('a server of another role, one for another name, nobody, and one that says no', async () => {
  const bad = [await asServer(site.auths[0]!.port)('127.0.0.1'), await asServer(undefined, 'other.example.com')('127.0.0.1'), await asServer(1)('127.0.0.1'), await (await asDevice('02:00:5e:10:00:09', 'mac-only'))('127.0.0.1')];
  expect(bad.map((probe) => !probe.ok && probe.kind)).toEqual(['impostor', 'impostor', 'silent', 'refused']);
  expect(bad[3]).toMatchObject({ reason: expect.stringMatching(/^refused: DEVICE_REFUSED/u) });
});
