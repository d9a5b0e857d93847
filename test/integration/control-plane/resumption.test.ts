import { connectEndpoint, ControlConnection, secureContext, SessionStore } from '@sekisho/channel';
import type { IssuedCertificate } from '@sekisho/auth';
import { CONTROL_ALPN, macBytes, type Message, PROTOCOL_VERSIONS, refusalCode } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, MAC, MANAGER_NAME, MiniSite } from './mini-site.ts';

/** What a resumed TLS session is worth at a manager: a handshake that is cheaper, and nothing else. */

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
});
afterEach(() => site.close());

/** One device that keeps its TLS sessions, as agents do. */
class Device {
  readonly #sessions = new SessionStore();
  readonly #context;

  constructor({ certPem, keyPem }: IssuedCertificate) {
    this.#context = secureContext({ caPem: site.operator.caCertPem, certPem, keyPem });
  }

  /** Connects, says hello, and leaves: what it was told, and whether its session was an old one. */
  async hello(mac = MAC): Promise<[isResumed: boolean, answer: string]> {
    const socket = await connectEndpoint({
      host: '127.0.0.1',
      port: site.manager!.port,
      context: this.#context,
      sessions: this.#sessions,
      alpn: CONTROL_ALPN,
      expect: { role: 'manager', serverName: MANAGER_NAME },
      timeoutMs: 5000,
    });
    const connection = new ControlConnection<'lease' | 'refuse'>(
      socket,
      { accepts: ['lease', 'refuse'], maxPending: 1, maxBufferedBytes: 65_536 },
      { onMessage: () => {}, onClose: () => {} },
    );
    const hello = { type: 'hello', versions: Buffer.from(PROTOCOL_VERSIONS), software: 'test', mac: macBytes(mac), avoid: [] } as const;
    const answer: Message = await connection.ask<'hello'>(hello, 5000);
    connection.close();
    return [socket.isSessionReused(), answer.type === 'refuse' ? refusalCode(answer.code) : answer.type];
  }
}

test('a device that comes back resumes; when it is revoked, it is refused all the same', async () => {
  const certificate = await site.device();
  await site.startAuth();
  await site.startRelays(1);
  await site.startManager();
  const device = new Device(certificate);
  expect(await device.hello()).toEqual([false, 'lease']);
  expect(await device.hello()).toEqual([true, 'lease']);
  const { listPem, list } = await site.operator.revoke({ serials: [certificate.serial] });
  await site.store.putRevocations({ number: list.number, pem: listPem, fetchedAt: Date.now() });
  await eventually('auth has the list', () => site.auths[0]?.status().revocations.revoked === 1);
  expect(await device.hello()).toEqual([true, 'DEVICE_REVOKED']);
});

test('nor does it help who was refused at first, or claims another device', async () => {
  await site.startAuth();
  await site.startRelays(1);
  await site.startManager();
  const impostor = new Device(await site.selfSigned());
  expect([await impostor.hello(), await impostor.hello()]).toEqual([[false, 'DEVICE_REFUSED'], [true, 'DEVICE_REFUSED']]);
  const device = new Device(await site.device());
  expect(await device.hello()).toEqual([false, 'lease']);
  expect(await device.hello('02:00:5e:10:00:02')).toEqual([true, 'DEVICE_REFUSED']);
  expect(await device.hello()).toEqual([true, 'lease']);
});
