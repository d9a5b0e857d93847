import { MuxError } from './error.ts';
import { Flag, FrameType, INITIAL_WINDOW_BYTES, MAX_UINT32 } from './frame.ts';
import type { Output, ReadySender } from './output.ts';

/** What one stream tells its user. The methods are called from receive(), setCongested() and abort(); none may throw. */
export interface MuxStreamHandler {
  /** The peer has accepted the stream that we opened. At most once. */
  onAck(): void;
  /** Bytes from the peer: a view of what was given to receive(), not a copy. Give the credit back with consumed(). */
  onData(chunk: Buffer): void;
  /** The peer sends no more (FIN). Writing goes on until end(). At most once. */
  onEnd(): void;
  /** The stream is gone before both sides had ended: RST from the peer, or the mux died. At most once, nothing follows. */
  onReset(): void;
  /** After write() said false: everything queued was sent. */
  onDrain(): void;
}

/** One stream of a mux: a connection in both directions with half-close and flow control of its own. */
export interface MuxStream {
  readonly id: number;
  /** Outbound: the peer's ACK has arrived. Inbound: accept() was called. */
  readonly acked: boolean;
  /** Both sides have ended, or it was reset: calls have no effect any more. */
  readonly closed: boolean;
  /** Bytes given to write() that wait for window or for the transport. */
  readonly queuedBytes: number;
  /** Set inside onStream, or directly after open(): nothing is stored for a stream without handler, it is reset. */
  handler: MuxStreamHandler | undefined;
  /** Inbound: queues the ACK, with the rest of the window, at once. write() and end() do it if the user did not. */
  accept(): void;
  /**
   * Sends `chunk` as far as window and transport allow and queues the rest, without copying more than small pieces:
   * the chunk must not be modified afterwards. False when something is queued: write no more until onDrain.
   * @throws MuxError WRITE_AFTER_END
   */
  write(chunk: Uint8Array): boolean;
  /** Ends this side (FIN) after what is queued. */
  end(): void;
  /** Ends both sides at once (RST). Queued data is dropped, the handler hears nothing more. */
  reset(): void;
  /**
   * Returns receive credit for bytes that came with onData and have left memory. The window update is sent when half the
   * window is due.
   * @throws RangeError for more bytes than were received
   */
  consumed(bytes: number): void;
}

/** What a stream needs of its mux. */
export interface StreamOwner {
  readonly output: Output;
  readonly windowBytes: number;
  readonly maxFrameBytes: number;
  /** The stream is closed; frames that still come for it are drained. */
  release(stream: Stream): void;
}

const NOTHING = new Uint8Array(0);
/** Shared by all idle streams and never changed. */
const NOTHING_QUEUED: Uint8Array[] = [];
/** Sent entries at the front of a queue that are worth a splice. */
const COMPACT_QUEUE_AT = 64;

/** A MuxStream with the side that the mux drives (every method named `take...` is called for a frame of the peer). */
export class Stream implements MuxStream, ReadySender {
  readonly id: number;
  readonly isOutbound: boolean;
  handler: MuxStreamHandler | undefined = undefined;
  acked = false;
  closed = false;
  queuedBytes = 0;

  previousReady: ReadySender | undefined = undefined;
  nextReady: ReadySender | undefined = undefined;
  isReady = false;

  readonly #owner: StreamOwner;
  readonly #output: Output;
  #sendWindow = INITIAL_WINDOW_BYTES;
  #receiveWindow = INITIAL_WINDOW_BYTES;
  /** Delivered with onData and not yet consumed(). */
  #unconsumedBytes = 0;
  /** Consumed, and not yet granted to the peer again. */
  #creditBytes = 0;
  #queue = NOTHING_QUEUED;
  #queueHead = 0;
  #isEnding = false;
  #finSent = false;
  #finTaken = false;

  constructor(owner: StreamOwner, id: number, isOutbound: boolean) {
    this.#owner = owner;
    this.#output = owner.output;
    this.id = id;
    this.isOutbound = isOutbound;
    if (isOutbound) this.#grantWholeWindow(Flag.syn);
  }

  accept(): void {
    if (this.closed || this.isOutbound || this.acked) return;
    this.acked = true;
    this.#grantWholeWindow(Flag.ack);
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed) return false;
    if (this.#isEnding) throw new MuxError('WRITE_AFTER_END', `stream ${this.id}`);
    if (!this.acked && !this.isOutbound) this.accept();
    const sent = this.queuedBytes === 0 ? this.#send(chunk) : 0;
    if (sent === chunk.length) return this.queuedBytes === 0;
    this.#enqueue(sent === 0 ? chunk : chunk.subarray(sent));
    return false;
  }

