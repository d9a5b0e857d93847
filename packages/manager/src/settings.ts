import type { About, Credentials } from '@sekisho/channel';
import type { SchedulerSettings, TableEntry } from '@sekisho/scheduler';
import type { FellowAddress } from './fellows.ts';
import type { PageSettings } from './page/settings.ts';

/** A relay of this site, with the address for agents and the one for managers. */
export interface RelayServer {
  /** As in leases and tickets; unique in the site. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly controlPort: number;
}

export interface AuthServerAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Everything that a manager is told. Times in milliseconds. */
export interface ManagerSettings {
  readonly site: string;
  /** The name of this server in the site. */
  readonly name: string;
  /** For its welcome to other servers, and to compare with theirs. */
  readonly about?: About | undefined;
  /** `fd`: a socket that listens already, inherited from the service manager. */
  readonly listen: { readonly host: string; readonly port: number; readonly fd?: number | undefined };
  readonly credentials: Credentials;
  readonly relays: readonly RelayServer[];
  readonly table: {
    /** Names of `relays`; one that stands there twice gets twice the share. */
    readonly entries: readonly (string | TableEntry)[];
    readonly scheduler?: Partial<SchedulerSettings> | undefined;
  };
  /** In the order in which they are asked. */
  readonly auths: readonly AuthServerAddress[];
  /** The other managers of the site: watched, and nothing depends on them. */
  readonly fellows?: readonly FellowAddress[] | undefined;
  readonly maxAgents: number;
  readonly maxPerAddress: number;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
  /** The UNIX socket for `sekisho status` and `sekisho table`; without it there is none. */
  readonly adminSocket?: string | undefined;
  /** The status page; without it there is none. */
  readonly page?: PageSettings | undefined;

  /** All attempts to have one device authorized. */
  readonly authTimeoutMs?: number | undefined;
  readonly handshakeTimeoutMs?: number | undefined;
  /** An agent that says nothing for so long is gone. */
  readonly idleMs?: number | undefined;
  /** Hellos of one connection: so many a second for long, four times as many at once. */
  readonly hellosPerSecond?: number | undefined;
  /** Leases pushed a second when a relay drains or dies. */
  readonly pushesPerSecond?: number | undefined;
  /** Over how long a manager that stops lets go of its agents. */
  readonly closeSpreadMs?: number | undefined;
}

export const AUTH_TIMEOUT_MS = 2000;
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** An agent pings every few seconds. */
export const IDLE_MS = 30_000;
/** An agent needs one hello in minutes, and a few more when relays die. */
export const HELLOS_PER_SECOND = 5;
/** The agents of a relay, 800 when a site is down, are moved in 4 s, and the others feel 200 handshakes a second. */
export const PUSHES_PER_SECOND = 200;
export const CLOSE_SPREAD_MS = 5000;
/** The relay to use, and one to fall back on. */
export const RELAYS_IN_LEASE = 2;
