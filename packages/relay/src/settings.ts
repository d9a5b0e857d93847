import type { About, Credentials } from '@sekisho/channel';
import type { Right } from '@sekisho/wire';
import type { InspectSettings } from './inspect/settings.ts';

/** Everything that a relay is told. Times in milliseconds. Plain data: it reaches the workers as a message. */
export interface RelaySettings {
  readonly site: string;
  /** The name of this server in the site; tickets must name it. */
  readonly name: string;
  /** For its welcome to managers. */
  readonly about?: About | undefined;
  readonly listen: {
    readonly host: string;
    /** For agents. */
    readonly port: number;
    /** For the managers of the site. */
    readonly controlPort: number;
  };
  readonly credentials: Credentials;
  /** Ed25519 public keys of auth (SPKI PEM); more than one while keys are rotated. */
  readonly ticketKeys: readonly string[];
  /** As auth's: with `certificate` a ticket for a device that only its MAC vouches for is refused, whoever signed it. */
  readonly proof: 'certificate' | 'mac-only';
  /** One for each core. */
  readonly workers: number;
  readonly limits: RelayLimits;
  /** Receive window of a session: bounds its memory, and its speed on a long line. At least 256 KiB. */
  readonly windowBytes: number;
  readonly destinations: {
    /** Besides the well-known ports of mail. */
    readonly extraPorts: readonly number[];
    /** Blocks that may be reached although they are not public. */
    readonly allow: readonly string[];
    /** Addresses of the site's servers: refused unless they are in `allow`. At the control port they are trusted. */
    readonly ownAddresses: readonly string[];
    /** `host:port` as dialled; they get a PROXY v2 header with the address of the client. */
    readonly proxyProtocol: readonly string[];
  };
  /** For the names of destinations, `address` or `address:port`; the system's when empty. */
  readonly dnsServers: readonly string[];
  /** To look up and reach a destination; below the 5 s in which an agent decides. */
  readonly connectTimeoutMs: number;
  /** How long conversations go on after drain(). */
  readonly drainTimeoutMs: number;
  /** What the line carries; 0 when that is not known. It is only reported. */
  readonly bytesPerSecondLimit: number;
  /** Not set: nothing is inspected. */
  readonly inspect?: InspectSettings | undefined;
  readonly deadlines?: Deadlines | undefined;
}

/**
 * Caps of the relay as a whole. A worker gets its share of the first two, rounded up; the other two hold in each worker,
 * since one device or address may have all its connections there.
 */
export interface RelayLimits {
  readonly maxSessions: number;
  readonly maxDevices: number;
  readonly maxSessionsPerDevice: number;
  readonly maxPerAddress: number;
}

/** Waits that nobody configures; tests shorten them. */
export interface Deadlines {
  /** TCP accepted to TLS done. */
  readonly handshakeMs: number;
  /** TLS done to the ticket accepted. */
  readonly ticketMs: number;
  /** A stream opened to its preamble complete. */
  readonly preambleMs: number;
  /** After a refusal, until the agent has ended its side, too. */
  readonly lingerMs: number;
  /** Without a byte from the peer, pings included. */
  readonly deadMs: number;
  /** A POP3 client that waits for a held message and hears nothing is given a few safe bytes of it: some give up at 30 s. */
  readonly keepAliveMs: number;
  /** A session in which no byte moves in either direction. */
  readonly idleMs: Readonly<Record<Right, number>>;
  /** Between two reports of a worker. */
  readonly reportMs: number;
  /** A worker that says nothing for so long hangs, and is killed. */
  readonly hungMs: number;
}

export const DEFAULT_DEADLINES: Deadlines = {
  handshakeMs: 10_000,
  ticketMs: 10_000,
  preambleMs: 10_000,
  lingerMs: 5000,
  deadMs: 10_000,
  keepAliveMs: 5000,
  idleMs: {
    // The longest silence that RFC 5321 4.5.3.2.6 allows is the 10 min after the final dot; a minute more.
    smtp: 660_000,
    // Servers log out after 10 min or later (RFC 1939 3); not before them.
    pop3: 1_800_000,
    // IDLE may be silent for 29 min (RFC 2177), and a server waits at least 30 (RFC 9051 5.4).
    imap: 1_860_000,
  },
  reportMs: 500,
  hungMs: 5000,
};

/** The share of one worker in a cap of the relay. */
export function shareOf(cap: number, workers: number): number {
  return Math.ceil(cap / workers);
}
