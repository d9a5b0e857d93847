import { lookup as systemLookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { connect, type LookupFunction, type Socket } from 'node:net';
import { resetSocket } from '@sekisho/channel';
import type { MailProtocol, RefusalCode } from '@sekisho/wire';
import type { ConnectionEnd } from './relayed.ts';

export interface DirectInit {
  readonly host: string;
  readonly port: number;
  readonly protocol: MailProtocol;
  readonly timeoutMs: number;
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
    this.#server.once('connect', () => this.#start(IDLE_MS[familyOf(init.protocol)]));
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
    server.setTimeout(idleMs, () => this.abort());
    pump(client, server, (bytes) => (this.bytesUp += bytes));
    pump(server, client, (bytes) => (this.bytesDown += bytes));
    client.on('end', () => (this.#clientEnded = true));
    server.on('end', () => (this.#serverEnded = true));
    client.on('close', () => this.#onClosed(server, 'client_aborted'));
    server.on('close', () => this.#onClosed(client, 'destination_aborted'));
    if (client.destroyed) return this.#onClosed(server, 'client_aborted');
    client.resume();
  }

  /** One side is gone: with both ends said that is the end, otherwise the other side must hear that it was none. */
  #onClosed(other: Socket, end: ConnectionEnd): void {
    if (this.#clientEnded && this.#serverEnded) return this.#finish('completed');
    resetSocket(other);
    this.#finish(end);
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
    if (!to.write(chunk)) from.pause();
  });
  from.on('end', () => to.end());
  to.on('drain', () => from.resume());
}

function familyOf(protocol: MailProtocol): 'smtp' | 'pop3' | 'imap' {
  if (protocol.startsWith('smtp')) return 'smtp';
  return protocol.startsWith('pop3') ? 'pop3' : 'imap';
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
