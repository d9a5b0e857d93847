import { X509Certificate } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { digestNumber } from '@sekisho/channel';
import type { Logger, Metrics } from '@sekisho/telemetry';
import type { RelayReport } from '@sekisho/wire';
import { prepareSpoolDirectory } from '../inspect/spool.ts';
import { DEFAULT_DEADLINES, type RelaySettings } from '../settings.ts';
import { SESSION_STATES } from '../stream/outcome.ts';
import type { WorkerReport } from '../worker.ts';
import { ControlPort } from './control-port.ts';
import { DETECTION_TICK_MS, DetectionQueue } from './detection-queue.ts';
import { InspectionBoard } from './inspection-board.ts';
import { InspectionSummary } from './inspection-summary.ts';
import { MachineLoad } from './machine-load.ts';
import { RelayMetrics } from './relay-metrics.ts';
import { Throughput } from './throughput.ts';
import { type WorkerExec, WorkerPool } from './worker-pool.ts';

/** What `sekisho status` shows of a relay. */
export interface RelayStatus {
  readonly site: string;
  readonly name: string;
  readonly port: number;
  readonly controlPort: number;
  readonly workers: number;
  readonly workersWanted: number;
  readonly pids: readonly number[];
  readonly report: RelayReport;
}

/**
 * Starts a relay: its control port in this process, and a worker process for each of settings.workers.
 * @throws the operating system's error when a port cannot be had
 */
export async function startRelaySupervisor(
  components: { readonly log: Logger; readonly metrics: Metrics },
  settings: RelaySettings,
  workerExec: WorkerExec,
): Promise<RelaySupervisor> {
  const supervisor = new RelaySupervisor(components, { settings, workerExec });
  try {
    await supervisor.start();
    return supervisor;
  } catch (error) {
    await supervisor.close();
    throw error;
  }
}

/** For what was found last to be noted, before a relay that has drained ends. */
const FLUSH_MS = 2000;

/** A relay: supervises its workers, and tells the managers of the site how it is. */
export class RelaySupervisor {
  readonly #log: Logger;
  readonly #settings: RelaySettings;
  readonly #pool: WorkerPool;
  readonly #control: ControlPort;
  readonly #metrics: RelayMetrics;
  readonly #load = new MachineLoad({ now: () => performance.now() });
  readonly #detections: DetectionQueue;
  readonly #detectionTick: NodeJS.Timeout;
  readonly #inspection = new InspectionSummary();
  /** Undefined when nothing is inspected. */
  readonly #board: InspectionBoard | undefined;
  readonly #throughput = new Throughput({ now: () => performance.now() });
  #controlPort = 0;
  #isDraining = false;
  #closing: Promise<void> | undefined;

