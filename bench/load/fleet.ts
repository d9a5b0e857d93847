import { createHash, createPrivateKey, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Operator } from '@sekisho/auth';
import { macBytes, packRights, sealTicket } from '@sekisho/wire';
import type { Ours } from '../peers/ours.ts';
import { HelperProcess } from './helper-process.ts';

interface Enrolled {
  readonly certPem: string;
  readonly keyPem: string;
  /** In base64. */
  readonly ticket: string;
}

/** What a fleet's process is told; it answers with the seconds that it took. */
export type FleetTask =
  | { readonly kind: 'enroll'; readonly port: number; readonly caPem: string; readonly devices: readonly Enrolled[] }
  | { readonly kind: 'connect'; readonly count: number }
  | { readonly kind: 'send'; readonly port: number; readonly mails: number }
  | { readonly kind: 'set-up'; readonly connections: number; readonly isResumed: boolean }
  | { readonly kind: 'close' };

const TICKET_TTL_MS = 600_000;

/** Many devices, each with a key and a certificate of its own, at the relay of one site. */
export class Fleet {
  readonly #process = new HelperProcess(join(import.meta.dirname, 'fleet-process.ts'));

  /** Enrolls devices at the operator; their tickets are sealed here, as the site's auth would. */
  static async start(ours: Ours, count: number): Promise<Fleet> {
    const operator = await Operator.open(ours.mesh.operator);
    const seal = ticketSealer(ours);
    const devices: Enrolled[] = [];
    for (let index = 0; index < count; index += 1) {
      const mac = `02:00:5e:20:${hex(index >> 8)}:${hex(index & 0xff)}`;
      const { certPem, keyPem } = await operator.enrollDevice({ mac, rights: ['smtp'], days: 1, proof: 'certificate' });
      devices.push({ certPem, keyPem, ticket: seal(mac, certPem).toString('base64') });
    }
    const fleet = new Fleet();
    await fleet.#do({ kind: 'enroll', port: ours.site.ports.relay, caPem: operator.caCertPem, devices });
    return fleet;
  }

  /** So many devices connect and are admitted. */
  connect(count: number): Promise<number> {
    return this.#do({ kind: 'connect', count });
  }

  /** Each connected device sends its share of mails, one session after the other. @returns seconds */
  send(port: number, mails: number): Promise<number> {
    return this.#do({ kind: 'send', port, mails });
  }

  /** Devices connect, are admitted and leave. @returns seconds @throws Error when TLS sessions were not (or were) resumed */
  setUp(connections: number, isResumed: boolean): Promise<number> {
    return this.#do({ kind: 'set-up', connections, isResumed });
  }

  /** Those that are connected leave. */
  async disconnect(): Promise<void> {
    await this.#do({ kind: 'close' });
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  #do(task: FleetTask): Promise<number> {
    return this.#process.ask<number>(task);
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function ticketSealer(ours: Ours): (mac: string, certPem: string) => Buffer {
  const key = createPrivateKey(ours.keyFile('ticket.key.pem'));
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  const keyId = createHash('sha256').update(Buffer.from(x, 'base64url')).digest().subarray(0, 8);
  return (mac, certPem) =>
    sealTicket(
      {
        keyId,
        site: ours.site.name,
        mac: macBytes(mac),
        fingerprint: createHash('sha256').update(new X509Certificate(certPem).raw).digest(),
        relays: ours.site.servers.map(({ name }) => name),
        rights: packRights(['smtp']),
        issuedAtMs: Date.now(),
        expiresAtMs: Date.now() + TICKET_TTL_MS,
        proof: 0,
        id: randomBytes(16),
      },
      key,
    );
}