  end(): void {
    if (this.closed || this.#isEnding) return;
    this.accept();
    this.#isEnding = true;
    if (this.queuedBytes === 0) this.#sendFin();
  }

  reset(): void {
    if (this.closed) return;
    this.#output.control(FrameType.windowUpdate, Flag.rst, this.id, 0);
    this.#close();
  }

  consumed(bytes: number): void {
    if (this.closed) return;
    if (!(bytes >= 0 && bytes <= this.#unconsumedBytes)) {
      throw new RangeError(`consumed ${bytes} of ${this.#unconsumedBytes} bytes on stream ${this.id}`);
    }
    this.#unconsumedBytes -= bytes;
    this.#creditBytes += bytes;
    if (this.#creditBytes * 2 < this.#owner.windowBytes || this.#finTaken) return;
    this.#grant(Flag.none, this.#creditBytes);
    this.#creditBytes = 0;
  }

  /** ReadySender: one frame from the queue. */
  sendTurn(): boolean {
    const head = this.#queue[this.#queueHead];
    if (head === undefined || this.#sendWindow === 0) return false;
    const bytes = Math.min(head.length, this.#sendWindow, this.#owner.maxFrameBytes);
    if (bytes === head.length) {
      this.#shiftQueue();
    } else {
      this.#queue[this.#queueHead] = head.subarray(bytes);
    }
    this.queuedBytes -= bytes;
    this.#sendFrame(bytes === head.length ? head : head.subarray(0, bytes));
    return this.queuedBytes > 0 && this.#sendWindow > 0;
  }

  /** ReadySender: the queue is empty, or the window is. */
  sentAll(): void {
    if (this.closed || this.queuedBytes > 0) return;
    if (this.#isEnding) this.#sendFin();
    else this.handler?.onDrain();
  }

  takeAck(): void {
    if (this.acked) return;
    this.acked = true;
    this.handler?.onAck();
  }

  /** A window update; false when the window would pass 32 bits. */
  takeWindow(deltaBytes: number): boolean {
    if (this.#sendWindow + deltaBytes > MAX_UINT32) return false;
    this.#sendWindow += deltaBytes;
    if (this.queuedBytes > 0 && deltaBytes > 0) {
      this.#output.enqueue(this);
      this.#output.pump();
    }
    return true;
  }

  /** Whether a data frame of this size fits the receive window; it is charged as a whole, before its bytes arrive. */
  takeFrame(bytes: number): boolean {
    if (bytes > this.#receiveWindow) return false;
    this.#receiveWindow -= bytes;
    return true;
  }

  takeData(chunk: Buffer): void {
    if (this.handler === undefined) {
      this.reset();
      return;
    }
    this.#unconsumedBytes += chunk.length;
    this.handler.onData(chunk);
  }

  /** Whether the peer has ended its side. */
  get finTaken(): boolean {
    return this.#finTaken;
  }

  takeFin(): void {
    if (this.closed) return;
    this.#finTaken = true;
    this.handler?.onEnd();
    // onEnd may have ended or reset the stream itself.
    if (this.#finSent && !this.closed) this.#close();
  }

  /** RST from the peer, or the end of the mux. */
  takeReset(): void {
    if (this.closed) return;
    this.#close();
    this.handler?.onReset();
  }

  /** Sends what window and transport take now; returns the number of bytes. */
  #send(chunk: Uint8Array): number {
    const { maxFrameBytes } = this.#owner;
    let sent = 0;
    while (sent < chunk.length && this.#sendWindow > 0 && !this.#output.isBlocked) {
      const bytes = Math.min(chunk.length - sent, this.#sendWindow, maxFrameBytes);
      this.#sendFrame(bytes === chunk.length ? chunk : chunk.subarray(sent, sent + bytes));
      sent += bytes;
    }
    return sent;
  }

  #sendFrame(payload: Uint8Array): void {
    this.#sendWindow -= payload.length;
    this.#output.data(this.id, payload);
  }

  #enqueue(chunk: Uint8Array): void {
    if (this.#queue === NOTHING_QUEUED) this.#queue = [chunk];
    else this.#queue.push(chunk);
    this.queuedBytes += chunk.length;
    if (this.#sendWindow > 0) this.#output.enqueue(this);
  }

  #shiftQueue(): void {
    this.#queue[this.#queueHead] = NOTHING;
    this.#queueHead += 1;
    if (this.#queueHead === this.#queue.length) {
      this.#clearQueue();
    } else if (this.#queueHead >= COMPACT_QUEUE_AT && this.#queueHead * 2 >= this.#queue.length) {
      this.#queue.splice(0, this.#queueHead);
      this.#queueHead = 0;
    }
  }

  #clearQueue(): void {
    this.#queue = NOTHING_QUEUED;
    this.#queueHead = 0;
  }

  #sendFin(): void {
    this.#finSent = true;
    this.#output.control(FrameType.windowUpdate, Flag.fin, this.id, 0);
    if (this.#finTaken) this.#close();
  }

  #grantWholeWindow(flags: number): void {
    this.#grant(flags, this.#owner.windowBytes - INITIAL_WINDOW_BYTES);
  }

  #grant(flags: number, deltaBytes: number): void {
    this.#receiveWindow += deltaBytes;
    this.#output.control(FrameType.windowUpdate, flags, this.id, deltaBytes);
  }

  #close(): void {
    this.closed = true;
    this.queuedBytes = 0;
    this.#clearQueue();
    this.#output.dequeue(this);
    this.#owner.release(this);
  }
}
