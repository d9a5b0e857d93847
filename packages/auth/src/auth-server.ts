import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { addressOf, ChannelError, digestNumber, identityMismatch, Listener, networkOf, type Peer } from '@sekisho/channel';
import type { Store } from '@sekisho/store';
import { type Logger, type Metrics, printable } from '@sekisho/telemetry';
import { CONTROL_ALPN, type Message, Refusal } from '@sekisho/wire';
import { Admission, type Admitted } from './admission.ts';
import { AUTH_REFUSALS, type AuthMetrics, authMetrics } from './auth-metrics.ts';
import { BoundedMap } from './bounded-map.ts';
import { CertificateProofs } from './certificate-proofs.ts';
import { FailureLimiter } from './failure-limiter.ts';
import { ManagerSession } from './manager-session.ts';
import { ticketKeyId } from './pki/keys.ts';
import { PlaceWatch } from './place-watch.ts';
import { RegistryMirror } from './registry-mirror.ts';
import { RememberedList } from './remembered-list.ts';
import { fileSource, urlSource } from './revocation-source.ts';
import { RevocationState } from './revocation-state.ts';
import {
  type AuthSettings,
  DEFAULT_FAILURES,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_MS,
  MAX_CONNECTIONS,
  MAX_PER_ADDRESS,
} from './settings.ts';
import { Sightings } from './sightings.ts';
import { SiteMemory } from './site-memory.ts';

export interface AuthComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly clock?: { now(): number };
}

/** Auth as `sekisho status` shows it. */
export interface AuthStatus {
  readonly role: 'auth';
  readonly site: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly proof: AuthSettings['proof'];
  readonly managers: number;
  readonly registeredDevices: number;
  /** Of them, and besides them, those whose records in the store cannot be read. */
  readonly corruptDevices: number;
  readonly store: { readonly up: boolean; readonly reason: string | null };
  readonly revocations: {
    readonly number: string | null;
    readonly revoked: number;
    readonly ageMs: number | null;
    readonly overdue: boolean;
    readonly sourceFailures: Readonly<Record<string, string>>;
  };
}

export interface AuthServer {
  readonly port: number;
  status(): AuthStatus;
  /** Stops at once; managers turn to the next auth. */
  close(): Promise<void>;
}

const STORE_POLL_MS = 1000;
const FILE_POLL_MS = 5000;
const MAC_ONLY_LOG_MS = 3_600_000;
/** A device or an address that is refused again and again is one line a minute. */
const REFUSAL_LOG_MS = 60_000;
const MAX_TOLD = 16_384;
const SOFTWARE = 'sekisho-auth';

/**
 * Starts the auth of a site. Rejects with the operating system's error when the port cannot be had, and with PkiError
 * or a crypto error when a key or certificate cannot be read. A store that does not answer is no obstacle.
 */
export async function startAuth(components: AuthComponents, settings: AuthSettings): Promise<AuthServer> {
  const server = new Auth(components, settings);
  await server.start();
  return server;
}

class Auth implements AuthServer {
  readonly #log: Logger;
  readonly #settings: AuthSettings;
  readonly #clock: { now(): number };
  readonly #registry = new RegistryMirror();
  readonly #revocations: RevocationState;
  readonly #memory: SiteMemory;
  readonly #sightings: Sightings;
  readonly #admission: Admission;
  readonly #metrics: AuthMetrics;
  readonly #listener: Listener;
  readonly #sessions = new Set<ManagerSession>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** When a refusal of a device, or of who is no manager at an address, was last logged. */
  readonly #told = new BoundedMap<string, number>({ maxEntries: MAX_TOLD });
  #port = 0;