  constructor(
    components: { readonly log: Logger; readonly metrics: Metrics },
    init: { readonly settings: RelaySettings; readonly workerExec: WorkerExec },
  ) {
    const { log } = components;
    const { settings } = init;
    const { handshakeMs, deadMs } = settings.deadlines ?? DEFAULT_DEADLINES;
    this.#log = log;
    this.#settings = settings;
    this.#pool = new WorkerPool(
      {
        log,
        handler: {
          onReport: (report) => this.#onReport(report),
          onDetection: (detection) => this.#detections.add(detection),
          onRestart: () => this.#metrics.restarted(),
        },
      },
      { settings, exec: init.workerExec },
    );
    const { site, name, about, credentials, listen } = settings;
    this.#metrics = new RelayMetrics(
      components.metrics,
      () => ({ reports: this.#pool.reports, ready: this.#pool.ready, detectionsWaiting: this.#detections.size }),
      {
        certificateExpiresAtMs: Date.parse(new X509Certificate(credentials.certPem).validTo),
        configDigest: digestNumber(about?.config),
      },
    );
    this.#board = settings.inspect === undefined ? undefined : this.#inspectionBoard(components.metrics, settings.inspect.clamd);
    this.#detections = new DetectionQueue({
      log,
      now: () => performance.now(),
      handler: { onNoted: () => this.#metrics.detection('noted'), onDropped: () => this.#metrics.detection('dropped') },
    });
    this.#detectionTick = setInterval(() => this.#detections.tick(), DETECTION_TICK_MS);
    this.#control = new ControlPort(
      {
        log,
        detections: this.#detections,
        handler: {
          report: () => this.report(),
          onReject: (reason) => this.#metrics.rejected(reason),
          onRefusal: (code) => this.#metrics.refused(code),
        },
      },
      {
        site,
        name,
        about,
        credentials,
        host: listen.host,
        port: listen.controlPort,
        serverAddresses: settings.destinations.ownAddresses,
        handshakeMs,
        deadMs,
      },
    );
  }

  /** Binds the control port, which no second relay can have, and then the workers' shared one. */
  async start(): Promise<void> {
    if (this.#settings.inspect !== undefined) await prepareSpoolDirectory(this.#settings.inspect.spoolDirectory);
    this.#controlPort = await this.#control.listen();
    await this.#pool.start();
    this.#log.info(
      { event: 'relay_started', port: this.#pool.port, controlPort: this.#controlPort, workers: this.#settings.workers },
      'the relay is ready',
    );
  }

  /** The load of the relay, as a manager gets it. */
  report(): RelayReport {
    const { reports } = this.#pool;
    const unable = this.#unable(reports);
    const inspection = this.#inspection.report(reports.map((report) => report.inspection));
    return {
      loadPerCoreMilli: this.#load.loadPerCoreMilli,
      hottestCoreMilli: this.#load.hottestCoreMilli(),
      loopDelayUs: Math.max(0, ...reports.map(({ loopDelayUs }) => loopDelayUs)),
      sessions: sum(reports, ({ sessions }) => SESSION_STATES.reduce((total, state) => total + sessions[state], 0)),
      maxSessions: this.#settings.limits.maxSessions,
      devices: sum(reports, ({ devices }) => devices),
      bytesPerSecond: this.#throughput.bytesPerSecond,
      bytesPerSecondLimit: this.#settings.bytesPerSecondLimit,
      draining: this.#isDraining ? 1 : 0,
      ...(unable === undefined ? {} : { unable }),
      ...(inspection === undefined ? {} : { inspection }),
      workers: this.#pool.ready,
      workersWanted: this.#settings.workers,
    };
  }

  status(): RelayStatus {
    const { site, name, workers } = this.#settings;
    return {
      site,
      name,
      port: this.#pool.port,
      controlPort: this.#controlPort,
      workers: this.#pool.ready,
      workersWanted: workers,
      pids: this.#pool.pids,
      report: this.report(),
    };
  }

  /**
   * Accepts nothing new, says so to the managers, and resolves when the last conversation has ended, after
   * drainTimeoutMs at the latest. A second call ends at once.
   */
  async drain(): Promise<void> {
    if (this.#isDraining) return this.close();
    this.#isDraining = true;
    const { drainTimeoutMs } = this.#settings;
    this.#log.info({ event: 'relay_draining', drainTimeoutMs }, 'the relay accepts nothing new and lets conversations end');
    const timer = setTimeout(() => {
      this.#log.warn({ event: 'drain_timeout', sessions: this.report().sessions }, 'conversations are cut off');
      void this.close();
    }, drainTimeoutMs);
    await this.#pool.drain();
    clearTimeout(timer);
    await this.#detections.flush(FLUSH_MS);
    await this.close();
  }

  /** Ends everything at once; running sessions are reset. */
  close(): Promise<void> {
    this.#closing ??= this.#pool.stop().finally(() => {
      clearInterval(this.#detectionTick);
      this.#control.close();
      this.#detections.close();
    });
    return this.#closing;
  }

  #onReport({ counts, inspection }: WorkerReport): void {
    this.#metrics.add(counts);
    this.#throughput.add(counts.bytesUp + counts.bytesDown);
    if (inspection === undefined) return;
    this.#inspection.add(inspection);
    this.#board?.add(inspection);
  }

  #inspectionBoard(metrics: Metrics, scanners: readonly string[]): InspectionBoard {
    const reports = () => this.#pool.reports.flatMap(({ inspection }) => (inspection === undefined ? [] : [inspection]));
    return new InspectionBoard({ log: this.#log, metrics, now: () => performance.now(), reports }, { scanners });
  }

  #unable(reports: readonly WorkerReport[]): string | undefined {
    if (this.#pool.ready === 0 && !this.#isDraining) return 'no workers';
    return reports.find(({ unable }) => unable !== undefined)?.unable;
  }
}

function sum(reports: readonly WorkerReport[], of: (report: WorkerReport) => number): number {
  return reports.reduce((total, report) => total + of(report), 0);
}
