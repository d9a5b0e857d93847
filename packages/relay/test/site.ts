import { createHash, createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import type { Credentials } from '@sekisho/channel';
import { macBytes, packRights, type Right, sealTicket, type ServerRole, type Ticket } from '@sekisho/wire';
import { createAuthority, loadAuthority } from '../../auth/src/pki/certificate-authority.ts';
import { newTicketKey } from '../../auth/src/pki/keys.ts';
import { issueLeaf, selfSignedLeaf } from '../../auth/src/pki/leaf.ts';
import { leafValidity } from '../../auth/src/pki/validity.ts';
import { DEFAULT_DEADLINES, type RelaySettings } from '../src/settings.ts';

export const SITE = 'tokyo-1';
export const RELAY = 's1';

export interface TestDevice {
  readonly mac: string;
  readonly credentials: Credentials;
  readonly fingerprint: Buffer;
}

/** An operator, a site and its devices: real certificates, made when asked for. */
export class TestSite {
  readonly caPem: string;
  readonly relay: Credentials;
  readonly ticketPublicPem: string;
  readonly #ca: Awaited<ReturnType<typeof loadAuthority>>;
  readonly #ticketKey: KeyObject;
  readonly #keyId: string;

  static async make(): Promise<TestSite> {
    const { certPem, keyPem } = await createAuthority('Test operator', new Date());
    const ca = await loadAuthority(certPem, keyPem);
    const relay = await serverLeaf(ca, SITE, 'relay');
    return new TestSite(ca, { caPem: certPem, ...relay });
  }

  private constructor(ca: Awaited<ReturnType<typeof loadAuthority>>, relay: Credentials) {
    const key = newTicketKey();
    this.#ca = ca;
    this.caPem = relay.caPem;
    this.relay = relay;
    this.ticketPublicPem = key.publicPem;
    this.#ticketKey = createPrivateKey(key.privatePem);
    this.#keyId = key.keyId;
  }

  async server(role: ServerRole, site = SITE): Promise<Credentials> {
    return { caPem: this.caPem, ...(await serverLeaf(this.#ca, site, role)) };
  }

  async device(mac = '02:00:5e:10:00:01', proof: 'certificate' | 'mac-only' = 'certificate'): Promise<TestDevice> {
    const identity = { kind: 'device', mac, rights: ['smtp', 'pop3', 'imap'] } as const;
    const validity = leafValidity(new Date(), 30, this.#ca.validity);
    const leaf =
      proof === 'certificate'
        ? await issueLeaf(this.#ca, { identity, dnsNames: [], validity })
        : await selfSignedLeaf(identity, validity);
    const fingerprint = createHash('sha256').update(new X509Certificate(leaf.certPem).raw).digest();
    return { mac, credentials: { caPem: this.caPem, certPem: leaf.certPem, keyPem: leaf.keyPem }, fingerprint };
  }

  ticket(device: TestDevice, change: Partial<Ticket> & { readonly may?: readonly Right[] } = {}): Buffer {
    const { may = ['smtp', 'pop3', 'imap'], ...fields } = change;
    return sealTicket(
      {
        keyId: Buffer.from(this.#keyId, 'hex'),
        site: SITE,
        mac: macBytes(device.mac),
        fingerprint: device.fingerprint,
        relays: [RELAY, 's2'],
        rights: packRights(may),
        issuedAtMs: Date.now(),
        expiresAtMs: Date.now() + 600_000,
        proof: 0,
        id: randomBytes(16),
        ...fields,
      },
      this.#ticketKey,
    );
  }

  /** A relay on loopback that may relay to loopback, on any port it is told. */
  settings(change: Partial<RelaySettings> & { readonly ports?: readonly number[] } = {}): RelaySettings {
    const { ports = [], ...fields } = change;
    return {
      site: SITE,
      name: RELAY,
      listen: { host: '127.0.0.1', port: 0, controlPort: 0 },
      credentials: this.relay,
      ticketKeys: [this.ticketPublicPem],
      proof: 'certificate',
      workers: 1,
      limits: { maxSessions: 1000, maxDevices: 500, maxSessionsPerDevice: 300, maxPerAddress: 400 },
      windowBytes: 256 * 1024,
      destinations: { extraPorts: ports, allow: ['127.0.0.0/8'], ownAddresses: [], proxyProtocol: [] },
      dnsServers: ['127.0.0.1:1'],
      connectTimeoutMs: 2000,
      drainTimeoutMs: 10_000,
      bytesPerSecondLimit: 0,
      deadlines: DEFAULT_DEADLINES,
      ...fields,
    };
  }
}

async function serverLeaf(ca: Awaited<ReturnType<typeof loadAuthority>>, site: string, role: ServerRole) {
  const validity = leafValidity(new Date(), 30, ca.validity);
  const leaf = await issueLeaf(ca, { identity: { kind: 'server', site, role }, dnsNames: [], validity });
  return { certPem: leaf.certPem, keyPem: leaf.keyPem };
}
