import { CONTROL_ALPN, type Message, type MessageName, PROTOCOL_VERSIONS, refusalCode, type RelayReport } from '@sekisho/wire';
import { ChannelError } from './channel-error.ts';
import { ControlConnection } from './control-connection.ts';
import { connectEndpoint, type ConnectInit } from './endpoint.ts';
import { peerOf } from './peer.ts';

/** Whom to greet, and who must be there; `context` holds a server's certificate, or a device's. */
export type GreetInit = Omit<ConnectInit, 'alpn' | 'sessions'>;

/** What a server said to a hello, and who it proved to be. */
export interface Answered {
  /** A server of the mesh is given a welcome, a device a lease. */
  readonly answer: Message<'welcome' | 'lease' | 'refuse'>;
  /** Of the certificate. */
  readonly site: string;
  readonly role: string;
  readonly certificateExpiresAtMs: number;
  /** The wall clock of this machine, when the hello was sent and when its answer was there. */
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
  /** TCP, TLS, hello, and the ping to a relay together. */
  readonly tookMs: number;
}

/** A server of the mesh as it presents itself. */
export interface Greeting {
  readonly name: string;
  readonly site: string;
  readonly role: string;
  /** Of the software and of the protocol. */
  readonly software: string;
  readonly version: number;
  /** The server's clock; it, and the digests, are unknown of a server of before they were told. */
  readonly atMs: number | undefined;
  readonly config: string | undefined;
  readonly stack: string | undefined;
  /** Its clock minus ours, give or take half of `tookMs`. */
  readonly clockOffsetMs: number | undefined;
  readonly certificateExpiresAtMs: number;
  readonly tookMs: number;
}

/** A relay, which a ping makes say how it is. */
export interface RelayGreeting extends Greeting {
  readonly report: RelayReport;
}

const MAX_BUFFERED_BYTES = 16 * 1024;
const SOFTWARE = 'sekisho';

/**
 * Connects, says one hello, waits for its answer and closes. A device's hello has its MAC address.
 * @throws ChannelError as connectEndpoint; TIMEOUT, PROTOCOL or CLOSED when it is connected and gives no answer
 */
export async function sayHello(init: GreetInit, mac?: Buffer): Promise<Answered> {
  const { answered } = await converse(init, mac, false);
  return answered;
}

async function converse(init: GreetInit, mac: Buffer | undefined, withPing: boolean): Promise<{ answered: Answered; pong: Message | undefined }> {
  const startedAtMs = performance.now();
  const { promise: refused, reject } = Promise.withResolvers<never>();
  const socket = await connectEndpoint({ ...init, alpn: CONTROL_ALPN });
  const peer = peerOf(socket);
  const connection = new ControlConnection<MessageName>(
    socket,
    { accepts: ['welcome', 'lease', 'refuse', 'ping', 'pong', 'detection'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES },
    {
      onMessage: (message) => {
        // Before it was asked anything: what it says is about the connection.
        if (message.type === 'refuse') reject(new ChannelError('PROTOCOL', `refused: ${refusalCode(message.code)}`));
      },
      onClose: (error) => reject(error),
    },
  );
  try {
    const leftMs = (): number => Math.max(1, init.timeoutMs - (performance.now() - startedAtMs));
    const askedAtMs = Date.now();
    const hello = { type: 'hello', versions: Buffer.from(PROTOCOL_VERSIONS), software: SOFTWARE, avoid: [], ...(mac === undefined ? {} : { mac }) } as const;
    const answer = await Promise.race([connection.ask<'hello'>(hello, leftMs()), refused]);
    const answeredAtMs = Date.now();
    if (answer.type === 'grant' || answer.type === 'pong') throw new ChannelError('PROTOCOL', `the answer to hello is ${answer.type}`);
    if (peer?.identity?.kind !== 'server') throw new ChannelError('IDENTITY', 'the server showed no certificate');
    const { site, role } = peer.identity;
    const pong = withPing && answer.type === 'welcome' ? await Promise.race([connection.ask<'ping'>({ type: 'ping' }, leftMs()), refused]) : undefined;
    const tookMs = performance.now() - startedAtMs;
    return { answered: { answer, site, role, certificateExpiresAtMs: peer.expiresAtMs, askedAtMs, answeredAtMs, tookMs }, pong };
  } catch (error) {
    // Its own words are of what was left of the time.
    throw error instanceof ChannelError && error.code === 'TIMEOUT' ? new ChannelError('TIMEOUT', `no answer within ${init.timeoutMs} ms`) : error;
  } finally {
    connection.close();
  }
}

/**
 * Asks a manager, relay or auth who and how it is, with the certificate of a server. `timeoutMs` is for all of it.
 * @throws ChannelError as sayHello; PROTOCOL when it refuses, IDENTITY when its name for the site is not the certificate's
 */
export async function greet(init: GreetInit): Promise<Greeting> {
  return greetingOf(await sayHello(init));
}

/**
 * Asks a relay, at its control port, who and how it is.
 * @throws ChannelError as greet; PROTOCOL when it answers without a report
 */
export async function greetRelay(init: GreetInit): Promise<RelayGreeting> {
  const { answered, pong } = await converse(init, undefined, true);
  const greeting = greetingOf(answered);
  if (pong?.type !== 'pong' || pong.report === undefined) throw new ChannelError('PROTOCOL', 'it answers without a report');
  return { ...greeting, report: pong.report };
}

function greetingOf({ answer, site, role, certificateExpiresAtMs, askedAtMs, answeredAtMs, tookMs }: Answered): Greeting {
  if (answer.type === 'refuse') throw new ChannelError('PROTOCOL', `refused: ${refusalCode(answer.code)}`);
  if (answer.type !== 'welcome') throw new ChannelError('PROTOCOL', `the answer to hello is ${answer.type}, not welcome`);
  if (answer.site !== site) throw new ChannelError('IDENTITY', `it says it is of site ${answer.site}, its certificate says ${site}`);
  const { name, software, version, at, config, stack } = answer;
  const clockOffsetMs = at === undefined ? undefined : Math.round(at - (askedAtMs + answeredAtMs) / 2);
  return { name, site, role, software, version, atMs: at, config, stack, clockOffsetMs, certificateExpiresAtMs, tookMs };
}
