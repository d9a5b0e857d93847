import type { ConnectInit } from './endpoint.ts';
import type { Peer } from './peer.ts';

/** Servers whose sessions are kept; an agent talks to a few managers and relays, and each costs 2 KiB. */
const MAX_SESSIONS = 64;
/** A server's session holds its certificate and a ticket with ours. */
const MAX_SESSION_BYTES = 16_384;

/** A TLS session and who the server was in the handshake that began it: a resumed connection does not show it again. */
export interface StoredSession {
  readonly session: Buffer;
  readonly peer: Peer;
}

type Target = Pick<ConnectInit, 'host' | 'port' | 'alpn' | 'expect'>;

/**
 * The last TLS session with each server, in memory, for connections with one and the same context. A session is found by
 * the address and by everything that the server was checked for, so that it never passes for another server's.
 */
export class SessionStore {
  readonly #sessions = new Map<string, StoredSession>();

  get size(): number {
    return this.#sessions.size;
  }

  get(target: Target): StoredSession | undefined {
    return this.#sessions.get(keyOf(target));
  }

  set(target: Target, stored: StoredSession): void {
    if (stored.session.length > MAX_SESSION_BYTES) return;
    const key = keyOf(target);
    this.#sessions.delete(key);
    this.#sessions.set(key, stored);
    if (this.#sessions.size <= MAX_SESSIONS) return;
    const oldest = this.#sessions.keys().next();
    if (oldest.done !== true) this.#sessions.delete(oldest.value);
  }

  delete(target: Target): void {
    this.#sessions.delete(keyOf(target));
  }
}

function keyOf({ host, port, alpn, expect: { role, site, serverName } }: Target): string {
  return JSON.stringify([host, port, alpn, role, site ?? null, serverName ?? null]);
}
