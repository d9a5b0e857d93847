import type { Socket } from 'node:net';
import { HeldBytes, resetSocket, type SpliceOwner } from '@sekisho/channel';
import type { Inspector, InspectorSink, UninspectedCause, Violation } from '@sekisho/inspect';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';
import type { InspectedProtocol, Inspection, Verdict } from './inspection.ts';
import type { Spool } from './spool.ts';
import { ViewRun } from './view-run.ts';

/** What a session hears of its inspected pipe, besides what it hears of any. */
export interface InspectedPipeOwner extends SpliceOwner {
  /** A message has ended and is judged. */
  onScan(): void;
  /** It has its verdict, or nobody wants it any more. */
  onScanOver(): void;
  onVerdict(verdict: Verdict): void;
  onUninspected(cause: UninspectedCause): void;
  onViolation(violation: Violation): void;
  /** The client was told its last; it is left a moment to end its side. */
  onFarewell(): void;
  /** The disk, or a mistake of ours. Stream and socket were reset. */
  onFault(error: unknown): void;
}

const NOTHING: Buffer = Buffer.alloc(0);

/** A message between its first byte and its verdict, or until the client has it. */
interface Message {
  readonly spool: Spool;
  readonly abort: AbortController;
  bytes: number;
  isJudged: boolean;
  keepAlive: NodeJS.Timeout | undefined;
  isClientServed: boolean;
}

/**
 * The bytes of one inspected session, between its stream and the destination's socket, as a Splice is for one that is
 * not. Between the two is the inspector. What it does not take yet waits here: the client's bytes within the stream's
 * window, those of the server one chunk at a time, its socket being paused.
 *
 * A message goes on its way (SMTP) and into its spool at the same time; at its end it is scanned from there.
 */
export class InspectedPipe implements MuxStreamHandler, InspectorSink {
  readonly #stream: MuxStream;
  readonly #socket: Socket;
  readonly #owner: InspectedPipeOwner;
  readonly #inspection: Inspection;
  readonly #protocol: InspectedProtocol;
  readonly #reference: string;
  readonly #inspector: Inspector;
  readonly #toServer = new ViewRun();
  readonly #toClient = new ViewRun();
  readonly #fromClient = new HeldBytes();
  readonly #fromServer = new HeldBytes();
  #uncreditedBytes = 0;
  #message: Message | undefined;
  #releaseFrom: number | undefined;
  /** The release of a message waits until the client has read. */
  #onClientFree: (() => void) | undefined;

  #isServerBlocked = false;
  #isClientBlocked = false;
  #streamEnded = false;
  #socketEnded = false;
  #clientEndTold = false;
  #serverEndTold = false;
  /** The inspector wants a FIN sent. */
  #endServerWanted = false;
  #endClientWanted = false;
  #finSent = false;
  /** There is nobody to write to any more. */
  #serverGone = false;
  #brokeAfterEnd = false;
  #socketClosed = false;
  #isPumping = false;
  #isOver = false;

  constructor(
    components: { readonly stream: MuxStream; readonly socket: Socket; readonly owner: InspectedPipeOwner; readonly inspection: Inspection },
    init: { readonly protocol: InspectedProtocol; readonly reference: string },
  ) {
    this.#stream = components.stream;
    this.#socket = components.socket;
    this.#owner = components.owner;
    this.#inspection = components.inspection;
    this.#protocol = init.protocol;
    this.#reference = init.reference;
    this.#inspector = components.inspection.inspector(init.protocol, this, init.reference);
  }

