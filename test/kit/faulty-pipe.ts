import type { Socket } from 'node:net';

export type Direction = 'toServer' | 'toClient';

/** Counted from the beginning of each connection; Infinity for never. */
export interface DirectionFaults {
  /** That many bytes are forwarded, then nothing more and no close either. */
  stallAfterBytes: number;
  /** That many bytes are forwarded, then both sides are reset. */
  resetAfterBytes: number;
}

export interface Faults {
  /** Each way. */
  latencyMs: number;
  /** At most this much more, evenly spread; the order of the bytes is kept. */
  jitterMs: number;
  /** Each way of each connection; Infinity for no cap. */
  bytesPerSecond: number;
  /** New connections are accepted, and nothing is forwarded nor is the server connected. */
  silent: boolean;
  toServer: DirectionFaults;
  toClient: DirectionFaults;
}

interface Parcel {
  /** Undefined is the end of the stream. */
  bytes: Buffer | undefined;
  dueAtMs: number;
}

interface PipeComponents {
  source: Socket;
  target: Socket;
  /** Read anew for every piece: the owner changes it. */
  faults: Readonly<Faults>;
  random: () => number;
  forwarded: (bytes: number) => void;
}

/** What is in flight when the target is slow or the latency long; past it the source is paused. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** A rate cap lets this much time's worth of bytes through at once. */
const RATE_SLICE_MS = 20;

/** One direction of one proxied connection, with the faults of the line it stands for. */
export class FaultyPipe {
  #components: PipeComponents;
  #direction: Direction;
  #queue: Parcel[] = [];
  #queuedBytes = 0;
  #sentBytes = 0;
  #lastDueAtMs = 0;
  #rateFreeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #waitingForDrain = false;
  #cut = false;

  constructor(components: PipeComponents, init: { direction: Direction }) {
    this.#components = components;
    this.#direction = init.direction;
    const { source, target } = components;
    source.on('data', (bytes: Buffer) => this.#arrived(bytes));
    source.on('end', () => this.#arrived(undefined));
    source.on('error', () => this.#broken());
    target.on('drain', () => {
      this.#waitingForDrain = false;
      this.#forward();
    });
  }

  /** Nothing passes any more, neither bytes nor a close. */
  cut(): void {
    this.#cut = true;
    clearTimeout(this.#timer);
    this.#components.source.resume();
  }

  faultsChanged(): void {
    this.#rateFreeAtMs = 0;
    this.#forward();
  }

  get #limits(): DirectionFaults {
    return this.#components.faults[this.#direction];
  }

  get #stalled(): boolean {
    return this.#cut || this.#sentBytes >= this.#limits.stallAfterBytes;
  }

  #arrived(bytes: Buffer | undefined): void {
    if (this.#cut) return;
    const { faults, random, source } = this.#components;
    const arrivesAtMs = performance.now() + faults.latencyMs + random() * faults.jitterMs;
    this.#lastDueAtMs = Math.max(this.#lastDueAtMs, arrivesAtMs);
    this.#queue.push({ bytes, dueAtMs: this.#lastDueAtMs });
    this.#queuedBytes += bytes?.length ?? 0;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) source.pause();
    this.#forward();
  }

  #broken(): void {
    if (!this.#stalled) this.#components.target.resetAndDestroy();
  }

  #forward(): void {
    clearTimeout(this.#timer);
    const { source, target } = this.#components;
    for (let parcel = this.#queue[0]; parcel !== undefined; parcel = this.#queue[0]) {
      if (this.#stalled || this.#waitingForDrain || target.destroyed) return;
      const waitMs = Math.max(parcel.dueAtMs, this.#rateFreeAtMs) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#forward(), waitMs);
        return;
      }
      if (parcel.bytes === undefined) {
        this.#queue.shift();
        target.end();
        return;
      }
      this.#forwardSome(parcel, parcel.bytes);
      if (this.#sentBytes >= this.#limits.resetAfterBytes) {
        // Written bytes may still wait in this process; a reset would throw them away.
        this.#resetBothWhenWritten();
        return;
      }
    }
    if (this.#queuedBytes <= MAX_QUEUED_BYTES) source.resume();
  }

  #forwardSome(parcel: Parcel, bytes: Buffer): void {
    const { faults, target, forwarded } = this.#components;
    const slice = Math.max(1, Math.floor((faults.bytesPerSecond * RATE_SLICE_MS) / 1000));
    const room = Math.min(this.#limits.stallAfterBytes, this.#limits.resetAfterBytes) - this.#sentBytes;
    const count = Math.max(0, Math.min(bytes.length, slice, room));
    if (count === bytes.length) this.#queue.shift();
    else parcel.bytes = bytes.subarray(count);
    this.#queuedBytes -= count;
    this.#sentBytes += count;
    forwarded(count);
    this.#rateFreeAtMs = Math.max(this.#rateFreeAtMs, performance.now()) + (count / faults.bytesPerSecond) * 1000;
    if (!target.write(bytes.subarray(0, count))) this.#waitingForDrain = true;
  }

  #resetBothWhenWritten(): void {
    const { source, target } = this.#components;
    this.#cut = true;
    target.write('', () => {
      target.resetAndDestroy();
      source.resetAndDestroy();
    });
  }
}