  constructor({ log, metrics, store, clock }: AuthComponents, settings: AuthSettings) {
    this.#log = log;
    this.#settings = settings;
    this.#clock = clock ?? { now: Date.now };
    const { caPem, certPem } = settings.credentials;
    this.#revocations = new RevocationState({ caPem });
    this.#sightings = new Sightings({ store });
    const { file, urls, rememberedFile, maxAgeMs } = settings.revocations;
    const remembered = rememberedFile === undefined ? undefined : new RememberedList({ path: rememberedFile });
    this.#memory = new SiteMemory(
      { store, log, clock: this.#clock, registry: this.#registry, revocations: this.#revocations, remembered },
      { file: file === undefined ? undefined : fileSource(file), urls: urls.map(urlSource), maxAgeMs },
    );
    this.#admission = this.#makeAdmission();
    const certificateExpiresAtMs = Date.parse(new X509Certificate(certPem).validTo);
    this.#metrics = authMetrics(metrics, {
      managers: () => this.#sessions.size,
      registeredDevices: () => this.#registry.size,
      corruptDevices: () => this.#registry.corrupt.size,
      storeUp: () => this.#memory.storeFailure === undefined,
      macOnly: () => settings.proof === 'mac-only',
      revocationsAgeMs: () => this.#age()?.ageMs,
      revocationsOverdue: () => this.#age()?.overdue !== undefined,
      certificateExpiresAtMs: () => certificateExpiresAtMs,
      configDigest: () => digestNumber(settings.about?.config),
    });
    this.#listener = new Listener(
      {
        ...settings.listen,
        credentials: settings.credentials,
        alpn: CONTROL_ALPN,
        handshakeTimeoutMs: settings.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
        maxConnections: MAX_CONNECTIONS,
        maxPerAddress: MAX_PER_ADDRESS,
        trustedAddresses: settings.serverAddresses,
      },
      {
        onConnection: (socket, peer) => this.#onConnection(socket, peer),
        onReject: (reason, address) => {
          this.#metrics.rejections.inc({ reason });
          log.debug({ event: 'connection_rejected', reason, address }, 'a connection was closed before it was of use');
        },
        onError: (error) => log.error({ event: 'listener_failed', reason: error.message }, 'the port of auth failed'),
      },
    );
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    await this.#memory.recall();
    await this.#memory.pollStore();
    await this.#memory.pollFile();
    const { port, address } = await this.#listener.listen();
    this.#port = port;
    this.#every(STORE_POLL_MS, () => this.#memory.pollStore());
    this.#every(STORE_POLL_MS, () => this.#sightings.flush());
    this.#every(Math.min(FILE_POLL_MS, this.#settings.revocations.refreshMs), () => this.#memory.pollFile());
    this.#every(this.#settings.revocations.refreshMs, () => this.#pollUrls());
    this.#timers.push(setInterval(() => this.#closeSilent(), this.#settings.idleMs ?? IDLE_MS));
    this.#log.info({ event: 'started', address, port, revocations: this.#revocations.list?.serials.size ?? null }, 'auth is ready');
    // Not waited for: an unreachable URL must not delay the start of a site.
    void this.#pollUrls();
    if (this.#settings.proof === 'mac-only') this.#beLoud();
  }

  status(): AuthStatus {
    const { site, name, proof, listen } = this.#settings;
    const age = this.#age();
    const failure = this.#memory.storeFailure;
    return {
      role: 'auth',
      site,
      name,
      address: listen.host,
      port: this.#port,
      proof,
      managers: this.#sessions.size,
      registeredDevices: this.#registry.size,
      corruptDevices: this.#registry.corrupt.size,
      store: { up: failure === undefined, reason: failure ?? null },
      revocations: {
        number: this.#revocations.list?.number.toString() ?? null,
        revoked: this.#revocations.list?.serials.size ?? 0,
        ageMs: age?.ageMs ?? null,
        overdue: age?.overdue !== undefined,
        sourceFailures: this.#memory.sourceFailures,
      },
    };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#listener.stopAccepting();
    for (const session of this.#sessions) session.close(new ChannelError('CLOSED', 'auth stops'));
    this.#listener.close();
    await this.#sightings.flush();
    this.#log.info({ event: 'stopped' }, 'auth has stopped');
  }

  #makeAdmission(): Admission {
    const { site, ticketKeyPem, ticketTtlMs, proof, credentials, failures = DEFAULT_FAILURES } = this.#settings;
    const ticketKey = createPrivateKey(ticketKeyPem);
    return new Admission(
      {
        clock: this.#clock,
        proofs: new CertificateProofs({ caPem: credentials.caPem }),
        registry: this.#registry,
        revocations: this.#revocations,
        macLimiter: new FailureLimiter(failures.device),
        addressLimiter: new FailureLimiter(failures.address),
        places: new PlaceWatch({ withinMs: ticketTtlMs }),
      },
      {
        site,
        ticketKey,
        ticketKeyId: Buffer.from(ticketKeyId(createPublicKey(ticketKey)), 'hex'),
        ticketTtlMs,
        macOnly: proof === 'mac-only',
      },
    );
  }

  #onConnection(socket: TLSSocket, peer: Peer): void {
    const { site, name, about } = this.#settings;
    const address = addressOf(socket);
    const session = new ManagerSession(
      socket,
      { authorize: (question) => this.#authorize(question), onClose: (error) => this.#onClose(session, address, error) },
      { site, name, about, software: SOFTWARE },
    );
    this.#sessions.add(session);
    const problem = identityMismatch(peer, { role: 'manager', site });
    if (problem === undefined) {
      this.#log.info({ event: 'manager_connected', address }, 'a manager has connected');
      return;
    }
    this.#metrics.rejections.inc({ reason: 'identity' });
    const level = this.#isNews(networkOf(address)) ? 'warn' : 'debug';
    this.#log[level]({ event: 'identity_refused', address, reason: printable(problem) }, 'only managers of this site may ask auth');
    session.refuse('IDENTITY', 'only managers of this site are answered here', new ChannelError('IDENTITY', problem));
  }

  #onClose(session: ManagerSession, address: string, error: ChannelError): void {
    if (!this.#sessions.delete(session)) return;
    if (error.code === 'PROTOCOL') this.#metrics.rejections.inc({ reason: 'protocol' });
    if (error.code === 'TIMEOUT') this.#metrics.rejections.inc({ reason: 'idle' });
    if (error.code !== 'IDENTITY')
      this.#log.info({ event: 'manager_disconnected', address, reason: printable(error.message) }, 'a manager has disconnected');
  }

  #authorize({ mac, certificate, verified, address, relays }: Message<'authorize'>): Admitted {
    try {
      const admitted = this.#admission.admit({ mac, certificate, address, relays });
      this.#metrics.grants.inc({ proof: admitted.proof });
      if (admitted.proof === 'certificate' && verified !== 1) this.#metrics.verdictsDiffer.inc({});
      if (admitted.twoPlaces) this.#alarmTwoPlaces(admitted.mac, address);
      if (this.#registry.device(admitted.mac) !== undefined)
        this.#sightings.note(admitted.mac, { at: this.#clock.now(), from: address });
      return admitted;
    } catch (error) {
      throw this.#refusal(error, mac, address);
    }
  }

  #refusal(error: unknown, mac: Buffer, address: string): Refusal {
    const refusal = error instanceof Refusal ? error : new Refusal('INTERNAL', 'auth made a mistake; its log says which');
    const code = AUTH_REFUSALS.find((known) => known === refusal.code) ?? 'INTERNAL';
    this.#metrics.refusals.inc({ code });
    const fields = { event: 'device_refused', code, device: mac.toString('hex').replaceAll(/(..)(?=.)/gu, '$1:'), address: printable(address) };
    const isNews = code !== 'RATE_LIMITED' && this.#isNews(fields.device);
    if (refusal === error) this.#log[isNews ? 'info' : 'debug'](fields, refusal.message);
    else this.#log.error({ ...fields, err: error }, 'auth could not decide on a device');
    return refusal;
  }

  /** A flood of failures must not become a flood of lines: `whose` is a device or an address. */
  #isNews(whose: string): boolean {
    const nowMs = this.#clock.now();
    const toldAtMs = this.#told.get(whose);
    if (toldAtMs !== undefined && nowMs - toldAtMs < REFUSAL_LOG_MS) return false;
    this.#told.set(whose, nowMs);
    return true;
  }

  #alarmTwoPlaces(mac: string, address: string): void {
    this.#metrics.twoPlaces.inc({});
    this.#log.warn(
      { event: 'two_places', device: mac, address: printable(address) },
      'the same device comes from two addresses at once: if it has not just changed its line, revoke and renew its certificate',
    );
  }

  #beLoud(): void {
    const shout = (): void =>
      this.#log.warn(
        { event: 'mac_only' },
        'proof is mac-only: whoever claims the MAC address of such a registered device is admitted',
      );
    shout();
    this.#timers.push(setInterval(shout, MAC_ONLY_LOG_MS));
  }

  #age(): ReturnType<RevocationState['age']> {
    return this.#revocations.age(this.#clock.now(), this.#settings.revocations.maxAgeMs);
  }

  async #pollUrls(): Promise<void> {
    await this.#memory.pollUrls();
    this.#memory.checkAge();
  }

  #closeSilent(): void {
    for (const session of this.#sessions) {
      if (!session.heard) session.close(new ChannelError('TIMEOUT', 'nothing was heard for too long'));
      session.heard = false;
    }
  }

  /** Runs `work` again and again with a pause after each time, so that a slow one is never doubled. */
  #every(pauseMs: number, work: () => Promise<unknown>): void {
    let running = false;
    this.#timers.push(
      setInterval(() => {
        if (running) return;
        running = true;
        void work().finally(() => (running = false));
      }, pauseMs),
    );
  }
}
