import type { Disposition, InspectorSink, UninspectedCause, Violation } from '../../inspector.ts';
import { Pop3Inspector } from '../pop3-inspector.ts';

type Side = 'client' | 'server';

export interface MemoryRelayInit {
  readonly starttls?: 'pass' | 'hide' | 'refuse';
  /** What becomes of the messages, one after the other, over and over. */
  readonly decisions: readonly Disposition[];
  /** Calls of keepAlive() for a message that is held. */
  readonly keepAlives?: number;
}

/** What a relay does around an inspector: keeps what is not taken, spools, decides as it was told to, and releases. */
export class MemoryRelay implements InspectorSink {
  readonly inspector: Pop3Inspector;
  readonly events: string[] = [];
  /** The content of each message that has ended. */
  readonly contents: Buffer[] = [];
  /** All content that came. */
  readonly data: Buffer[] = [];
  /** What the client was told while a message was neither decided nor given up. */
  readonly early: Buffer[] = [];
  readonly #init: MemoryRelayInit;
  readonly #said: Record<Side, Buffer[]> = { client: [], server: [] };
  readonly #waiting: Record<Side, Buffer[]> = { client: [], server: [] };
  #spool: Buffer[] | undefined;
  #releaseFrom: number | undefined;

  constructor(init: MemoryRelayInit) {
    this.#init = init;
    this.inspector = new Pop3Inspector({ sink: this }, { starttls: init.starttls ?? 'pass', reference: 'r1' });
  }

  get client(): string {
    return Buffer.concat(this.#said.client).toString('latin1');
  }

  get server(): string {
    return Buffer.concat(this.#said.server).toString('latin1');
  }

  /** Offers all pieces before the other side is served. */
  send(side: Side, pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.#waiting[side].push(piece);
      this.#offer(side);
    }
    while (this.#settle() || this.#offer('server') || this.#offer('client'));
  }

  /** FIN; what still waits is lost, as it is when a relay gives up. */
  end(side: Side): void {
    if (side === 'client') this.inspector.clientEnded();
    else this.inspector.serverEnded();
    while (this.#settle() || this.#offer('server') || this.#offer('client'));
  }

  #offer(side: Side): boolean {
    let progress = false;
    for (let piece = this.#waiting[side].shift(); piece !== undefined; piece = this.#waiting[side].shift()) {
      const taken = side === 'client' ? this.inspector.fromClient(piece) : this.inspector.fromServer(piece);
      progress ||= taken > 0;
      if (taken === piece.length) continue;
      this.#waiting[side].unshift(piece.subarray(taken));
      break;
    }
    return progress;
  }

  #settle(): boolean {
    if (this.inspector.state === 'held') {
      const { decisions, keepAlives = 0 } = this.#init;
      for (let call = 0; call < keepAlives; call += 1) this.inspector.keepAlive();
      const decision = decisions[(this.contents.length - 1) % decisions.length];
      if (decision === undefined) return false;
      const spool = this.#spool;
      this.#spool = undefined;
      this.inspector.decide(decision);
      if (this.#releaseFrom !== undefined) this.#said.client.push(Buffer.concat(spool ?? []).subarray(this.#releaseFrom));
    }
    if (this.#releaseFrom === undefined) return false;
    this.#releaseFrom = undefined;
    this.inspector.contentReleased();
    return true;
  }

  toServer(bytes: Buffer): void {
    this.#said.server.push(bytes);
  }

  toClient(bytes: Buffer): void {
    this.#said.client.push(bytes);
    if (this.#spool !== undefined) this.early.push(bytes);
  }

  onMessageStart(): void {
    this.#spool = [];
    this.events.push('start');
  }

  onMessageData(bytes: Buffer): void {
    if (bytes.length === 0) throw new Error('data without bytes');
    this.#spool?.push(bytes);
    this.data.push(bytes);
  }

  onMessageEnd(): void {
    this.contents.push(Buffer.concat(this.#spool ?? []));
    this.events.push('end');
  }

  onMessageAbort(): void {
    this.#spool = undefined;
    this.events.push('abort');
  }

  releaseContent(fromByte: number): void {
    this.#releaseFrom = fromByte;
  }

  endServer(): void {
    this.events.push('endServer');
  }

  endClient(): void {
    this.events.push('endClient');
  }

  resetServer(): void {
    this.events.push('resetServer');
  }

  onUninspected(cause: UninspectedCause): void {
    this.events.push(cause);
  }

  onViolation({ code, by }: Violation): void {
    this.events.push(`${code} ${by}`);
  }
}
