import type { Store } from '@sekisho/store';
import type { Logger } from '@sekisho/telemetry';
import { PkiError } from './pki/pki-error.ts';
import type { RegistryMirror } from './registry-mirror.ts';
import type { RememberedList } from './remembered-list.ts';
import type { RevocationSource } from './revocation-source.ts';
import type { RevocationState } from './revocation-state.ts';

export interface SiteMemoryComponents {
  readonly store: Store;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  readonly registry: RegistryMirror;
  readonly revocations: RevocationState;
  /** Where the revocation list outlives the process. */
  readonly remembered?: RememberedList | undefined;
}

export interface SiteMemoryInit {
  readonly file: RevocationSource | undefined;
  readonly urls: readonly RevocationSource[];
  readonly maxAgeMs: number;
}

const OVERDUE_LOG_MS = 3_600_000;

/**
 * Keeps what auth has in memory in step with the store and with the places where revocation lists come from. Whatever
 * does not answer, admission goes on with what is known; each change from working to not working is one log line.
 */
export class SiteMemory {
  readonly #components: SiteMemoryComponents;
  readonly #init: SiteMemoryInit;
  readonly #failures = new Map<string, string>();
  /** Sources whose last list was not acceptable: they stay failed until they have another one. */
  readonly #refused = new Map<string, string>();
  #revision: string | undefined;
  #epoch: string | null = null;
  /** The store has lost its data since the start: what is not in it may still be true. */
  #lost = false;
  /** What the file of the remembered list has. */
  #rememberedPem = '';
  #overdueLoggedAtMs = Number.NEGATIVE_INFINITY;

