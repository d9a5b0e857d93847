import type { Disposition, Inspector, InspectorSink } from '../inspector.ts';
import { Recorder } from './recorder.ts';

export type Side = 'client' | 'server';

/** An inspector between two peers: keeps what it does not take, and offers it again after every other call. */
export class Conversation {
  readonly inspector: Inspector;
  readonly heard: Recorder;
  readonly #waiting: Record<Side, Buffer> = { client: Buffer.alloc(0), server: Buffer.alloc(0) };
  readonly #ended: Record<Side, 'no' | 'asked' | 'told'> = { client: 'no', server: 'no' };

  constructor(make: (sink: InspectorSink) => Inspector, heard = new Recorder()) {
    this.heard = heard;
    this.inspector = make(heard);
  }

  waiting(side: Side): number {
    return this.#waiting[side].length;
  }

  /** Sends in pieces of these sizes, the last being the rest; the other side is not served before all were offered. */
  send(side: Side, bytes: Buffer, sizes: readonly number[] = []): void {
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      // A chunk of its own: a view beside others would hide a read past its end.
      const piece = Buffer.from(bytes.subarray(at, at + size));
      at += piece.length;
      if (piece.length > 0) this.#offer(side, piece);
    }
    this.#settle();
  }

  end(side: Side): void {
    this.#ended[side] = 'asked';
    this.#settle();
  }

  decide(disposition: Disposition): void {
    this.inspector.decide(disposition);
    this.#settle();
  }

  keepAlive(): void {
    this.inspector.keepAlive();
    this.#settle();
  }

  contentReleased(): void {
    this.inspector.contentReleased();
    this.#settle();
  }

  /** Returns how many bytes were taken. */
  #offer(side: Side, piece?: Buffer): number {
    const before = this.#waiting[side];
    const bytes = piece === undefined ? before : Buffer.concat([before, piece]);
    if (bytes.length === 0) return 0;
    const taken = side === 'client' ? this.inspector.fromClient(bytes) : this.inspector.fromServer(bytes);
    if (!Number.isInteger(taken) || taken < 0 || taken > bytes.length)
      throw new Error(`${taken} of ${bytes.length} bytes taken`);
    this.#waiting[side] = bytes.subarray(taken);
    return taken;
  }

  #settle(): void {
    while (this.#offer('server') + this.#offer('client') > 0);
    for (const side of ['client', 'server'] as const) {
      if (this.#ended[side] !== 'asked' || this.#waiting[side].length > 0) continue;
      this.#ended[side] = 'told';
      if (side === 'client') this.inspector.clientEnded();
      else this.inspector.serverEnded();
      this.#settle();
    }
  }
}
