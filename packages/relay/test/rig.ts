import type { Socket } from 'node:net';
import { createLogger } from '@sekisho/telemetry';
import { afterEach, beforeAll } from 'vitest';
import type { Detection } from '../src/inspect/detection.ts';
import type { RelaySettings } from '../src/settings.ts';
import { RelayWorker, type WorkerReport } from '../src/worker.ts';
import { TestAgent } from './agent.ts';
import { startDestination, type TestDestination } from './destination.ts';
import { type TestDevice, TestSite } from './site.ts';

export type Change = Partial<RelaySettings> & { readonly ports?: readonly number[] };

/** A site with one device, and workers, destinations and agents that are gone after each test. */
export class Rig {
  site!: TestSite;
  device!: TestDevice;
  /** The log of every worker, line by line. */
  readonly lines: Record<string, unknown>[] = [];
  /** The viruses that any worker found. */
  readonly detections: Detection[] = [];
  readonly #cleanUps: (() => unknown)[] = [];
  readonly #log = createLogger({
    role: 'relay',
    destination: { write: (line: string) => this.lines.push(JSON.parse(line) as Record<string, unknown>) },
  });

  constructor() {
    beforeAll(async () => {
      this.site = await TestSite.make();
      this.device = await this.site.device();
    });
    afterEach(async () => {
      for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
      this.lines.length = 0;
      this.detections.length = 0;
    });
  }

  defer(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  async worker(change: Change = {}): Promise<RelayWorker> {
    const worker = await RelayWorker.start({ log: this.#log, onDetection: (detection) => this.detections.push(detection) }, this.site.settings(change));
    this.defer(() => worker.close());
    return worker;
  }

  async destination(serve: (socket: Socket) => void): Promise<TestDestination> {
    const destination = await startDestination(serve);
    this.defer(() => destination.stop());
    return destination;
  }

  async connect(worker: RelayWorker, as = this.device): Promise<TestAgent> {
    const agent = await TestAgent.connect(as, worker.port);
    this.defer(() => agent.close());
    return agent;
  }

  async admitted(worker: RelayWorker, as = this.device): Promise<TestAgent> {
    const agent = await this.connect(worker, as);
    const answer = await agent.show(this.site.ticket(as));
    if (answer !== 'admit') throw new Error(`the ticket was answered with ${answer}`);
    return agent;
  }

  /** A worker, an admitted agent, and a destination that may be relayed to. */
  async path(serve: (socket: Socket) => void, change: Change = {}) {
    const destination = await this.destination(serve);
    const worker = await this.worker({ ports: [destination.port], ...change });
    return { destination, worker, agent: await this.admitted(worker) };
  }
}

/** Adds up the reports of a worker, which each tell only what is new. */
export class Ledger {
  readonly outcomes: Record<string, number> = {};
  readonly refusals: Record<string, number> = {};
  readonly rejects: Record<string, number> = {};
  bytesUp = 0;
  bytesDown = 0;
  readonly #worker: RelayWorker;

  constructor(worker: RelayWorker) {
    this.#worker = worker;
  }

  take(): WorkerReport {
    const report = this.#worker.report();
    const { counts } = report;
    for (const kind of ['outcomes', 'refusals', 'rejects'] as const)
      for (const [key, count] of Object.entries(counts[kind])) this[kind][key] = (this[kind][key] ?? 0) + count;
    this.bytesUp += counts.bytesUp;
    this.bytesDown += counts.bytesDown;
    return report;
  }
}
