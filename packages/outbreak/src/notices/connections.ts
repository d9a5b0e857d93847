import type { Socket } from 'node:net';
import { plainAddress, strangerOf } from './sources.ts';

export const MAX_CONNECTIONS = 100;
/** Of one address; Postfix opens 20 to one destination, and 50 is what it takes from one client itself. */
export const MAX_PER_ADDRESS = 50;
/** Those who have neither an address that is listed nor logged in yet, so that they leave room for those who do. */
export const MAX_STRANGERS = 20;
/** Of one IPv4 address or one /64. */
export const MAX_PER_STRANGER = 5;
/** From connecting to being logged in. */
export const LOGIN_WITHIN_MS = 30_000;
/** From connecting, or the last notice, to the end of the next: RFC 5321 4.5.3.2 lets a block of data take three minutes. */
export const NOTICE_WITHIN_MS = 180_000;

/** A connection, from being accepted to being closed. */
export interface Connection {
  readonly id: string;
  readonly socket: Socket;
  /** Of the gateway, as from plainAddress. */
  readonly address: string;
  readonly isListed: boolean;
  isLoggedIn: boolean;
  /** When it is closed unless something is done before. */
  deadlineAt: number;
}

/**
 * Who is connected. A connection counts until its socket is destroyed, which is looked at and not listened to: STARTTLS
 * takes all listeners off a socket.
 */
export class Connections {
  readonly #now: () => number;
  readonly #all = new Map<string, Connection>();
  #count = 0;

  constructor(components: { readonly now: () => number }) {
    this.#now = components.now;
  }

  /** The new connection; undefined when there are too many. */
  admit(socket: Socket, address: string, isListed: boolean): Connection | undefined {
    this.#forgetClosed();
    const all = [...this.#all.values()];
    const same = all.filter((other) => other.address === address).length;
    const strangers = all.filter((other) => !isTrusted(other));
    const alike = strangers.filter((other) => strangerOf(other.address) === strangerOf(address)).length;
    if (all.length >= MAX_CONNECTIONS || same >= MAX_PER_ADDRESS) return undefined;
    if (!isListed && (strangers.length >= MAX_STRANGERS || alike >= MAX_PER_STRANGER)) return undefined;
    this.#count += 1;
    const within = isListed ? NOTICE_WITHIN_MS : LOGIN_WITHIN_MS;
    const connection = { id: String(this.#count), socket, address, isListed, isLoggedIn: false, deadlineAt: this.#now() + within };
    this.#all.set(connection.id, connection);
    return connection;
  }

  get(id: string): Connection | undefined {
    return this.#all.get(id);
  }

  get open(): readonly Connection[] {
    this.#forgetClosed();
    return [...this.#all.values()];
  }

  /** It has done something useful: a login, a notice. */
  extend(connection: Connection): void {
    connection.deadlineAt = this.#now() + NOTICE_WITHIN_MS;
  }

  /** Those whose time is over. */
  overdue(): Connection[] {
    const now = this.#now();
    return this.open.filter(({ deadlineAt }) => now >= deadlineAt);
  }

  #forgetClosed(): void {
    for (const [id, { socket }] of this.#all) if (socket.destroyed) this.#all.delete(id);
  }
}

/** Whether notices are taken from it. */
export function isTrusted({ isListed, isLoggedIn }: Connection): boolean {
  return isListed || isLoggedIn;
}

/** The address of the other end; undefined when it has gone already. */
export function peerOf(socket: Socket): string | undefined {
  return socket.remoteAddress === undefined ? undefined : plainAddress(socket.remoteAddress);
}
