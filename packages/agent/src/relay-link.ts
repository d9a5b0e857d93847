import type { SecureContext } from 'node:tls';
import { ChannelError, connectEndpoint, MuxConnection, type SessionStore } from '@sekisho/channel';
import {
  DATA_ALPN,
  encodeFrame,
  FrameReader,
  type Message,
  MuxError,
  type MuxStream,
  PROTOCOL_VERSIONS,
  type RefusalCode,
  refusalCode,
  type RelayAddress,
  WireError,
} from '@sekisho/wire';
import { SOFTWARE } from './settings.ts';

export interface RelayLinkInit {
  readonly relay: RelayAddress;
  /** The site that the lease names; the relay's certificate must be of it. */
  readonly site: string;
  readonly ticket: Buffer;
  readonly timeoutMs: number;
  readonly deadAfterMs: number;
  readonly windowBytes: number;
  readonly maxSessions: number;
}

/** Why a link ended: the relay's no, or what happened to the connection. */
export interface LinkEnd {
  readonly refused: RefusalCode | undefined;
  readonly retryAfterMs: number;
  readonly error: ChannelError;
  /** It had accepted the ticket. */
  readonly wasAdmitted: boolean;
}

export interface RelayLinkHandler {
  /** The ticket was accepted, for the first time. */
  onAdmitted(): void;
  /** The relay wants no new sessions; the running ones go on. */
  onDraining(): void;
  /** The relay answered a ping. */
  onRoundTrip(roundTripMs: number): void;
  /** No new sessions through it, and why; running ones go on if it is `draining`. Unless we closed it. */
  onEnd(end: LinkEnd): void;
}

/** `opening` until the handshake is done: then sessions may be opened, even before the ticket is accepted. */
export type RelayLinkState = 'opening' | 'ready' | 'draining' | 'closed';

/** Besides sessions: the signalling stream, and losers of a race whose reset is on its way. */
const SPARE_STREAMS = 16;

/** The one long-lived connection to a relay, which carries all mail sessions of this device. */
export class RelayLink {
  readonly relay: RelayAddress;
  readonly #init: RelayLinkInit;
  readonly #handler: RelayLinkHandler;
  readonly #abort = new AbortController();
  readonly #reader = new FrameReader(['admit', 'refuse']);
  #state: RelayLinkState = 'opening';
  #mux: MuxConnection | undefined;
  #signalling: MuxStream | undefined;
  #ticket: Buffer;
  #isAdmitted = false;
  /** What the relay takes of this device at once; not known before it has admitted us. */
  #maxSessions = Number.POSITIVE_INFINITY;
  #refused: { readonly code: RefusalCode; readonly retryAfterMs: number } | undefined;
  #admitTimer: NodeJS.Timeout | undefined;
  #sessions = 0;
  #waiting = new Set<(isOpen: boolean) => void>();

  constructor(
    components: {
      readonly context: SecureContext;
      /** Of the context; without it every handshake is a full one. */
      readonly sessions?: SessionStore | undefined;
      readonly handler: RelayLinkHandler;
    },
    init: RelayLinkInit,
  ) {
    this.relay = init.relay;
    this.#init = init;
    this.#handler = components.handler;
    this.#ticket = init.ticket;
    void this.#connect(components);
  }

  get site(): string {
    return this.#init.site;
  }

  get state(): RelayLinkState {
    return this.#state;
  }

  /** The connection has ended; true already while its streams are being reset. */
  get gone(): boolean {
    return this.#state === 'closed' || this.#mux?.closed === true;
  }

  get admitted(): boolean {
    return this.#isAdmitted;
  }

  /** The relay's no, once it was said. */
  get refused(): RefusalCode | undefined {
    return this.#refused?.code;
  }

