import type { SecureContext } from 'node:tls';
import { type Logger, printable } from '@sekisho/telemetry';
import type { Message, RelayReport } from '@sekisho/wire';
import type { DriftWatch, ServerFacts } from './drift-watch.ts';
import type { EventLog } from './event-log.ts';
import type { AuthServerAddress, ManagerSettings, RelayServer } from './settings.ts';
import { SiteLink } from './site-link.ts';

export interface SiteLinksComponents {
  readonly log: Logger;
  readonly events: EventLog;
  readonly drift: DriftWatch;
  readonly random: () => number;
  readonly onReport: (relay: string, report: RelayReport | undefined) => void;
  readonly onRelayFailure: (relay: string, reason: string) => void;
  readonly onDetection: (relay: string, detection: Message<'detection'>, note: () => void) => void;
}

export interface SiteLinksInit {
  readonly settings: ManagerSettings;
  /** Those of the table. */
  readonly relays: readonly RelayServer[];
  readonly context: SecureContext;
}

const PING_PENDING = 4;
/** Authorizations that wait for one auth: what it does in a tenth of a second. */
const AUTHORIZE_PENDING = 4096;
const AUTH_PING_MS = 1000;

/** The manager's links to the auths and relays of its site. */
export class SiteLinks {
  readonly relays: readonly RelayServer[];
  readonly #components: SiteLinksComponents;
  readonly #settings: ManagerSettings;
  readonly #context: SecureContext;
  readonly #auths: ReadonlyMap<AuthServerAddress, SiteLink>;
  readonly #toRelays: readonly SiteLink[];

  constructor(components: SiteLinksComponents, { settings, relays, context }: SiteLinksInit) {
    this.#components = components;
    this.#settings = settings;
    this.#context = context;
    this.relays = relays;
    this.#auths = new Map(settings.auths.map((auth) => [auth, this.#authLink(auth)]));
    this.#toRelays = relays.map((relay) => this.#relayLink(relay));
  }

  get auths(): readonly SiteLink[] {
    return [...this.#auths.values()];
  }

  /** Resolves when everybody was asked once, whatever came of it. */
  async start(): Promise<void> {
    await Promise.all([...this.#auths.values(), ...this.#toRelays].map((link) => link.start()));
  }

  authStates(): (AuthServerAddress & ServerFacts & { up: boolean })[] {
    return [...this.#auths].map(([auth, { up }]) => ({ ...auth, up, ...this.#components.drift.of('auth', auth.name) }));
  }

  close(): void {
    for (const link of [...this.#auths.values(), ...this.#toRelays]) link.close();
  }

  #authLink(auth: AuthServerAddress): SiteLink {
    const { random, drift } = this.#components;
    const tell = this.#tellOf('auth', auth.name);
    return new SiteLink(
      {
        random,
        onUp: () => tell.up(),
        onWelcome: (introduction) => drift.note('auth', auth.name, introduction),
        onPong: () => {},
        onFailure: (reason) => tell.down(reason),
      },
      {
        ...auth,
        context: this.#context,
        expect: { role: 'auth', site: this.#settings.site },
        pingIntervalMs: AUTH_PING_MS,
        pingTimeoutMs: AUTH_PING_MS,
        maxPending: AUTHORIZE_PENDING,
      },
    );
  }

  #relayLink({ name, host, controlPort }: RelayServer): SiteLink {
    const { site, probeIntervalMs, probeTimeoutMs } = this.#settings;
    const { random, drift, onReport, onRelayFailure, onDetection } = this.#components;
    const tell = this.#tellOf('relay', name);
    return new SiteLink(
      {
        random,
        onUp: () => tell.up(),
        onWelcome: (introduction) => drift.note('relay', name, introduction),
        onPong: (report) => onReport(name, report),
        onDetection: (detection, note) => onDetection(name, detection, note),
        onFailure: (reason) => {
          tell.down(reason);
          onRelayFailure(name, reason);
        },
      },
      {
        name,
        host,
        port: controlPort,
        context: this.#context,
        expect: { role: 'relay', site },
        pingIntervalMs: probeIntervalMs,
        pingTimeoutMs: probeTimeoutMs,
        maxPending: PING_PENDING,
      },
    );
  }

  /** Tells of a link that comes and goes, once each time. */
  #tellOf(role: 'auth' | 'relay', name: string): { up(): void; down(reason: string): void } {
    const { log, events } = this.#components;
    let state: 'up' | 'down' | undefined;
    return {
      up: () => {
        state = 'up';
        log.info({ event: `${role}_reached`, [role]: name }, `${role} ${name} is connected`);
        events.add(`${role}_reached`, name);
      },
      down: (reason) => {
        if (state === 'down') return;
        state = 'down';
        const text = printable(reason);
        log.warn({ event: `${role}_lost`, [role]: name, reason: text }, `${role} ${name} does not answer: look at its log`);
        events.add(`${role}_lost`, `${name}: ${text}`);
      },
    };
  }
}
