import { createLogger } from '@sekisho/telemetry';
import type { OutbreakSettings } from '../settings.ts';
import { OutbreakBoard, type BoardInit, type Evaluation } from '../core/board.ts';
import type { Outbreak } from '../core/outbreak.ts';
import type { Sighting } from '../core/sighting.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
/** Some moment, milliseconds since 1970. */
export const START_MS = 1_700_000_000_000;

const DEFAULTS: BoardInit = {
  windowMs: 10 * MINUTE_MS,
  thresholds: { device: 20, contact: 50, signature: 100 },
  coolDownMs: HOUR_MS,
  clearAfterMs: 30 * MINUTE_MS,
};

/** A board with a store of its own that takes every change, and a clock that is set by hand. */
export class BoardSite {
  readonly board: OutbreakBoard;
  outbreaks = new Map<string, Outbreak>();
  nowMs = START_MS;
  /** Everything that was changed, as `what name`. */
  readonly history: string[] = [];

  constructor(init: Partial<BoardInit> = {}) {
    this.board = new OutbreakBoard({ ...DEFAULTS, ...init });
  }

  take(...sightings: Sighting[]): void {
    this.board.take(sightings, this.nowMs);
  }

  /** Evaluates, and adopts what comes of it. */
  evaluate(options: { readonly mayEnd?: boolean; readonly isTold?: boolean } = {}): Evaluation {
    const { mayEnd = true, isTold = true } = options;
    const evaluation = this.board.evaluate(this.nowMs, { mayEnd, isTold: () => isTold });
    const next = new Map(this.outbreaks);
    for (const change of evaluation.changes) {
      if (change.next === null) next.delete(change.name);
      else next.set(change.name, change.next);
      this.history.push(`${change.what} ${change.name}`);
    }
    this.outbreaks = next;
    this.board.adopt(next);
    return evaluation;
  }

  /** What changes within this time, looked at each second or more rarely. */
  pass(ms: number, stepMs = 10_000): string[] {
    const before = this.history.length;
    const end = this.nowMs + ms;
    while (this.nowMs < end) {
      this.nowMs = Math.min(this.nowMs + stepMs, end);
      this.evaluate();
    }
    return this.history.slice(before).filter((one) => !one.startsWith('saved'));
  }
}

export const silentLog = createLogger({ role: 'outbreak', level: 'silent' });

/** Lines of a log, parsed. */
export function recordingLog() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { lines, log: createLogger({ role: 'outbreak', destination: { write } }) };
}

/** Settings of a watch that looks often, and sends to a server on loopback. */
export function watchSettings(submissionPort: number, fields: Partial<OutbreakSettings> = {}): OutbreakSettings {
  return {
    ...DEFAULTS,
    site: 'tokyo-1',
    name: 's1',
    to: ['admin@example.com'],
    toCustomer: false,
    submission: { host: '127.0.0.1', port: submissionPort, tls: 'none', from: 'sekisho@site.example.com' },
    pollMs: 20,
    firstRetryMs: 50,
    settleMs: 0,
    ...fields,
  };
}

