import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import * as dnsPacket from 'dns-packet';
import type { Answer, DecodedPacket, Packet, Question } from 'dns-packet';
import { closeServer, listenOn } from './loopback-listen.ts';

/** What the server does with every query: `silent` never answers, the others answer with that RCODE. */
export type DnsMode = 'answer' | 'silent' | 'servfail' | 'nxdomain' | 'refuse';

export interface DnsRecords {
  a?: readonly string[];
  aaaa?: readonly string[];
  /** Default 60 s. */
  ttlS?: number;
}

export interface DnsServerInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** The same port serves UDP and TCP; default 0, a free one. */
  port?: number;
  /** Names the server knows from the start. */
  zone?: Readonly<Record<string, DnsRecords>>;
}

const RCODE = { answer: 0, silent: 0, servfail: 2, nxdomain: 3, refuse: 5 } as const;
const RCODE_NXDOMAIN = 3;
const DEFAULT_TTL_S = 60;
/** RFC 1035 4.2.1: without EDNS an answer over UDP has at most 512 bytes. */
const PLAIN_UDP_BYTES = 512;
const EDNS_UDP_BYTES = 1232;
/** A 2-byte length precedes every message over TCP (RFC 1035 4.2.2). */
const TCP_LENGTH_BYTES = 2;
const BIND_ATTEMPTS = 20;

/**
 * An authoritative DNS server in this process, over UDP and TCP, for A and AAAA. The zone may be changed while it
 * runs; each answer starts one address further (round robin), counted for each name and type by itself.
 */
export class DnsServer {
  readonly address: string;
  readonly port: number;
  mode: DnsMode = 'answer';
  #zone = new Map<string, DnsRecords>();
  #rotation = new Map<string, number>();
  #queriesByName = new Map<string, number>();
  #queries = 0;
  #udp: UdpSocket;
  #tcp: Server;
  #connections = new Set<Socket>();

  constructor(components: { udp: UdpSocket; tcp: Server }, init: Required<DnsServerInit>) {
    this.address = init.address;
    this.port = init.port;
    this.#udp = components.udp;
    this.#tcp = components.tcp;
    for (const [name, records] of Object.entries(init.zone)) this.set(name, records);
    this.#udp.on('message', (message, peer) => {
      const reply = this.#reply(message, 'udp');
      if (reply !== undefined) this.#udp.send(reply, peer.port, peer.address);
    });
    this.#tcp.on('connection', (socket) => this.#serveTcp(socket));
  }

  /** `address:port`, as `dns.setServers()` and `dns.servers` of the configuration want it. */
  get server(): string {
    return `${this.address}:${this.port}`;
  }

  /** Queries received since the start, in whatever mode, UDP and TCP together. */
  get queries(): number {
    return this.#queries;
  }

  queriesFor(name: string): number {
    return this.#queriesByName.get(canonical(name)) ?? 0;
  }

  /** Replaces all that is known of a name. Without addresses the name exists and has no data (NODATA). */
  set(name: string, records: DnsRecords): void {
    this.#zone.set(canonical(name), { ...records });
  }

  /** Removes a name: NXDOMAIN from now on. */
  delete(name: string): void {
    this.#zone.delete(canonical(name));
  }

  async stop(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await Promise.all([closeServer(this.#tcp), new Promise<void>((resolve) => this.#udp.close(() => resolve()))]);
  }

  #serveTcp(socket: Socket): void {
    let pending = Buffer.alloc(0);
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= TCP_LENGTH_BYTES) {
        const end = TCP_LENGTH_BYTES + pending.readUInt16BE(0);
        if (pending.length < end) return;
        const reply = this.#reply(pending.subarray(TCP_LENGTH_BYTES, end), 'tcp');
        pending = pending.subarray(end);
        if (reply === undefined) continue;
        const length = Buffer.alloc(TCP_LENGTH_BYTES);
        length.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([length, reply]));
      }
    });
  }

  #reply(message: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined {
    const query = decodeQuery(message);
    const question = query?.questions?.[0];
    if (query === undefined || question === undefined) return undefined;
    this.#queries += 1;
    const name = canonical(question.name);
    this.#queriesByName.set(name, (this.#queriesByName.get(name) ?? 0) + 1);
    if (this.mode === 'silent') return undefined;
    const response = this.#response(query, question);
    const encoded = dnsPacket.encode(response);
    if (transport === 'tcp' || encoded.length <= maxUdpBytes(query)) return encoded;
    const flags = (response.flags ?? 0) | dnsPacket.TRUNCATED_RESPONSE;
    return dnsPacket.encode({ ...response, flags, answers: [] });
  }

  #response(query: DecodedPacket, question: Question): Packet {
    const answers = this.mode === 'answer' ? this.#answers(question) : [];
    const rcode = answers === undefined ? RCODE_NXDOMAIN : RCODE[this.mode];
    const recursionDesired = query.flag_rd ? dnsPacket.RECURSION_DESIRED : 0;
    // RA although nothing recurses: a stub resolver (getaddrinfo, c-ares) then takes the answer as final.
    const flags = dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.RECURSION_AVAILABLE | recursionDesired | rcode;
    return {
      type: 'response',
      id: query.id,
      flags,
      questions: [question],
      answers: answers ?? [],
      additionals: ednsOf(query) === undefined ? [] : [edns()],
    };
  }

  /** Undefined for a name that does not exist. */
  #answers(question: Question): Answer[] | undefined {
    const records = this.#zone.get(canonical(question.name));
    if (records === undefined) return undefined;
    if (question.type !== 'A' && question.type !== 'AAAA') return [];
    const { type, name } = question;
    const addresses = (type === 'A' ? records.a : records.aaaa) ?? [];
    const ttl = records.ttlS ?? DEFAULT_TTL_S;
    return this.#rotate(`${type} ${canonical(name)}`, addresses).map((data) => ({ type, name, ttl, data }));
  }

  #rotate(key: string, addresses: readonly string[]): string[] {
    if (addresses.length === 0) return [];
    const turn = this.#rotation.get(key) ?? 0;
    this.#rotation.set(key, turn + 1);
    const start = turn % addresses.length;
    return [...addresses.slice(start), ...addresses.slice(0, start)];
  }
}

