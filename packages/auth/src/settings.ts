import type { About, Credentials } from '@sekisho/channel';
import type { FailureLimits } from './failure-limiter.ts';

/** Everything that auth is told. Times in milliseconds. */
export interface AuthSettings {
  readonly site: string;
  /** The name of this server in the site. */
  readonly name: string;
  /** For its welcome. */
  readonly about?: About | undefined;
  /** `fd`: a socket that listens already, inherited from the service manager. */
  readonly listen: { readonly host: string; readonly port: number; readonly fd?: number | undefined };
  /** Of the site's servers: their managers find a place here whoever else knocks. */
  readonly serverAddresses: readonly string[];
  readonly credentials: Credentials;
  /** Ed25519, PKCS #8 PEM: signs tickets. */
  readonly ticketKeyPem: string;
  readonly ticketTtlMs: number;
  /** `mac-only` also admits registered devices of that kind by their MAC address alone, which anybody can claim. */
  readonly proof: 'certificate' | 'mac-only';
  readonly revocations: {
    readonly file?: string | undefined;
    readonly urls: readonly string[];
    /** Where auth writes down the list in force, so that it outlives a restart without the store and the URLs. Of this auth alone. */
    readonly rememberedFile?: string | undefined;
    /** How often the URLs are fetched; the file is looked at more often. */
    readonly refreshMs: number;
    /** A list signed longer ago is an alarm. */
    readonly maxAgeMs: number;
  };
  /** Failures by one device, or from one address. */
  readonly failures?: { readonly device: FailureLimits; readonly address: FailureLimits } | undefined;
  readonly handshakeTimeoutMs?: number | undefined;
  /** A manager that says nothing for so long is gone. */
  readonly idleMs?: number | undefined;
}

/** What a device that is misconfigured may try, and a person who guesses may not. */
export const DEFAULT_FAILURES = {
  device: { burst: 5, refillMs: 60_000 },
  // Many offices may stand behind one address.
  address: { burst: 20, refillMs: 10_000 },
} as const satisfies AuthSettings['failures'];

export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Who is no server of the site, to judge by the address; the certificate is judged later. */
export const MAX_CONNECTIONS = 256;
/** Of a server, too: its manager has a connection or two, and some that died and were not noticed yet. */
export const MAX_PER_ADDRESS = 64;
/** A manager pings each second. */
export const IDLE_MS = 30_000;
