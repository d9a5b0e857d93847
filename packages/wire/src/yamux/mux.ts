import { MuxError, type MuxViolation } from './error.ts';
import {
  Flag,
  FrameType,
  GoAwayCode,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  KNOWN_FLAGS,
  MAX_UINT32,
} from './frame.ts';
import { Output, type OutputSink } from './output.ts';
import { type MuxStream, Stream } from './stream.ts';
import { InboundIds, OutboundIds } from './stream-ids.ts';

export interface MuxInit {
  /** Clients open odd streams, servers even ones. Both sides may open. */
  role: 'client' | 'server';
  /** Receive window of every stream, at least 256 KiB: the most that one stream can make its user hold. */
  windowBytes: number;
  /** Streams open at the same time, of both sides together. The peer's next one is reset; ours is refused. */
  maxStreams: number;
  /** Largest data frame sent; smaller ones let streams take turns more often. 64 KiB is a good value. */
  maxFrameBytes: number;
  /** Our streams that wait for their ACK at the same time. Default: maxStreams. */
  maxUnackedOutbound?: number;
}

/** The driver of the mux: it owns the transport. No method may throw. */
export interface MuxHandler extends OutputSink {
  /** The peer opened a stream: set its handler now (a stream without one is reset), then accept() or reset() it. */
  onStream(stream: MuxStream): void;
  /** The answer to ping(). */
  onPong(opaque: number): void;
  /** The peer wants no more streams (0), or gives up with an error (1, 2). Open streams go on until the transport ends. */
  onGoAway(code: GoAwayCode): void;
  /** The peer broke the protocol: every stream was reset, GoAway(1) waits for flush(), then the transport is to be closed. */
  onError(error: MuxError): void;
}

/** `open`, `failed` after a violation (only flush() has an effect), `aborted` (nothing has). */
export type MuxState = 'open' | 'failed' | 'aborted';

/**
 * Control frames that the peer may provoke (pongs, ACKs, resets, updates) without reading them: the base, and this many
 * for each stream it may have. An honest peer needs a few per stream; one that floods pings or SYNs ends the connection.
 */
export const UNREAD_CONTROL_FRAMES_BASE = 1024;
export const UNREAD_CONTROL_FRAMES_PER_STREAM = 8;

/**
 * Many streams over one reliable transport: yamux (hashicorp/yamux, spec.md). Sans-I/O: bytes come in through receive()
 * and leave through the handler's write(); there is no clock in it, so liveness (ping() and a deadline) is the driver's.
 */
export class Mux {
  readonly #handler: MuxHandler;
  readonly #output: Output;
  readonly #windowBytes: number;
  readonly #maxStreams: number;
  readonly #maxUnackedOutbound: number;
  readonly #maxUnreadControlFrames: number;
  readonly #ownParity: number;
  readonly #ownIds: OutboundIds;
  readonly #peerIds: InboundIds;
  readonly #streams = new Map<number, Stream>();
  readonly #owner: ConstructorParameters<typeof Stream>[0];
  #state: MuxState = 'open';
  #unackedOutbound = 0;
  #goAwaySent = false;
  #goAwayReceived = false;

  // The frame that is being received: part of a header, or the rest of a payload.
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #payloadBytesLeft = 0;
  #payloadStream: Stream | undefined;
  #payloadHasFin = false;

