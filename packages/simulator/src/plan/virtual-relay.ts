import type { LoadReport } from '@sekisho/scheduler';
import type { RelayAddress } from '@sekisho/wire';
import type { Random } from '../load/random.ts';
import { binomial, poisson } from './draws.ts';
import type { CostModel, RelayScenario } from './scenario.ts';

/** `reset`: what is sent to it is answered with a reset, as by a machine whose process died. `silent`: by nothing. */
export type Health = 'up' | 'reset' | 'silent';

/** What one session is, on a machine and a line that have room. */
export interface SessionShape {
  readonly bytes: number;
  readonly ms: number;
}

export interface RelayInit extends RelayScenario {
  readonly index: number;
  /** The index of its site. */
  readonly site: number;
  readonly address: RelayAddress;
  readonly session: SessionShape;
  readonly cost: CostModel;
}

/** The load average of a minute follows in this time. */
const LOAD_AVERAGE_MS = 60_000;
/** An event loop that has work without end. */
const SATURATED_LOOP_MS = 500;

/**
 * A relay as its manager and its agents see it: sessions come, stay and go (each by itself, so their number is that of an
 * M/M/inf queue, exact for any step), and cost CPU and bytes by the cost model.
 */
export class VirtualRelay {
  readonly index: number;
  readonly site: number;
  readonly name: string;
  readonly weight: number;
  readonly cores: number;
  readonly maxDevices: number;
  readonly address: RelayAddress;
  health: Health = 'up';
  /** When health was last another. */
  changedAtMs = Number.NEGATIVE_INFINITY;
  /** Agents whose sessions go here as a matter of course; sessions of others come one by one. */
  clients = 0;
  /** The most of them since this was last set. */
  peakClients = 0;
  /** Devices connected. */
  devices = 0;
  sessions = 0;
  /** How many times longer sessions take than they would with room. */
  slowdown = 1;
  /** Work in the last step by what the cores can do; over 1 is more than they can. */
  cpu = 0;
  /** In one direction, since what comes in goes out again. */
  bytesPerMs = 0;
  /** Sessions of the last step that found no room. */
  overflow = 0;
  readonly #maxSessions: number;
  readonly #session: SessionShape;
  readonly #cost: CostModel;
  #loadAverage = 0;
  #single = 0;
  #handshakes = 0;

  constructor(init: RelayInit) {
    this.index = init.index;
    this.site = init.site;
    this.name = init.name;
    this.weight = init.weight;
    this.cores = init.cores;
    this.maxDevices = init.maxDevices;
    this.address = init.address;
    this.#maxSessions = init.maxSessions;
    this.#session = init.session;
    this.#cost = init.cost;
  }

  get isFull(): boolean {
    return this.sessions >= this.#maxSessions;
  }

  /** Of its sessions' cap, 0 to 1. */
  get fill(): number {
    return this.sessions / this.#maxSessions;
  }

  arrive(): void {
    this.clients += 1;
    if (this.clients > this.peakClients) this.peakClients = this.clients;
  }

  leave(): void {
    this.clients -= 1;
  }

  /** A device connects. False: it is told FULL. */
  connect(): boolean {
    if (this.devices >= this.maxDevices) return false;
    this.devices += 1;
    this.#handshakes += 1;
    return true;
  }

  /** One session more. False: it is told FULL. */
  admit(): boolean {
    if (this.isFull) return false;
    this.sessions += 1;
    this.#single += 1;
    return true;
  }

  /** Its machine is off, or on again without any memory. Returns the sessions that broke. */
  become(health: Health, nowMs: number): number {
    const broken = this.sessions;
    this.health = health;
    this.changedAtMs = nowMs;
    this.sessions = 0;
    this.devices = 0;
    this.slowdown = 1;
    this.cpu = 0;
    this.bytesPerMs = 0;
    this.#loadAverage = 0;
    this.#handshakes = 0;
    this.#single = 0;
    return broken;
  }

  /** Time goes by. Returns the sessions that its clients began, those in `overflow` included. */
  advance(dtMs: number, ratePerMs: number, random: Random): number {
    const stayMs = this.#session.ms * this.slowdown;
    const remains = Math.exp(-dtMs / stayMs);
    const begun = poisson(ratePerMs * this.clients * dtMs, random);
    const before = this.sessions;
    const after = binomial(before, remains, random) + binomial(begun, (stayMs / dtMs) * (1 - remains), random);
    this.sessions = Math.min(after, this.#maxSessions);
    this.overflow = after - this.sessions;
    const bytes = ((((before + this.sessions) / 2) * this.#session.bytes) / stayMs) * dtMs;
    this.bytesPerMs = bytes / dtMs;
    const { relaySecondsPer1000Sessions, relaySecondsPerGB, relaySecondsPer1000Connections } = this.#cost;
    const workMs =
      (begun - this.overflow + this.#single) * relaySecondsPer1000Sessions +
      bytes * relaySecondsPerGB * 1e-6 +
      this.#handshakes * relaySecondsPer1000Connections;
    this.cpu = workMs / dtMs / this.cores;
    this.#loadAverage += (this.cpu - this.#loadAverage) * (1 - Math.exp(-dtMs / LOAD_AVERAGE_MS));
    this.#single = 0;
    this.#handshakes = 0;
    return begun;
  }

  /** What it says of itself to a manager's ping. */
  report(lineBytesPerMs: number): LoadReport {
    return {
      loadPerCore: this.#loadAverage,
      hottestCore: Math.min(1, this.cpu),
      loopDelayMs: this.cpu < 1 ? Math.min(SATURATED_LOOP_MS, this.cpu / (1 - this.cpu)) : SATURATED_LOOP_MS,
      sessions: this.sessions,
      maxSessions: this.#maxSessions,
      bytesPerSecond: this.bytesPerMs * 1000,
      bytesPerSecondLimit: lineBytesPerMs * 1000,
      draining: false,
      unable: null,
    };
  }
}
