import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { TLSSocket } from 'node:tls';
import { Listener, type Peer, type RejectReason } from '@sekisho/channel';
import type { Logger } from '@sekisho/telemetry';
import { DATA_ALPN } from '@sekisho/wire';
import { Gate } from './admission.ts';
import { Caps } from './caps.ts';
import { areDescriptorsScarce } from './descriptors.ts';
import { DeviceConnection } from './device-connection.ts';
import { DestinationPolicy } from './policy/destination.ts';
import { DestinationResolver } from './policy/resolve.ts';
import { DEFAULT_DEADLINES, type RelaySettings, shareOf } from './settings.ts';
import type { SessionState } from './stream/outcome.ts';
import { Sweep } from './stream/sweep.ts';
import { type Counts, Tally } from './tally.ts';
import type { WorkerContext } from './worker-context.ts';
import type { Detection } from './inspect/detection.ts';
import { Inspection } from './inspect/inspection.ts';
import { type InspectionCounts, totalOf, uninspectedOf } from './inspect/inspection-tally.ts';
import type { ScannerStatus } from './scan/scanner-pool.ts';

/** Why a worker cannot do its work. */
export type Unable = 'no descriptors left' | 'destination DNS dead';

export interface WorkerReport {
  readonly sessions: Readonly<Record<SessionState, number>>;
  readonly devices: number;
  /** The worst of the last interval: how late the event loop was. */
  readonly loopDelayUs: number;
  readonly unable: Unable | undefined;
  readonly counts: Counts;
  /** Not set: nothing is inspected. */
  readonly inspection?: WorkerInspection | undefined;
}

/** What inspection has done since the last report, and its scanners now. */
export interface WorkerInspection {
  readonly verdicts: Readonly<Record<'clean' | 'infected' | 'unscannable' | 'uninspected', number>>;
  readonly scanners: readonly Pick<ScannerStatus, 'address' | 'up' | 'why' | 'signatures' | 'signaturesAt'>[];
  /** In more detail. */
  readonly counts: InspectionCounts;
  readonly spoolBytes: number;
}

export interface WorkerComponents {
  readonly log: Logger;
  /** A virus was found. */
  readonly onDetection?: (detection: Detection) => void;
  /** Which all workers of a relay have; without it TLS sessions are not resumed. */
  readonly sessionKey?: Buffer;
}

const LOOP_DELAY_RESOLUTION_MS = 10;
/** One try at one DNS server; two tries and two servers fit into connectTimeoutMs. */
const DNS_TRY_MS = 900;
/** Connections that may be within their handshake, besides the devices. */
const HANDSHAKE_ROOM = 256;
const SELF_CHECK_MS = 2000;
const DRAIN_CHECK_MS = 100;

/** The data port: accepts devices and relays their sessions. A relay runs one in each of its worker processes. */
export class RelayWorker {
  readonly #context: WorkerContext;
  readonly #listener: Listener;
  readonly #connections = new Set<DeviceConnection>();
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  readonly #selfCheck: NodeJS.Timeout;
  #areDescriptorsScarce = false;
  #isDraining = false;
  #isClosed = false;
  #port = 0;

  /**
   * Binds the data port.
   * @throws the operating system's error, and RangeError or TypeError for settings that cannot be
   */
  static async start(components: WorkerComponents, settings: RelaySettings): Promise<RelayWorker> {
    const worker = new RelayWorker(components, settings);
    try {
      worker.#port = (await worker.#listener.listen()).port;
      return worker;
    } catch (error) {
      worker.close();
      throw error;
    }
  }