  constructor(components: SiteMemoryComponents, init: SiteMemoryInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Why the store was not heard at the last attempt; undefined when it was. */
  get storeFailure(): string | undefined {
    return this.#failures.get('store');
  }

  /** Sources of revocation lists, and the file it is remembered in, that failed at the last attempt, with the reason. */
  get sourceFailures(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#failures].filter(([name]) => name !== 'store'));
  }

  /** Takes the revocation list that was in force when auth last ran. To be called first. Never rejects. */
  async recall(): Promise<void> {
    const { remembered, log } = this.#components;
    if (remembered === undefined) return;
    try {
      const pem = await remembered.read();
      if (pem !== undefined && this.#adopt(pem, remembered.path)) this.#rememberedPem = pem;
    } catch (error) {
      log.error(
        { event: 'revocations_refused', source: remembered.path, reason: reasonOf(error) },
        'the revocation list that auth wrote down cannot be used: it is ignored until there is another one',
      );
    }
  }

  /** Looks whether the store has changed, and if so reads it. Never rejects. */
  async pollStore(): Promise<void> {
    try {
      const revision = await this.#components.store.revision();
      if (revision !== this.#revision) {
        await this.#noteLoss();
        await this.#loadRegistry();
        await this.#exchangeRevocations();
        this.#revision = revision;
      }
      this.#works('store', 'store_up', 'the store answers again');
    } catch (error) {
      this.#fails('store', 'store_down', error, 'the store does not answer: devices are judged by what is known');
    }
    this.#remember();
  }

  /** Reads the revocation list's file if it has changed. Never rejects. */
  async pollFile(): Promise<void> {
    if (this.#init.file !== undefined) await this.#pollSource(this.#init.file);
  }

  /** Fetches the revocation list from every URL. Never rejects. */
  async pollUrls(): Promise<void> {
    await Promise.all(this.#init.urls.map((source) => this.#pollSource(source)));
  }

  /** Complains, at most once an hour, about a revocation list that is too old. Returns whether it is. */
  checkAge(): boolean {
    const { revocations, clock, log } = this.#components;
    const nowMs = clock.now();
    const age = revocations.age(nowMs, this.#init.maxAgeMs);
    if (age?.overdue === undefined) return false;
    if (nowMs - this.#overdueLoggedAtMs >= OVERDUE_LOG_MS) {
      this.#overdueLoggedAtMs = nowMs;
      log.warn(
        { event: 'revocations_old', number: String(revocations.list?.number), ageHours: Math.round(age.ageMs / 3_600_000) },
        `the revocation list is old (${age.overdue}): sign a new one with \`sekisho device revoke\` and bring it to the site`,
      );
    }
    return true;
  }

  async #loadRegistry(): Promise<void> {
    const { store, registry, log } = this.#components;
    const before = registry.corrupt;
    await registry.load(store, { keep: this.#lost });
    for (const mac of registry.corrupt) {
      if (before.has(mac)) continue;
      const isKnown = registry.device(mac) !== undefined;
      log.error(
        { event: 'registry_corrupt', device: mac, known: isKnown },
        `the store’s record of this device cannot be read: it ${isKnown ? 'stays as it was known' : 'counts as not registered'} until the record is mended or deleted in the store`,
      );
    }
  }

  /** A wiped store says nothing about a device: one that was disabled must not come back because of it. */
  async #noteLoss(): Promise<void> {
    const { store, registry, log } = this.#components;
    const { epoch } = await store.overridesSnapshot();
    if (this.#epoch !== null && epoch !== this.#epoch) {
      this.#lost = true;
      log.error(
        { event: 'registry_lost', devices: registry.size },
        'the store has lost its data: the devices that auth remembers stay in force until it restarts; register them again',
      );
    }
    this.#epoch = epoch;
  }

  async #pollSource(source: RevocationSource): Promise<void> {
    try {
      const pem = await source.read();
      if (pem !== undefined) this.#adoptFrom(source.name, pem);
      const refused = this.#refused.get(source.name);
      if (refused !== undefined) throw new Error(refused);
      this.#works(source.name, 'revocations_source_up', 'a revocation list can be read again');
    } catch (error) {
      this.#fails(source.name, 'revocations_source_down', error, 'a revocation list could not be read: the last one stays in force');
    }
    this.#remember();
  }

  /** Writes the list in force down, if it has not been; tried again with the next poll. */
  #remember(): void {
    const { remembered, revocations } = this.#components;
    const { pem } = revocations;
    if (remembered === undefined || pem === this.#rememberedPem) return;
    try {
      remembered.write(pem);
      this.#rememberedPem = pem;
      this.#works(remembered.path, 'revocations_remembered', 'the revocation list could be written down again');
    } catch (error) {
      this.#fails(
        remembered.path,
        'revocations_not_remembered',
        error,
        'the revocation list could not be written down: mend this, or after a restart auth may not know who is revoked',
      );
    }
  }

  #adoptFrom(name: string, pem: string): void {
    this.#refused.delete(name);
    try {
      // The store is told by its next poll.
      if (this.#adopt(pem, name)) this.#revision = undefined;
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      this.#refused.set(name, error.message);
    }
  }

  async #exchangeRevocations(): Promise<void> {
    const { store, revocations, clock, log } = this.#components;
    const stored = await store.getRevocations();
    if (stored !== null) {
      try {
        this.#adopt(stored.pem, 'the store');
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
        log.error({ event: 'revocations_refused', reason: error.message }, 'the store holds a revocation list that is not this operator’s: it is ignored');
      }
    }
    const { list, pem } = revocations;
    if (list !== undefined && (stored === null || stored.number < list.number))
      await store.putRevocations({ number: list.number, pem, fetchedAt: clock.now() });
  }

  #adopt(pem: string, from: string): boolean {
    const { revocations, log } = this.#components;
    const taken = revocations.adopt(pem);
    if (taken)
      log.info(
        { event: 'revocations_adopted', number: String(revocations.list?.number), revoked: revocations.list?.serials.size, from },
        'a newer revocation list is in force',
      );
    return taken;
  }

  #works(name: string, event: string, message: string): void {
    if (this.#failures.delete(name)) this.#components.log.info({ event, source: name }, message);
  }

  #fails(name: string, event: string, error: unknown, message: string): void {
    const reason = reasonOf(error);
    if (!this.#failures.has(name)) this.#components.log.warn({ event, source: name, reason }, message);
    this.#failures.set(name, reason);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
