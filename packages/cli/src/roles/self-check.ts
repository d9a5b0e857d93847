import { type Logger, printable } from '@sekisho/telemetry';
import type { Notifier } from './notify.ts';

/** What a role can say of itself. */
export interface Checked {
  /** Resolves when the role does its work, seen from outside as far as possible; else rejects and says what it does not. */
  selfCheck?(): Promise<void>;
  /** One line for `systemctl status`. */
  statusLine?(): string;
}

/** After a failed check it is tried again so much sooner: one answer that was late must not be the end. */
const HURRY = 5;

/**
 * Runs a role's check again and again, and tells the service manager each time it has passed. What fails it for the whole
 * time of the watchdog, about six times, is restarted by that.
 */
export class SelfCheck {
  readonly #log: Logger;
  readonly #notifier: Notifier;
  readonly #role: Checked;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isDraining = false;
  #isStopped = false;

  constructor(components: { readonly log: Logger; readonly notifier: Notifier; readonly role: Checked }, init: { readonly intervalMs: number }) {
    this.#log = components.log;
    this.#notifier = components.notifier;
    this.#role = components.role;
    this.#intervalMs = init.intervalMs;
    this.#after(this.#intervalMs);
  }

  /** From now on its ports are closed on purpose: only that its loop turns is proven. */
  drain(): void {
    this.#isDraining = true;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #after(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#run(), ms);
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    try {
      if (!this.#isDraining) await this.#role.selfCheck?.();
    } catch (error) {
      // It may have been told to stop meanwhile, and its port closed for that.
      if (!this.#isDraining) return this.#onFailure(printable((error as Error).message));
    }
    if (this.#isStopped) return;
    const status = this.#role.statusLine?.() ?? 'serving';
    this.#notifier.alive(this.#isDraining ? `draining: ${status}` : status);
    this.#after(this.#intervalMs);
  }

  #onFailure(reason: string): void {
    this.#log.error({ event: 'self_check_failed', reason }, `this process does not do its work (${reason}); it is restarted unless the next checks pass`);
    this.#notifier.status(`self-check failed: ${reason}`);
    this.#after(this.#intervalMs / HURRY);
  }
}