  /** Takes over stream and socket. `early` came from the stream before and has not been given back to its window yet. */
  start(early: readonly Buffer[]): void {
    const socket = this.#socket;
    this.#stream.handler = this;
    socket.on('data', (chunk: Buffer) => this.#onSocketData(chunk));
    socket.on('end', () => this.#onSocketEnd());
    socket.on('drain', () => this.#onSocketDrain());
    socket.on('error', () => this.#onSocketError());
    socket.on('close', () => this.#onSocketClose());
    for (const chunk of early) this.onData(chunk);
  }

  /** Ends both sides with resets; the owner hears nothing. */
  abort(): void {
    if (this.#isOver) return;
    this.#stream.reset();
    resetSocket(this.#socket);
    this.#finish();
  }

  onAck(): void {}

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#uncreditedBytes += chunk.length;
    this.#owner.onBytesToSocket(chunk.length);
    this.#pump(chunk);
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#streamEnded = true;
    this.#owner.onHalfClosed();
    this.#pump();
  }

  onReset(): void {
    resetSocket(this.#socket);
    this.#end('stream_reset');
  }

  onDrain(): void {
    this.#isClientBlocked = false;
    this.#onClientFree?.();
    this.#pump();
  }

  // What the inspector wants.

  toServer(bytes: Buffer): void {
    const ready = this.#toServer.push(bytes);
    if (ready !== undefined) this.#writeServer(ready);
  }

  toClient(bytes: Buffer): void {
    if (this.#message !== undefined) this.#message.isClientServed = true;
    const ready = this.#toClient.push(bytes);
    if (ready !== undefined) this.#writeClient(ready);
  }

  endServer(): void {
    this.#endServerWanted = true;
  }

  endClient(): void {
    this.#endClientWanted = true;
  }

  resetServer(): void {
    this.#loseServer();
    resetSocket(this.#socket);
  }

  onMessageStart(): void {
    const spool = this.#inspection.spool(() => this.#pump());
    const message: Message = {
      spool,
      abort: new AbortController(),
      bytes: 0,
      isJudged: false,
      keepAlive: undefined,
      isClientServed: false,
    };
    this.#message = message;
    if (this.#protocol === 'pop3') message.keepAlive = setInterval(() => this.#keepAlive(message), this.#inspection.keepAliveMs);
  }

  onMessageData(bytes: Buffer): void {
    const message = this.#message;
    if (message === undefined) return;
    message.bytes += bytes.length;
    // Nobody will scan it; what was sent the destination has already, what is fetched is kept only if it will be passed.
    const { maxScanBytes, onUnscannable } = this.#inspection.settings;
    const isWanted = this.#protocol === 'pop3' && onUnscannable.tooBig === 'pass';
    if (message.bytes > maxScanBytes && !isWanted) message.spool.discard();
    else message.spool.push(bytes);
  }

  onMessageEnd(): void {
    const message = this.#message;
    if (message === undefined) return;
    this.#settle(message).catch((error: unknown) => this.#fault(message, error));
  }

  onMessageAbort(): void {
    this.#dropMessage();
  }

  releaseContent(fromByte: number): void {
    this.#releaseFrom = fromByte;
  }

  onUninspected(cause: UninspectedCause): void {
    this.#owner.onUninspected(cause);
  }

  onViolation(violation: Violation): void {
    this.#owner.onViolation(violation);
  }

  async #settle(message: Message): Promise<void> {
    this.#owner.onScan();
    const { verdict, disposition } = await this.#inspection.judge(message.spool, {
      protocol: this.#protocol,
      bytes: message.bytes,
      reference: this.#reference,
      header: this.#inspector.messageHeader ?? NOTHING,
      isAmbiguous: this.#inspector.messageIsAmbiguous === true,
      signal: message.abort.signal,
    });
    if (this.#message !== message) return;
    message.isJudged = true;
    this.#owner.onScanOver();
    this.#owner.onVerdict(verdict);
    this.#inspector.decide(disposition);
    if (this.#releaseFrom === undefined) this.#dropMessage();
    this.#pump();
  }

  async #release(message: Message, fromByte: number): Promise<void> {
    clearInterval(message.keepAlive);
    for await (const chunk of message.spool.read(fromByte)) {
      if (this.#message !== message) return;
      this.#owner.onBytesToStream(0); // it moves: no deadline
      this.#writeClient(chunk);
      if (this.#isClientBlocked) await new Promise<void>((resolve) => (this.#onClientFree = resolve));
      this.#onClientFree = undefined;
    }
    if (this.#message !== message) return;
    this.#inspector.contentReleased();
    this.#dropMessage();
    this.#pump();
  }

  #fault(message: Message, error: unknown): void {
    // Reading from a spool that was discarded because nobody wants the message any more is none.
    if (this.#message === message) this.#fail(error);
  }

  #keepAlive(message: Message): void {
    try {
      if (!message.isClientServed && !this.#isClientBlocked) this.#inspector.keepAlive();
    } catch (error) {
      return this.#fail(error);
    }
    message.isClientServed = false;
    this.#pump();
  }

  #dropMessage(): void {
    const message = this.#message;
    if (message === undefined) return;
    this.#message = undefined;
    clearInterval(message.keepAlive);
    // An abort makes an exception, stack and all: not for nothing.
    if (!message.isJudged) {
      message.abort.abort();
      this.#owner.onScanOver();
    }
    message.spool.discard();
  }

  // Moving bytes.

  #canTakeFromClient(): boolean {
    // A client that does not read gets no more answers of ours either.
    return !this.#isServerBlocked && !this.#isClientBlocked && this.#message?.spool.isBusy !== true;
  }

  #canTakeFromServer(): boolean {
    return !this.#isClientBlocked && this.#message?.spool.isBusy !== true;
  }

  #takeClient(chunk: Buffer): void {
    if (this.#fromClient.bytes === 0 && this.#canTakeFromClient()) this.#offerClient(chunk);
    else this.#fromClient.push(chunk);
  }

  #takeServer(chunk: Buffer): void {
    if (this.#fromServer.bytes === 0 && this.#canTakeFromServer()) this.#offerServer(chunk);
    else this.#fromServer.push(chunk);
  }

  #offerClient(chunk: Buffer): void {
    const taken = this.#inspector.fromClient(chunk);
    if (taken < chunk.length) this.#fromClient.push(chunk.subarray(taken));
    this.#flush();
  }

  #offerServer(chunk: Buffer): void {
    const taken = this.#inspector.fromServer(chunk);
    if (taken < chunk.length) this.#fromServer.push(chunk.subarray(taken));
    this.#flush();
  }

  /**
   * Moves what has come, and whatever else can move now. Not from within itself: a spool that fails says so in the middle
   * of a call of the inspector's. What is thrown in here ends this session, and no other.
   */
  #pump(fromClient = NOTHING, fromServer = NOTHING): void {
    if (this.#isOver || this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#flush();
      if (fromClient.length > 0) this.#takeClient(fromClient);
      if (fromServer.length > 0) this.#takeServer(fromServer);
      this.#move();
    } catch (error) {
      this.#fail(error);
    }
    this.#isPumping = false;
  }

  /** Offers what waits until nobody takes any more, then passes on ends, credit and pauses. */
  #move(): void {
    while (this.#offerHeld() || this.#tellEnds());
    this.#flush();
    this.#passEnds();
    this.#startRelease();
    this.#credit();
    if (this.#fromServer.bytes === 0 && this.#canTakeFromServer()) this.#socket.resume();
    else this.#socket.pause();
    this.#checkEnd();
  }

  #offerHeld(): boolean {
    const before = this.#fromServer.bytes + this.#fromClient.bytes;
    if (this.#fromServer.bytes > 0 && this.#canTakeFromServer()) this.#offerAll(this.#fromServer, (chunk) => this.#offerServer(chunk));
    if (this.#fromClient.bytes > 0 && this.#canTakeFromClient()) this.#offerAll(this.#fromClient, (chunk) => this.#offerClient(chunk));
    return this.#fromServer.bytes + this.#fromClient.bytes < before;
  }

  /** After the first chunk that is not taken whole, the others wait behind its rest. */
  #offerAll(held: HeldBytes, offer: (chunk: Buffer) => void): void {
    const isServer = held === this.#fromServer;
    for (const chunk of held.take()) {
      if (held.bytes === 0 && (isServer ? this.#canTakeFromServer() : this.#canTakeFromClient())) offer(chunk);
      else held.push(chunk);
    }
  }

  #flush(): void {
    const up = this.#toServer.take();
    if (up !== undefined) this.#writeServer(up);
    const down = this.#toClient.take();
    if (down !== undefined) this.#writeClient(down);
  }

  #writeServer(bytes: Buffer): void {
    if (this.#serverGone || this.#isOver) return;
    const belowMark = this.#socket.write(bytes);
    if (this.#socket.writableLength === 0 || this.#isServerBlocked) return;
    this.#isServerBlocked = true;
    // Something is left, and not enough for a 'drain'.
    if (belowMark)
      this.#socket.write(NOTHING, (error) => {
        if (!error) this.#onSocketDrain();
      });
  }

  #writeClient(bytes: Buffer): void {
    if (this.#isOver || this.#finSent) return;
    if (!this.#stream.write(bytes)) this.#isClientBlocked = true;
  }

  /** Returns whether there was one to tell: the inspector may take what it did not take before. */
  #tellEnds(): boolean {
    if (this.#streamEnded && !this.#clientEndTold && this.#fromClient.bytes === 0) {
      this.#clientEndTold = true;
      this.#inspector.clientEnded();
      return true;
    }
    if (this.#socketEnded && !this.#serverEndTold && this.#fromServer.bytes === 0) {
      this.#serverEndTold = true;
      this.#inspector.serverEnded();
      return true;
    }
    return false;
  }

  #passEnds(): void {
    if (this.#endServerWanted && !this.#serverGone && !this.#socket.writableEnded) this.#socket.end();
    // Not before the queue is empty: a stream that has ended says no more when it is done.
    if (!this.#endClientWanted || this.#finSent || this.#stream.queuedBytes > 0) return;
    this.#finSent = true;
    this.#stream.end();
    if (this.#serverGone) this.#owner.onFarewell();
  }

  #startRelease(): void {
    const message = this.#message;
    if (this.#releaseFrom === undefined || message === undefined) return;
    const fromByte = this.#releaseFrom;
    this.#releaseFrom = undefined;
    this.#release(message, fromByte).catch((error: unknown) => this.#fault(message, error));
  }

  /** What has left memory is given back to the client's window. */
  #credit(): void {
    const bytes = this.#uncreditedBytes - this.#fromClient.bytes;
    if (this.#isServerBlocked || this.#message?.spool.isBusy === true || bytes === 0) return;
    this.#uncreditedBytes -= bytes;
    this.#stream.consumed(bytes);
  }

  // The destination's socket.

  #onSocketData(chunk: Buffer): void {
    if (this.#isOver || this.#serverGone) return;
    this.#owner.onBytesToStream(chunk.length);
    this.#pump(NOTHING, chunk);
  }

  #onSocketEnd(): void {
    if (this.#isOver || this.#serverGone) return;
    this.#socketEnded = true;
    this.#owner.onHalfClosed();
    this.#pump();
  }

  #onSocketDrain(): void {
    if (!this.#isServerBlocked || this.#socket.writableLength > 0) return;
    this.#isServerBlocked = false;
    this.#pump();
  }

  #onSocketError(): void {
    if (this.#isOver || this.#serverGone) return;
    if (!this.#socketEnded) {
      this.#stream.reset();
      return this.#end('socket_reset');
    }
    // Its last words are with us already and must reach the client.
    this.#brokeAfterEnd = true;
    this.#loseServer();
    this.#pump();
  }

  #onSocketClose(): void {
    this.#socketClosed = true;
    if (!this.#isOver && !this.#socketEnded && !this.#serverGone) return this.#onSocketError();
    this.#checkEnd();
  }

  #loseServer(): void {
    this.#serverGone = true;
    this.#isServerBlocked = false;
  }

  #checkEnd(): void {
    if (!this.#streamEnded || !this.#finSent) return;
    if (this.#brokeAfterEnd) this.#end('socket_reset');
    else if (this.#socketClosed || this.#serverGone) this.#end('completed');
  }

  #end(end: 'completed' | 'stream_reset' | 'socket_reset'): void {
    if (this.#isOver) return;
    this.#finish();
    this.#owner.onSpliceEnd(end);
  }

  /** Fails closed: neither side takes this for an end. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.abort();
    this.#owner.onFault(error);
  }

  #finish(): void {
    this.#isOver = true;
    this.#dropMessage();
    this.#onClientFree?.();
  }
}
