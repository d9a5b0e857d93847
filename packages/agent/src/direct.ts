import { lookup as systemLookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { connect, type LookupFunction, type Socket } from 'node:net';
import { resetSocket } from '@sekisho/channel';
import type { MailProtocol, RefusalCode } from '@sekisho/wire';
import type { ConnectionEnd } from './relayed.ts';

export interface DirectInit {
  readonly host: string;
  readonly port: number;
  /** To connect. */
  readonly timeoutMs: number;
  /** See idleMsOf(). */
  readonly idleMs: number;
  /** As for managers: where the system's DNS is not to be used, it is not used for destinations either. */
  readonly dnsServers: readonly string[];
}

export interface DirectHandler {
  onConnected(address: string): void;
  /** Instead of onConnected. */
  onFailed(code: RefusalCode): void;
  /** After onConnected, once. */
  onEnded(end: ConnectionEnd): void;
}

/** A session in which no byte moves: the longest wait of its protocol (RFC 5321 4.5.3.2.6, RFC 1939 3, RFC 2177) and more. */
const IDLE_MS: Readonly<Record<'smtp' | 'pop3' | 'imap', number>> = { smtp: 660_000, pop3: 1_800_000, imap: 1_860_000 };

/** How long a session of this protocol, direct or relayed, may be without a byte in either direction. */
export function idleMsOf(protocol: MailProtocol): number {
  if (protocol.startsWith('smtp')) return IDLE_MS.smtp;
  return protocol.startsWith('pop3') ? IDLE_MS.pop3 : IDLE_MS.imap;
}

/** A client's connection to its destination without the mesh: DNS, happy eyeballs (RFC 8305), bytes both ways. */
export class DirectConnection {
  bytesUp = 0;
  bytesDown = 0;
  readonly #client: Socket;
  readonly #handler: DirectHandler;
  readonly #server: Socket;
  readonly #timer: NodeJS.Timeout;
  #state: 'connecting' | 'open' | 'over' = 'connecting';
  #clientEnded = false;
  #serverEnded = false;
  /** Known since the first side is gone. */
  #end: ConnectionEnd | undefined;

  constructor(components: { readonly client: Socket; readonly handler: DirectHandler }, init: DirectInit) {
    this.#client = components.client;
    this.#handler = components.handler;
    this.#server = connect({
      host: init.host,
      port: init.port,
      allowHalfOpen: true,
      noDelay: true,
      autoSelectFamily: true,
      ...(init.dnsServers.length > 0 ? { lookup: lookupThrough(init.dnsServers) } : {}),
    });
    this.#timer = setTimeout(() => this.#fail('CONNECT_TIMEOUT'), init.timeoutMs);
    this.#server.on('error', (error: NodeJS.ErrnoException) => this.#onServerError(error));
    this.#server.once('connect', () => this.#start(init.idleMs));
  }

  /** Ends both sides at once. */
  abort(): void {
    clearTimeout(this.#timer);
    resetSocket(this.#server);
    this.#finish('destination_aborted');
    resetSocket(this.#client);
  }

  #start(idleMs: number): void {
    clearTimeout(this.#timer);
    const client = this.#client;
    const server = this.#server;
    this.#state = 'open';
    this.#handler.onConnected(server.remoteAddress ?? '');
    for (const side of [client, server]) side.setTimeout(idleMs, () => this.abort());
    pump(client, server, (bytes) => (this.bytesUp += bytes));
    pump(server, client, (bytes) => (this.bytesDown += bytes));
    client.on('end', () => (this.#clientEnded = true));
    server.on('end', () => (this.#serverEnded = true));
    client.on('close', () => this.#onClosed(server, this.#clientEnded, 'client_aborted'));
    server.on('close', () => this.#onClosed(client, this.#serverEnded, 'destination_aborted'));
    if (client.destroyed) return this.#onClosed(server, false, 'client_aborted');
    client.resume();
  }

  /**
   * One side is gone. If it had ended before, its last words and its end still reach the other, who is heard no more;
   * otherwise the other must hear that there was no end.
   */
  #onClosed(other: Socket, hadEnded: boolean, end: ConnectionEnd): void {
    this.#end ??= this.#clientEnded && this.#serverEnded ? 'completed' : end;
    if (hadEnded && !other.destroyed) {
      other.resume();
      return;
    }
    resetSocket(other);
    this.#finish(this.#end);
  }

  #onServerError(error: NodeJS.ErrnoException): void {
    if (this.#state === 'connecting') this.#fail(refusalOf(error));
  }

  #fail(code: RefusalCode): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'over';
    clearTimeout(this.#timer);
    this.#server.destroy();
    this.#handler.onFailed(code);
  }

  #finish(end: ConnectionEnd): void {
    const wasOpen = this.#state === 'open';
    this.#state = 'over';
    if (wasOpen) this.#handler.onEnded(end);
  }
}

function pump(from: Socket, to: Socket, count: (bytes: number) => void): void {
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    // It had ended and broke off: what it is told goes nowhere.
    if (to.destroyed) return;
    if (!to.write(chunk)) from.pause();
  });
  from.on('end', () => to.end());
  to.on('drain', () => from.resume());
}

/** A lookup for net.connect that asks these servers and nobody else. */
function lookupThrough(servers: readonly string[]): LookupFunction {
  const resolver = new Resolver({ timeout: 1000, tries: 2 });
  resolver.setServers([...servers]);
  return (host, options, callback) => {
    // RFC 6761 6.3: no question for DNS.
    if (host === 'localhost') return systemLookup(host, options, callback);
    void Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]).then(([ipv4, ipv6]) => {
      const found = [...ofFamily(ipv4, 4), ...ofFamily(ipv6, 6)];
      const [first] = found;
      if (first === undefined) callback(lookupError(host, [ipv4, ipv6]), '');
      else if (options.all === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };
}

function ofFamily(answer: PromiseSettledResult<string[]>, family: number): { address: string; family: number }[] {
  return answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family })) : [];
}

/** The codes of a DNS server that does not answer are those of a destination, too: they must not be mistaken. */
function lookupError(host: string, answers: readonly PromiseSettledResult<string[]>[]): NodeJS.ErrnoException {
  const isKnown = answers.every((answer) => answer.status === 'rejected' && ['ENOTFOUND', 'ENODATA'].includes(answer.reason?.code));
  return Object.assign(new Error(`no address of ${host}`), { code: isKnown ? 'ENOTFOUND' : 'EAI_AGAIN' });
}

/** With several addresses Node throws an AggregateError that has the code of the first one. */
function refusalOf(error: NodeJS.ErrnoException): RefusalCode {
  switch (error.code) {
    case 'ENOTFOUND':
      return 'DNS_NOT_FOUND';
    case 'EAI_AGAIN':
      return 'DNS_FAILED';
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return 'CONNECT_REFUSED';
    case 'ETIMEDOUT':
      return 'CONNECT_TIMEOUT';
    default:
      return 'CONNECT_UNREACHABLE';
  }
}
