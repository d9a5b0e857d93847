import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { Peer } from '@sekisho/channel';
import { CLOCK_SKEW_MS, formatMac, openTicket, Refusal, type Right, RIGHTS, type Ticket } from '@sekisho/wire';

/** What a ticket has allowed, for as long as its connection lives or until the next ticket. */
export interface Admission {
  readonly mac: string;
  readonly rights: number;
  readonly expiresAtMs: number;
}

const PROOF = { certificate: 0, macOnly: 1 } as const;

/** Opens tickets offline, once each: an Ed25519 verification costs half a session (measured, 0.11 ms). */
export class Gate {
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #site: string;
  readonly #relay: string;
  readonly #proof: 'certificate' | 'mac-only';
  readonly #now: () => number;

  /**
   * @param components now: milliseconds since the epoch, as auth's clock
   * @throws TypeError for a key that is not Ed25519
   */
  constructor(
    components: { readonly now: () => number },
    init: {
      readonly site: string;
      readonly relay: string;
      readonly ticketKeys: readonly string[];
      readonly proof: 'certificate' | 'mac-only';
    },
  ) {
    this.#now = components.now;
    this.#site = init.site;
    this.#relay = init.relay;
    this.#proof = init.proof;
    this.#keys = new Map(
      init.ticketKeys.map((pem) => {
        const key = createPublicKey(pem);
        return [keyIdOf(key), key];
      }),
    );
  }

  /**
   * Checks a ticket against the certificate that the peer proved in this connection's handshake.
   * @throws Refusal TICKET_INVALID, TICKET_MISMATCH or TICKET_EXPIRED
   */
  admit(sealed: Buffer, peer: Peer): Admission {
    const ticket = openTicket(sealed, {
      keys: this.#keys,
      site: this.#site,
      relay: this.#relay,
      fingerprint: peer.fingerprint,
      nowMs: this.#now(),
    });
    const mac = macOf(ticket);
    checkProof(ticket, mac, peer);
    // A thief of auth's key must not be able to admit devices of his own making.
    if (ticket.proof === PROOF.macOnly && this.#proof === 'certificate')
      throw new Refusal('TICKET_INVALID', 'this site admits no device by its MAC alone');
    return { mac, rights: ticket.rights, expiresAtMs: ticket.expiresAtMs };
  }

  /** How long an admission still holds, in milliseconds. */
  ttlMs({ expiresAtMs }: Admission): number {
    return Math.max(0, expiresAtMs - this.#now());
  }

  /**
   * Whether an admitted device may begin a session now.
   * @throws Refusal TICKET_EXPIRED or RIGHTS
   */
  checkSession(admission: Admission, right: Right): void {
    if (this.#now() > admission.expiresAtMs + CLOCK_SKEW_MS)
      throw new Refusal('TICKET_EXPIRED', 'the ticket has run out and was not renewed');
    if ((admission.rights & RIGHTS[right]) === 0) throw new Refusal('RIGHTS', `the device has no right to ${right}`);
  }
}

function macOf({ mac }: Ticket): string {
  try {
    return formatMac(mac);
  } catch {
    throw new Refusal('TICKET_INVALID', 'the ticket is for no device');
  }
}

/** Auth said how the device was proved; what can be seen of it here must fit. */
function checkProof({ proof }: Ticket, mac: string, { verified, identity }: Peer): void {
  if (proof !== PROOF.certificate && proof !== PROOF.macOnly)
    throw new Refusal('TICKET_INVALID', 'the ticket names an unknown proof');
  if (proof === PROOF.certificate && !verified)
    throw new Refusal('TICKET_MISMATCH', "the certificate is not the operator's");
  if (identity?.kind !== 'device' || identity.mac !== mac)
    throw new Refusal('TICKET_MISMATCH', 'the ticket is for another device');
}

/** The first 8 bytes of the SHA-256 of the raw public key (protocol.md, ticket), in hexadecimal. */
function keyIdOf(key: KeyObject): string {
  const { x } = key.export({ format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519' || x === undefined) throw new TypeError('a ticket key is an Ed25519 key');
  return createHash('sha256').update(Buffer.from(x, 'base64url')).digest().subarray(0, 8).toString('hex');
}
