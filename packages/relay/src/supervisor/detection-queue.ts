import type { Logger } from '@sekisho/telemetry';
import type { Message } from '@sekisho/wire';
import type { Detection } from '../inspect/detection.ts';
import { detectionMessage } from './detection-message.ts';

/** An outbreak of a whole day; 5 MiB. Past it the oldest goes: that there is an outbreak is known by then. */
const MAX_DETECTIONS_HELD = 10_000;
/** Unanswered by one manager. They fit into what it may leave unread, and a store records them at once. */
const MAX_IN_FLIGHT = 64;
/** Without an answer it is sent again: the store of the site may be down. */
const RESEND_MS = 3000;
/** How often tick() is to be called. */
export const DETECTION_TICK_MS = 1000;
const FLUSH_CHECK_MS = 20;
const MAX_ID = 0xffff_ffff;

export interface DetectionQueueComponents {
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly handler: {
    onNoted(): void;
    /** One that nobody has noted was given up. */
    onDropped(): void;
  };
}

/**
 * Detections that no manager has noted yet. Each goes to every manager that is connected, so that none of them must be
 * there; the first that has it in the site's store says so, and it leaves the queue.
 */
export class DetectionQueue {
  readonly #components: DetectionQueueComponents;
  /** By id, the oldest first. */
  readonly #waiting = new Map<number, Message<'detection'>>();
  readonly #keys = new Set<string>();
  readonly #outlets = new Set<DetectionOutlet>();
  #nextId = 1;
  #isOverflowTold = false;

  constructor(components: DetectionQueueComponents) {
    this.#components = components;
  }

  /** Detections that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Takes a detection, unless one of the same key waits already. */
  add(detection: Detection): void {
    if (this.#keys.has(detection.key)) return;
    if (this.#waiting.size >= MAX_DETECTIONS_HELD) this.#dropOldest();
    const id = this.#nextId;
    this.#nextId = id === MAX_ID ? 1 : id + 1;
    this.#waiting.set(id, detectionMessage(id, detection));
    this.#keys.add(detection.key);
    for (const outlet of this.#outlets) this.#fill(outlet);
  }

  /** A manager that takes detections is there: it is sent what waits, and what comes. */
  open(send: (message: Message<'detection'>) => void): DetectionOutlet {
    const outlet: DetectionOutlet = {
      send,
      sentAtMs: new Map(),
      noted: (id) => this.#noted(outlet, id),
      close: () => void this.#outlets.delete(outlet),
    };
    this.#outlets.add(outlet);
    this.#fill(outlet);
    return outlet;
  }

  /** Sends again what a manager has not noted for too long. */
  tick(): void {
    const nowMs = this.#components.now();
    for (const outlet of this.#outlets) {
      const { sentAtMs } = outlet;
      const late = [...sentAtMs].filter(([, atMs]) => nowMs - atMs >= RESEND_MS);
      for (const [id] of late) {
        const message = this.#waiting.get(id);
        sentAtMs.delete(id);
        if (message === undefined) continue;
        sentAtMs.set(id, nowMs);
        outlet.send(message);
      }
      this.#fill(outlet);
    }
  }

  /** Resolves when nothing waits, when there is no manager that could take it, or when the time is over. */
  async flush(timeoutMs: number): Promise<void> {
    const untilMs = this.#components.now() + timeoutMs;
    while (this.#waiting.size > 0 && this.#outlets.size > 0 && this.#components.now() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, FLUSH_CHECK_MS));
  }

  /** What still waits is lost. */
  close(): void {
    if (this.#waiting.size === 0) return;
    this.#components.log.error(
      { event: 'detections_lost', detections: this.#waiting.size },
      'the relay ends with viruses found that no manager has noted: its log has them, the outbreak alarm has not',
    );
    this.#waiting.clear();
  }

  #noted(outlet: DetectionOutlet, id: number): void {
    // Nobody can note what it was not sent.
    if (!outlet.sentAtMs.delete(id)) return;
    // Another manager may have been faster.
    if (this.#waiting.has(id)) {
      this.#remove(id);
      this.#components.handler.onNoted();
    }
    if (this.#waiting.size === 0) this.#isOverflowTold = false;
    this.#fill(outlet);
  }

  #remove(id: number): void {
    this.#keys.delete(this.#waiting.get(id)?.key ?? '');
    this.#waiting.delete(id);
  }

  #dropOldest(): void {
    const [oldest] = this.#waiting.keys();
    if (oldest !== undefined) this.#remove(oldest);
    this.#components.handler.onDropped();
    if (this.#isOverflowTold) return;
    this.#isOverflowTold = true;
    this.#components.log.error(
      { event: 'detections_dropped', detections: MAX_DETECTIONS_HELD },
      'more viruses were found than can wait for a manager, and the oldest are dropped: look whether the managers and the store are up',
    );
  }

  /** What was not sent to it stands behind what was, so this looks at no more than is in flight and fits in. */
  #fill(outlet: DetectionOutlet): void {
    const { sentAtMs } = outlet;
    if (sentAtMs.size >= MAX_IN_FLIGHT) return;
    for (const [id, message] of this.#waiting) {
      if (sentAtMs.has(id)) continue;
      if (sentAtMs.size >= MAX_IN_FLIGHT) return;
      sentAtMs.set(id, this.#components.now());
      outlet.send(message);
    }
  }
}

/** The way to one manager. */
export interface DetectionOutlet {
  readonly send: (message: Message<'detection'>) => void;
  /** Of those it has not answered, by id: what another has noted meanwhile keeps its place, since this one is slow. */
  readonly sentAtMs: Map<number, number>;
  /** The manager says that the store has it. */
  noted(id: number): void;
  /** The manager is gone. */
  close(): void;
}
