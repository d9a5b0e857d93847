import { ChannelError, connectEndpoint, ControlConnection, type GreetInit, peerOf } from '@sekisho/channel';
import { CONTROL_ALPN, PROTOCOL_VERSIONS, refusalCode, type Message, type RelayReport } from '@sekisho/wire';

/** A relay as it presents itself to a server of its site. */
export interface RelayAnswer {
  readonly name: string;
  readonly software: string;
  readonly config: string | undefined;
  /** Its clock minus ours, give or take half of the time that the answer took. */
  readonly clockOffsetMs: number | undefined;
  readonly certificateExpiresAtMs: number;
  readonly report: RelayReport;
  /** TCP, TLS, hello and ping together. */
  readonly tookMs: number;
}

const MAX_BUFFERED_BYTES = 16 * 1024;

/**
 * Asks a relay at its control port how it is: hello, one ping, and the end. `timeoutMs` is for each step.
 * @throws ChannelError as connectEndpoint; TIMEOUT, PROTOCOL or CLOSED when it is connected and gives no answer
 */
export async function askRelay(init: GreetInit): Promise<RelayAnswer> {
  const startedAtMs = performance.now();
  const socket = await connectEndpoint({ ...init, alpn: CONTROL_ALPN });
  const { promise: refused, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting for it any more.
  refused.catch(() => {});
  const connection = new ControlConnection<'welcome' | 'refuse' | 'pong'>(
    socket,
    { accepts: ['welcome', 'refuse', 'pong'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES },
    {
      onMessage: (message) => reject(unexpected(message)),
      onClose: reject,
    },
  );
  const { timeoutMs } = init;
  try {
    const askedAtMs = Date.now();
    const hello = { type: 'hello', versions: Buffer.from(PROTOCOL_VERSIONS), software: 'sekisho', avoid: [] } as const;
    const welcome = await Promise.race([connection.ask<'hello'>(hello, timeoutMs), refused]);
    if (welcome.type !== 'welcome') throw unexpected(welcome);
    const answeredAtMs = Date.now();
    const pong = await Promise.race([connection.ask<'ping'>({ type: 'ping' }, timeoutMs), refused]);
    if (pong.type !== 'pong') throw unexpected(pong);
    const { report } = pong;
    if (report === undefined) throw new ChannelError('PROTOCOL', 'it answers without a report');
    const { name, software, config, at } = welcome;
    return {
      name,
      software,
      config,
      clockOffsetMs: at === undefined ? undefined : Math.round(at - (askedAtMs + answeredAtMs) / 2),
      certificateExpiresAtMs: peerOf(socket)?.expiresAtMs ?? 0,
      report,
      tookMs: performance.now() - startedAtMs,
    };
  } finally {
    connection.close();
  }
}

function unexpected(message: Message): ChannelError {
  const said = message.type === 'refuse' ? `refused: ${refusalCode(message.code)}` : `the answer is ${message.type}`;
  return new ChannelError('PROTOCOL', said);
}