/**
 * Starts a DNS server on loopback.
 *
 * @throws an error with code EADDRINUSE when the port given is taken
 */
export async function startDnsServer(init: DnsServerInit = {}): Promise<DnsServer> {
  const address = init.address ?? '127.0.0.1';
  for (let attempt = 1; ; attempt += 1) {
    const tcp = createServer();
    const port = await listenOn(tcp, address, init.port ?? 0);
    try {
      const udp = await bindUdp(address, port);
      return new DnsServer({ udp, tcp }, { address, port, zone: init.zone ?? {} });
    } catch (error) {
      // A port that is free for TCP may be taken for UDP: another one, if the caller leaves the choice.
      await closeServer(tcp);
      if (init.port || attempt === BIND_ATTEMPTS) throw error;
    }
  }
}

async function bindUdp(address: string, port: number): Promise<UdpSocket> {
  const udp = createSocket('udp4');
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  udp.once('error', reject);
  udp.bind({ address, port, exclusive: true }, () => resolve(undefined));
  try {
    await promise;
  } catch (error) {
    udp.close();
    throw error;
  }
  udp.off('error', reject);
  // An ICMP "port unreachable" of a client that gave up is no reason to fall over.
  udp.on('error', () => undefined);
  return udp;
}

function decodeQuery(message: Buffer): DecodedPacket | undefined {
  try {
    const packet = dnsPacket.decode(message);
    return packet.type === 'query' ? packet : undefined;
  } catch {
    return undefined;
  }
}

function ednsOf(query: Packet): Extract<Answer, { type: 'OPT' }> | undefined {
  for (const record of query.additionals ?? []) if (record.type === 'OPT') return record;
  return undefined;
}

function maxUdpBytes(query: Packet): number {
  return Math.max(PLAIN_UDP_BYTES, Math.min(EDNS_UDP_BYTES, ednsOf(query)?.udpPayloadSize ?? 0));
}

function edns(): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_UDP_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
