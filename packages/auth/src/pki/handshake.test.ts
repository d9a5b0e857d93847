import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { identityOf } from '@sekisho/channel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IssuedCertificate } from './leaf.ts';
import { Operator, type IssuedSite } from './operator.ts';

const run = promisify(execFile);
const DAY_MS = 86_400_000;
const device = { mac: '02:00:5e:10:00:01', rights: ['smtp', 'pop3', 'imap'], days: 1, proof: 'certificate' } as const;
const names = { name: 'Example', managerName: 'manager.example.com' };

let directory: string;
let operator: Operator;
let site: IssuedSite;
let stranger: Operator;

/** Everything made here was made this long ago. */
let ageMs = 0;
const clock = () => Date.now() - ageMs;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sekisho-handshake-'));
  ageMs = 10 * DAY_MS;
  operator = await Operator.init(join(directory, 'operator'), { ...names, clock });
  stranger = await Operator.init(join(directory, 'stranger'), { ...names, clock });
  ageMs = 0;
  site = await operator.issueSite({ site: 'tokyo-1', days: 1 });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

type Side = ReturnType<typeof tls>;

interface Outcome {
  readonly server: unknown;
  readonly client: unknown;
  readonly protocol: string | null;
}

const tls = ({ certPem, keyPem }: IssuedCertificate, ca: string, crl?: string) =>
  ({ cert: certPem, key: keyPem, ca, minVersion: 'TLSv1.3', ...(crl && { crl }) }) as const;

/** One handshake on loopback; each side says whom it saw, or why it refused. */
async function handshake(server: Side, client: Side, rejectUnauthorized = true): Promise<Outcome> {
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized });
  const served = new Promise((resolve) => {
    listener.once('secureConnection', (socket) => {
      resolve(seenBy(socket));
      socket.on('error', () => undefined).end();
    });
    listener.once('tlsClientError', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ ...client, host: '127.0.0.1', port, servername: 'manager.example.com', rejectUnauthorized: true });
  try {
    const connected = new Promise((resolve) => {
      socket.once('secureConnect', () => resolve(seenBy(socket)));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    return { client: await connected, server: await served, protocol: socket.getProtocol() };
  } finally {
    socket.destroy();
    listener.close();
    await once(listener, 'close');
  }
}

/** Asserts that the server closes on this client, and says why: a server that rejects by itself does not tell. */
async function refusalOf(server: Side, client: Side): Promise<unknown> {
  expect((await handshake(server, client)).server).toBe('ECONNRESET');
  return (await handshake(server, client, false)).server;
}

function seenBy(socket: TLSSocket): unknown {
  // Node declares an Error and delivers its code as a string.
  if (!socket.authorized) return socket.authorizationError;
  const certificate = socket.getPeerX509Certificate();
  return certificate && identityOf(certificate);
}

describe('TLS 1.3 on both sides', () => {
  it('lets a device and a manager know each other', async () => {
    const outcome = await handshake(
      tls(site.manager, operator.caCertPem),
      tls(await operator.enrollDevice(device), operator.caCertPem),
    );
    expect(outcome).toEqual({
      client: { kind: 'server', site: 'tokyo-1', role: 'manager' },
      server: { kind: 'device', mac: device.mac, rights: device.rights },
      protocol: 'TLSv1.3',
    });
  });

  it('lets a server be a client too', async () => {
    const { server } = await handshake(tls(site.manager, operator.caCertPem), tls(site.relay, operator.caCertPem));
    expect(server).toEqual({ kind: 'server', site: 'tokyo-1', role: 'relay' });
  });

  it('refuses a device of another operator with the same name', async () => {
    const foreign = await stranger.enrollDevice(device);
    const reason = await refusalOf(tls(site.manager, operator.caCertPem), tls(foreign, operator.caCertPem));
    expect(reason).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/u);
  });

  it('refuses a manager of another operator', async () => {
    const foreign = await stranger.issueSite({ site: 'tokyo-1', days: 1 });
    const client = tls(await operator.enrollDevice(device), operator.caCertPem);
    const outcome = await handshake(tls(foreign.manager, operator.caCertPem), client);
    expect(outcome.client).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/u);
  });

  it('refuses an expired device and an expired manager', async () => {
    ageMs = 5 * DAY_MS;
    const old = await operator.enrollDevice(device);
    const oldSite = await operator.issueSite({ site: 'tokyo-1', days: 1 });
    ageMs = 0;
    const reason = await refusalOf(tls(site.manager, operator.caCertPem), tls(old, operator.caCertPem));
    expect(reason).toBe('CERT_HAS_EXPIRED');
    const fresh = tls(await operator.enrollDevice(device), operator.caCertPem);
    expect((await handshake(tls(oldSite.manager, operator.caCertPem), fresh)).client).toBe('CERT_HAS_EXPIRED');
  });

  it('refuses a mac-only device, a device as a server, and a server without the managers’ name', async () => {
    const known = await operator.enrollDevice(device);
    const claimed = await operator.enrollDevice({ ...device, proof: 'mac-only' });
    const reason = await refusalOf(tls(site.manager, operator.caCertPem), tls(claimed, operator.caCertPem));
    expect(reason).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    const client = tls(known, operator.caCertPem);
    expect((await handshake(tls(known, operator.caCertPem), client)).client).toBe('INVALID_PURPOSE');
    expect((await handshake(tls(site.relay, operator.caCertPem), client)).client).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('refuses a revoked device when OpenSSL itself has the list', async () => {
    const lost = await operator.enrollDevice(device);
    const kept = await operator.enrollDevice(device);
    const { listPem } = await operator.revoke({ serials: [lost.serial], reason: 'key-compromise' });
    const manager = tls(site.manager, operator.caCertPem, listPem);
    expect(await refusalOf(manager, tls(lost, operator.caCertPem))).toBe('CERT_REVOKED');
    expect((await handshake(manager, tls(kept, operator.caCertPem))).server).toMatchObject({ kind: 'device' });
  });
});

describe('openssl verify', () => {
  it('accepts every chain under strict rules, and only those of this operator', async () => {
    const caFile = join(directory, 'ca.pem');
    await writeFile(caFile, operator.caCertPem);
    const verify = async ({ certPem }: IssuedCertificate, purpose: string) => {
      const file = join(directory, 'leaf.pem');
      await writeFile(file, certPem);
      const flags = ['-x509_strict', '-check_ss_sig', '-purpose', purpose, '-no-CApath', '-no-CAstore', '-CAfile', caFile];
      const { stdout } = await run('openssl', ['verify', ...flags, file]);
      return stdout.trim().endsWith(': OK');
    };
    expect(await verify(await operator.enrollDevice(device), 'sslclient')).toBe(true);
    for (const server of [site.manager, site.relay, site.auth]) {
      expect(await verify(server, 'sslclient')).toBe(true);
      expect(await verify(server, 'sslserver')).toBe(true);
    }
    const asServer = verify(await operator.enrollDevice(device), 'sslserver');
    await expect(asServer).rejects.toThrow(/unsuitable certificate purpose|unsupported certificate purpose/u);
    await expect(verify(await stranger.enrollDevice(device), 'sslclient')).rejects.toThrow(/unable to/u);
  });
});
