import { Ledger } from './figures/ledger.ts';
import { Tally } from './figures/tally.ts';
import { Generator } from './generator.ts';
import type { Order, WorkerOutcome, WorkerSettings, Word } from './messages.ts';
import { type Destination, Offices } from './offices.ts';
import { Pacer } from './pacer.ts';
import { seeded } from './random.ts';
import { Servers } from './servers.ts';
import type { SessionKind, Target } from './session.ts';

const SAMPLE_MS = 1000;

/** A load process: clients, servers and perhaps agents, led over IPC; it ends when whoever leads it is gone. */
export async function runLoadWorker(): Promise<void> {
  const tell = (word: Word): void => void process.send?.(word, undefined, undefined, () => {});
  const { promise: closed, resolve: close } = Promise.withResolvers<LoadWorker>();
  // Ctrl-C at a terminal reaches the whole group; the one that leads decides what it means.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit(1));
  let worker: LoadWorker | undefined;
  const obey = async (order: Order): Promise<void> => {
    if (order.type === 'set_up') {
      worker = new LoadWorker(order.settings);
      tell(await worker.setUp());
    } else if (order.type === 'begin') worker?.begin((sample) => tell({ type: 'sample', sample }));
    else if (order.type === 'measure') worker?.measure();
    else if (worker !== undefined && order.type === 'stop') {
      await worker.stop(order.graceMs);
      tell({ type: 'stopped' });
    } else if (worker !== undefined && order.type === 'close') close(worker);
  };
  process.on('message', (order: Order) => {
    obey(order).catch((error: unknown) => tell({ type: 'failed', why: error instanceof Error ? error.message : String(error) }));
  });
  const finished: Word = { type: 'finished', outcome: (await closed).outcome() };
  process.send?.(finished, undefined, undefined, () => process.exit(0));
}

class LoadWorker {
  readonly #settings: WorkerSettings;
  readonly #ledger: Ledger;
  readonly #tally = new Tally();
  readonly #servers: Servers;
  readonly #offices: Offices;
  readonly #pacer: Pacer | undefined;
  #generator: Generator | undefined;
  #sampler: NodeJS.Timeout | undefined;
  #lastSample: (() => void) | undefined;
  #movedBefore: Float64Array = new Float64Array();
  #clientRates: Float64Array = new Float64Array();
  #measuredAtMs = 0;

  constructor(settings: WorkerSettings) {
    const { run, worker, workers, tls, traffic } = settings;
    this.#settings = settings;
    this.#ledger = new Ledger({ worker });
    this.#offices = new Offices({ tally: this.#tally });
    this.#pacer = traffic.clientBytesPerSecond === undefined ? undefined : new Pacer({ bytesPerSecond: traffic.clientBytesPerSecond });
    const onBytesStored = (bytes: number): void => this.#tally.bytes('up', bytes);
    this.#servers = new Servers({ ledger: this.#ledger, pacer: this.#pacer, onBytesStored }, { run, workers, tls });
  }

  async setUp(): Promise<Word> {
    const { way, servers, tls, traffic, readyTimeoutMs } = this.#settings;
    const destinations: Destination[] = [];
    for (const server of servers)
      destinations.push({ kind: server.protocol === 'smtp' ? 'send' : 'fetch', host: server.host, port: await this.#servers.listen(server) });
    if (way.kind === 'agents') await this.#offices.start(way.agents, destinations, { tls: tls !== undefined, clients: traffic.clients });
    const unready = await this.#offices.ready(readyTimeoutMs);
    this.#generator = this.#newGenerator({ send: this.#targets('send', destinations), fetch: this.#targets('fetch', destinations) });
    return { type: 'ready', unready, relayAddresses: this.#offices.relayAddresses() };
  }

  begin(onSample: (sample: ReturnType<Tally['takeSample']>) => void): void {
    const beganAtMs = performance.now();
    this.#lastSample = () => {
      const second = Math.max(Math.round((performance.now() - beganAtMs) / SAMPLE_MS) - 1, 0);
      onSample(this.#tally.takeSample(second, this.#generator?.active ?? 0));
    };
    this.#sampler = setInterval(this.#lastSample, SAMPLE_MS);
    this.#generator?.start();
  }

  measure(): void {
    this.#movedBefore = this.#generator?.moved() ?? new Float64Array();
    this.#measuredAtMs = performance.now();
    this.#tally.measuring = true;
  }

  async stop(graceMs: number): Promise<void> {
    this.#tally.measuring = false;
    const seconds = (performance.now() - this.#measuredAtMs) / 1000;
    const moved = this.#generator?.moved() ?? new Float64Array();
    this.#clientRates = moved.map((bytes, client) => (bytes - (this.#movedBefore[client] ?? 0)) / seconds);
    this.#pacer?.lift();
    await this.#generator?.stop(graceMs);
    clearInterval(this.#sampler);
    this.#lastSample?.();
  }

  /** Once the clients of all processes have stopped: the servers of this one store mail of the others. */
  outcome(): WorkerOutcome {
    return { tally: this.#tally.parts(), ledger: this.#ledger.parts(), clientRates: this.#clientRates };
  }

  #targets(kind: SessionKind, destinations: readonly Destination[]): readonly Target[] {
    const { way } = this.#settings;
    if (way.kind === 'listeners') return way.targets[kind];
    if (way.kind === 'agents') return this.#offices.targets(kind);
    return destinations.filter((destination) => destination.kind === kind);
  }

  #newGenerator(targets: Readonly<Record<SessionKind, readonly Target[]>>): Generator {
    const { run, worker, traffic, tls, seed } = this.#settings;
    return new Generator(
      { ledger: this.#ledger, tally: this.#tally, pacer: this.#pacer, random: seeded(seed) },
      { run, worker, traffic, targets, tlsCaPem: tls?.certPem },
    );
  }
}