  /** Sessions that hold this link. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Calls back when streams can be opened, or when they never will. Returns a function that calls it off. */
  whenOpen(callback: (isOpen: boolean) => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  /**
   * A session takes hold of the link; release() is due when it has ended.
   * @throws MuxError when the relay or the limit allows no more
   */
  open(): MuxStream {
    if (this.#mux === undefined) throw new MuxError('MUX_CLOSED', 'the link is not open');
    // Its no would be DEVICE_FULL, which sends the client away: another relay may have room.
    if (this.#sessions >= this.#maxSessions) throw new MuxError('TOO_MANY_STREAMS', `the relay takes ${this.#maxSessions} sessions`);
    const stream = this.#mux.open();
    this.#sessions += 1;
    return stream;
  }

  release(): void {
    this.#sessions -= 1;
    if (this.#state === 'draining' && this.#sessions === 0) this.close();
  }

  /** A newer ticket. */
  renew(ticket: Buffer): void {
    this.#ticket = ticket;
    if (this.#signalling !== undefined) this.#sendTicket();
  }

  bye(message: Message<'bye'>): void {
    if (this.#state !== 'closed') this.#signalling?.write(encodeFrame(message));
  }

  /** Opens no more sessions, and ends when the last one has. */
  drain(): void {
    if (this.#state === 'closed') return;
    this.#state = 'draining';
    if (this.#sessions === 0) this.close();
  }

  /** Ends it now, sessions included; the handler hears nothing. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#abort.abort();
    this.#mux?.close();
    this.#settle(false);
  }

  async #connect({ context, sessions }: { context: SecureContext; sessions?: SessionStore | undefined }): Promise<void> {
    const { relay, site, timeoutMs, deadAfterMs, windowBytes, maxSessions } = this.#init;
    try {
      const socket = await connectEndpoint({
        host: relay.host,
        port: relay.port,
        context,
        sessions,
        alpn: DATA_ALPN,
        expect: { role: 'relay', site },
        timeoutMs,
        signal: this.#abort.signal,
      });
      const mux = new MuxConnection(
        socket,
        { role: 'client', windowBytes, maxStreams: maxSessions + SPARE_STREAMS, deadAfterMs },
        {
          onStream: (stream) => stream.reset(), // a relay has nothing to open
          onGoAway: () => this.#onGoAway(),
          onPong: (roundTripMs) => this.#handler.onRoundTrip(roundTripMs),
          onClose: (error) => this.#end(error),
        },
      );
      this.#mux = mux;
      if (this.#state === 'closed') return mux.close();
      this.#signal(mux);
      if (this.#state === 'opening') this.#state = 'ready';
      this.#settle(true);
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#end(error);
    }
  }

  #signal(mux: MuxConnection): void {
    const stream = mux.open();
    const gone = (): void => mux.close(new ChannelError('CLOSED', 'the relay ended the signalling stream'));
    stream.handler = {
      onAck: () => {},
      onData: (chunk) => this.#onSignal(chunk, stream, mux),
      onEnd: gone,
      onReset: gone,
      onDrain: () => {},
    };
    this.#signalling = stream;
    this.#sendTicket();
    this.#admitTimer = setTimeout(
      () => mux.close(new ChannelError('TIMEOUT', 'the relay does not answer the ticket')),
      this.#init.deadAfterMs,
    );
  }

  #sendTicket(): void {
    this.#signalling?.write(
      encodeFrame({
        type: 'ticket',
        versions: Buffer.from(PROTOCOL_VERSIONS),
        software: SOFTWARE,
        ticket: this.#ticket,
      }),
    );
  }

  #onSignal(chunk: Buffer, stream: MuxStream, mux: MuxConnection): void {
    stream.consumed(chunk.length);
    try {
      for (const message of this.#reader.push(chunk)) {
        if (message.type === 'admit') this.#onAdmit(message);
        else {
          this.#refused = { code: refusalCode(message.code), retryAfterMs: message.retryAfterMs ?? 0 };
          return this.#onRefused(mux, new ChannelError('CLOSED', `the relay refused us: ${this.#refused.code}`));
        }
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      mux.close(new ChannelError('PROTOCOL', error.message));
    }
  }

  #onAdmit({ maxSessions }: Message<'admit'>): void {
    clearTimeout(this.#admitTimer);
    this.#maxSessions = maxSessions;
    if (this.#isAdmitted) return;
    this.#isAdmitted = true;
    this.#handler.onAdmitted();
  }

  /** The no to a first ticket ends the connection; to a later one it ends nothing that runs (protocol.md 6). */
  #onRefused(mux: MuxConnection, error: ChannelError): void {
    if (this.#sessions === 0 || !this.#isAdmitted) return mux.close(error);
    if (this.#state !== 'ready') return;
    this.#state = 'draining';
    this.#tell(error);
  }

  #onGoAway(): void {
    if (this.#state === 'closed' || this.#state === 'draining') return;
    this.#handler.onDraining();
    this.drain();
  }

  #end(error: ChannelError): void {
    clearTimeout(this.#admitTimer);
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#tell(error);
    // Last: the sessions that wait decide again, by what is known of this relay now.
    this.#settle(false);
  }

  #tell(error: ChannelError): void {
    this.#handler.onEnd({
      refused: this.#refused?.code,
      retryAfterMs: this.#refused?.retryAfterMs ?? 0,
      error,
      wasAdmitted: this.#isAdmitted,
    });
  }

  #settle(isOpen: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const callback of waiting) callback(isOpen);
  }
}