  private constructor(components: WorkerComponents, settings: RelaySettings) {
    const { limits } = settings;
    this.#context = this.#contextOf(components, settings);
    this.#listener = new Listener(
      {
        host: settings.listen.host,
        port: settings.listen.port,
        credentials: settings.credentials,
        alpn: DATA_ALPN,
        handshakeTimeoutMs: this.#context.deadlines.handshakeMs,
        maxConnections: shareOf(limits.maxDevices, settings.workers) + HANDSHAKE_ROOM,
        maxPerAddress: limits.maxPerAddress,
        reusePort: settings.workers > 1,
        sessionKey: components.sessionKey,
      },
      {
        onConnection: (socket, peer) => this.#onConnection(socket, peer),
        onReject: (reason, address) => this.#onReject(reason, address),
        onError: (error) => this.#onListenerError(error),
      },
    );
    this.#loopDelay.enable();
    this.#selfCheck = setInterval(() => void this.#checkSelf(), SELF_CHECK_MS);
  }

  get port(): number {
    return this.#port;
  }

  changeSessionKey(key: Buffer): void {
    this.#listener.changeSessionKey(key);
  }

  /** What is now, and what has happened since the last call. */
  report(): WorkerReport {
    const { tally, caps, resolver } = this.#context;
    const delayMs = this.#loopDelay.percentile(99) / 1e6 - LOOP_DELAY_RESOLUTION_MS;
    this.#loopDelay.reset();
    return {
      sessions: { ...tally.sessions },
      devices: caps.connections,
      loopDelayUs: Math.max(0, Math.round(delayMs * 1000)),
      unable: this.#areDescriptorsScarce ? 'no descriptors left' : resolver.health.dead ? 'destination DNS dead' : undefined,
      counts: tally.take(),
      inspection: this.#inspectionReport(),
    };
  }

  /** Accepts nothing new, and resolves when the last session has ended, or close() was called. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#listener.stopAccepting();
    for (const connection of this.#connections) connection.goAway();
    // A session may outlive its connection: what both sides have said to their end may not be written yet.
    while ((this.#connections.size > 0 || this.#context.caps.sessions > 0) && !this.#isClosed) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
      for (const connection of this.#connections) connection.closeIfIdle();
    }
  }

  /** Ends everything now; running sessions are reset. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#selfCheck);
    this.#loopDelay.disable();
    this.#context.sweep.stop();
    this.#context.inspection?.close();
    for (const connection of this.#connections) connection.close();
    this.#listener.close();
  }

  #contextOf({ log, onDetection }: WorkerComponents, settings: RelaySettings): WorkerContext {
    const { limits, destinations, workers, inspect, deadlines = DEFAULT_DEADLINES } = settings;
    const { keepAliveMs } = deadlines;
    const now = (): number => performance.now();
    const policy = new DestinationPolicy(destinations);
    return {
      log,
      now,
      policy,
      resolver: new DestinationResolver({ policy }, { servers: settings.dnsServers, timeoutMs: DNS_TRY_MS }),
      gate: new Gate({ now: Date.now }, { ...settings, relay: settings.name }),
      caps: new Caps({
        maxSessions: shareOf(limits.maxSessions, workers),
        maxDevices: shareOf(limits.maxDevices, workers),
        maxSessionsPerDevice: limits.maxSessionsPerDevice,
      }),
      tally: new Tally(),
      sweep: new Sweep({ now }),
      deadlines,
      connectTimeoutMs: settings.connectTimeoutMs,
      windowBytes: settings.windowBytes,
      maxSessionsPerDevice: limits.maxSessionsPerDevice,
      proxyTo: new Set(destinations.proxyProtocol.map((entry) => entry.toLowerCase())),
      isDraining: () => this.#isDraining,
      inspection: inspect === undefined ? undefined : new Inspection({ log, now }, { settings: inspect, relay: settings.name, workers, keepAliveMs }),
      onDetection: onDetection ?? (() => {}),
    };
  }

  #inspectionReport(): WorkerInspection | undefined {
    const { inspection } = this.#context;
    if (inspection === undefined) return undefined;
    const { scanners, spoolBytes } = inspection;
    const counts = inspection.tally.take();
    const verdicts = {
      clean: totalOf(counts, 'clean'),
      infected: totalOf(counts, 'infected'),
      unscannable: totalOf(counts, 'unscannable'),
      uninspected: uninspectedOf(counts),
    };
    return { verdicts, scanners, counts, spoolBytes };
  }

  #onConnection(socket: TLSSocket, peer: Peer): void {
    const connection = new DeviceConnection(
      { context: this.#context, handler: { onConnectionEnd: (ended) => this.#connections.delete(ended) } },
      { socket, peer },
    );
    this.#connections.add(connection);
    if (this.#isDraining) connection.goAway();
  }

  #onReject(reason: RejectReason, address: string): void {
    this.#context.tally.rejected(reason);
    this.#context.log.debug({ event: 'connection_rejected', reason, address }, 'a connection was closed at its handshake');
  }

  #onListenerError(error: NodeJS.ErrnoException): void {
    this.#areDescriptorsScarce ||= error.code === 'EMFILE' || error.code === 'ENFILE';
    this.#context.log.error({ event: 'listener_failed', err: error }, 'the data port failed: see the limit of open files');
  }

  async #checkSelf(): Promise<void> {
    this.#context.resolver.health.recheck();
    this.#areDescriptorsScarce = await areDescriptorsScarce();
  }
}