  /** @throws RangeError for a limit that makes no sense */
  constructor(init: MuxInit, handler: MuxHandler) {
    requireInteger('windowBytes', init.windowBytes, INITIAL_WINDOW_BYTES, MAX_UINT32);
    requireInteger('maxStreams', init.maxStreams, 1, MAX_UINT32);
    requireInteger('maxFrameBytes', init.maxFrameBytes, 1, MAX_UINT32);
    const maxUnackedOutbound = init.maxUnackedOutbound ?? init.maxStreams;
    requireInteger('maxUnackedOutbound', maxUnackedOutbound, 1, MAX_UINT32);
    const isClient = init.role === 'client';
    this.#handler = handler;
    this.#output = new Output(handler);
    this.#windowBytes = init.windowBytes;
    this.#maxStreams = init.maxStreams;
    this.#maxUnackedOutbound = maxUnackedOutbound;
    this.#maxUnreadControlFrames = UNREAD_CONTROL_FRAMES_BASE + UNREAD_CONTROL_FRAMES_PER_STREAM * init.maxStreams;
    this.#ownParity = isClient ? 1 : 0;
    this.#ownIds = new OutboundIds(isClient ? 1 : 2);
    this.#peerIds = new InboundIds(isClient ? 2 : 1);
    this.#owner = {
      output: this.#output,
      windowBytes: init.windowBytes,
      maxFrameBytes: init.maxFrameBytes,
      release: (stream) => {
        this.#release(stream);
      },
    };
  }

  get state(): MuxState {
    return this.#state;
  }

  /** Streams that are open in at least one direction. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** GoAway was sent or received: no new streams, the open ones go on. */
  get isGoingAway(): boolean {
    return this.#goAwaySent || this.#goAwayReceived;
  }

  /** Takes bytes of the peer in any split. Payloads are handed on as views of `chunk`. Ignored unless `open`. */
  receive(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length && this.#state === 'open') {
      position =
        this.#payloadBytesLeft > 0 ? this.#takePayload(chunk, position) : this.#takeHeader(chunk, position);
    }
  }

  /**
   * Opens a stream (SYN, with the rest of the window) and may be written to at once. Set its handler before returning to
   * the event loop.
   * @throws MuxError MUX_CLOSED, GOING_AWAY, TOO_MANY_STREAMS, TOO_MANY_UNACKED, IDS_EXHAUSTED
   */
  open(): MuxStream {
    if (this.#state !== 'open') throw new MuxError('MUX_CLOSED', `the mux has ${this.#state}`);
    if (this.isGoingAway) throw new MuxError('GOING_AWAY', 'no new streams after GoAway');
    if (this.#streams.size >= this.#maxStreams) {
      throw new MuxError('TOO_MANY_STREAMS', `${this.#streams.size} streams are open`);
    }
    if (this.#unackedOutbound >= this.#maxUnackedOutbound) {
      throw new MuxError('TOO_MANY_UNACKED', `${this.#unackedOutbound} streams wait for their ACK`);
    }
    const id = this.#ownIds.take();
    if (id === undefined) throw new MuxError('IDS_EXHAUSTED', 'every stream id of this connection was used');
    const stream = new Stream(this.#owner, id, true);
    this.#streams.set(id, stream);
    this.#unackedOutbound += 1;
    return stream;
  }

  /** Hands everything that waits to the handler's write(), in one call. */
  flush(): void {
    this.#output.flush();
  }

  /** Asks the peer for an answer; `opaque` (32 bits) comes back with onPong. */
  ping(opaque: number): void {
    if (this.#state === 'open') this.#output.control(FrameType.ping, Flag.syn, 0, opaque);
  }

  /** Tells the peer to open no more streams, once; those it opens all the same are reset. */
  goAway(code: GoAwayCode): void {
    if (this.#state !== 'open' || this.#goAwaySent) return;
    this.#goAwaySent = true;
    this.#output.control(FrameType.goAway, Flag.none, 0, code);
  }

  /**
   * True: the transport holds more than it should, data queues in its stream from now on (control frames still go out).
   * False: queued streams are served in turn, a frame each.
   */
  setCongested(flag: boolean): void {
    this.#output.setCongested(flag);
  }

  /** The transport is gone: every open stream hears onReset, nothing is written any more. */
  abort(): void {
    this.#state = 'aborted';
    this.#output.close();
    this.#resetAll();
  }

  #takePayload(chunk: Buffer, position: number): number {
    const end = Math.min(chunk.length, position + this.#payloadBytesLeft);
    this.#payloadBytesLeft -= end - position;
    const stream = this.#payloadStream;
    if (stream === undefined || stream.closed) return end;
    stream.takeData(position === 0 && end === chunk.length ? chunk : chunk.subarray(position, end));
    if (this.#payloadBytesLeft === 0 && this.#payloadHasFin) stream.takeFin();
    return end;
  }

  #takeHeader(chunk: Buffer, position: number): number {
    if (this.#headerBytes === 0 && chunk.length - position >= HEADER_BYTES) {
      this.#takeFrame(chunk, position);
      return position + HEADER_BYTES;
    }
    const copied = chunk.copy(this.#header, this.#headerBytes, position, position + HEADER_BYTES - this.#headerBytes);
    this.#headerBytes += copied;
    if (this.#headerBytes === HEADER_BYTES) {
      this.#headerBytes = 0;
      this.#takeFrame(this.#header, 0);
    }
    return position + copied;
  }

  #takeFrame(header: Buffer, offset: number): void {
    const first = header.readUInt32BE(offset);
    const id = header.readUInt32BE(offset + 4);
    const length = header.readUInt32BE(offset + 8);
    const type = (first >>> 16) & 0xff;
    const flags = first & 0xffff;
    if (first >>> 24 !== 0) this.#fail('BAD_VERSION', `version ${first >>> 24}`);
    else if (type > FrameType.goAway) this.#fail('BAD_TYPE', `type ${type}`);
    else if ((flags & ~KNOWN_FLAGS) !== 0) this.#fail('BAD_FLAGS', `unknown flags 0x${flags.toString(16)}`);
    else if ((id === 0) !== type >= FrameType.ping) this.#fail('BAD_STREAM_ID', `type ${type} on stream ${id}`);
    else if (type === FrameType.ping) this.#takePing(flags, length);
    else if (type === FrameType.goAway) this.#takeGoAway(flags, length);
    else this.#takeStreamFrame(type, flags, id, length);
    if (this.#output.unreadControlFrames > this.#maxUnreadControlFrames) {
      this.#fail('CONTROL_FLOOD', `${this.#output.unreadControlFrames} control frames provoked and not read`);
    }
  }

  #takePing(flags: number, opaque: number): void {
    if (flags === Flag.syn) this.#output.control(FrameType.ping, Flag.ack, 0, opaque);
    else if (flags === Flag.ack) this.#handler.onPong(opaque);
    else this.#fail('BAD_FLAGS', `ping with flags ${flags}`);
  }

  #takeGoAway(flags: number, code: number): void {
    if (flags !== 0) {
      this.#fail('BAD_FLAGS', `go away with flags ${flags}`);
    } else if (code !== GoAwayCode.normal && code !== GoAwayCode.protocolError && code !== GoAwayCode.internalError) {
      this.#fail('BAD_GO_AWAY', `reason ${code}`);
    } else {
      this.#goAwayReceived = true;
      this.#handler.onGoAway(code);
    }
  }

  #takeStreamFrame(type: number, flags: number, id: number, length: number): void {
    const isOwn = (id & 1) === this.#ownParity;
    if ((flags & Flag.syn) !== 0 && !this.#takeSyn(flags, id, isOwn)) return;
    if ((flags & Flag.ack) !== 0 && !isOwn) {
      this.#fail('BAD_FLAGS', `ACK of stream ${id}, which the peer opened itself`);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined && !(isOwn ? this.#ownIds.used(id) : this.#peerIds.used(id))) {
      this.#fail('UNKNOWN_STREAM', `type ${type} for stream ${id}, which nobody opened`);
    } else if (type === FrameType.data) {
      this.#takeDataHeader(stream, flags, id, length);
    } else if (stream !== undefined) {
      this.#takeWindowUpdate(stream, flags, length);
    }
  }

  #takeSyn(flags: number, id: number, isOwn: boolean): boolean {
    if ((flags & (Flag.ack | Flag.rst)) !== 0) return this.#fail('BAD_FLAGS', `SYN with flags ${flags}`);
    if (isOwn) return this.#fail('WRONG_PARITY', `SYN for stream ${id}`);
    if (!this.#peerIds.use(id)) return this.#fail('ID_REUSED', `SYN for stream ${id}`);
    if (this.#goAwaySent || this.#streams.size >= this.#maxStreams) {
      this.#output.control(FrameType.windowUpdate, Flag.rst, id, 0);
      return true;
    }
    const stream = new Stream(this.#owner, id, false);
    this.#streams.set(id, stream);
    this.#handler.onStream(stream);
    if (stream.handler === undefined) stream.reset();
    return true;
  }

  /** Flags of both frame types, but FIN, which comes after the payload. False when nothing else counts any more. */
  #takeFlags(stream: Stream, flags: number): boolean {
    if ((flags & Flag.rst) !== 0) {
      stream.takeReset();
      return false;
    }
    if ((flags & Flag.ack) !== 0 && !stream.acked) {
      this.#unackedOutbound -= 1;
      stream.takeAck();
    }
    if ((flags & Flag.fin) !== 0 && stream.finTaken) return this.#fail('SENT_AFTER_FIN', `FIN twice on ${stream.id}`);
    return !stream.closed;
  }

  #takeWindowUpdate(stream: Stream, flags: number, deltaBytes: number): void {
    if (!this.#takeFlags(stream, flags)) return;
    if (!stream.takeWindow(deltaBytes)) {
      this.#fail('WINDOW_OVERFLOW', `${deltaBytes} bytes more on stream ${stream.id}`);
    } else if ((flags & Flag.fin) !== 0) {
      stream.takeFin();
    }
  }

  #takeDataHeader(stream: Stream | undefined, flags: number, id: number, length: number): void {
    if (length > this.#windowBytes) {
      this.#fail('FRAME_TOO_LARGE', `${length} bytes on stream ${id}`);
      return;
    }
    const isWanted = stream !== undefined && this.#takeFlags(stream, flags);
    this.#payloadBytesLeft = length;
    this.#payloadStream = stream;
    this.#payloadHasFin = (flags & Flag.fin) !== 0;
    if (!isWanted) return;
    if (length > 0 && stream.finTaken) this.#fail('SENT_AFTER_FIN', `${length} bytes on stream ${id}`);
    else if (!stream.takeFrame(length)) this.#fail('WINDOW_EXCEEDED', `${length} bytes on stream ${id}`);
    else if (length === 0 && this.#payloadHasFin) stream.takeFin();
  }

  #release(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (stream.isOutbound && !stream.acked) this.#unackedOutbound -= 1;
  }

  /** Dead from here on: the first violation is the only one. Always false, for `return`. */
  #fail(code: MuxViolation, message: string): false {
    if (this.#state !== 'open') return false;
    this.#output.control(FrameType.goAway, Flag.none, 0, GoAwayCode.protocolError);
    this.#state = 'failed';
    this.#resetAll();
    this.#handler.onError(new MuxError(code, message));
    return false;
  }

  #resetAll(): void {
    for (const stream of this.#streams.values()) stream.takeReset();
  }
}

function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
  }
}
