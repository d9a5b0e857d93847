import type { ManagerFailure } from './manager-set.ts';
import type { Command, SteeringInit } from './steering-terms.ts';

/** A manager that was asked, and has not answered. */
export interface Attempt {
  readonly purpose: 'lease' | 'renew' | 'probe';
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  /** Of a renewal: clients wait for it. */
  isUrgent: boolean;
}

/**
 * The managers that were asked and have not answered, each at most once, and the commands by which they are asked and left
 * alone. Pure: what an answer or a silence means is decided elsewhere.
 */
export class Contacts {
  lastHelloMs = Number.NEGATIVE_INFINITY;
  readonly #init: Pick<SteeringInit, 'managerStaggerMs' | 'managerBudgetMs'>;
  readonly #attempts = new Map<string, Attempt>();
  #commands: Command[] = [];

  constructor(init: Pick<SteeringInit, 'managerStaggerMs' | 'managerBudgetMs'>) {
    this.#init = init;
  }

  /** What is to be done now; each command is given out once. */
  take(): Command[] {
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  get(address: string): Attempt | undefined {
    return this.#attempts.get(address);
  }

  has(address: string): boolean {
    return this.#attempts.has(address);
  }

  get size(): number {
    return this.#attempts.size;
  }

  /** Somebody who was asked for a lease may still give one. */
  get isAsking(): boolean {
    for (const { purpose } of this.#attempts.values()) if (purpose === 'lease') return true;
    return false;
  }

  lookUp(): void {
    this.#commands.push({ type: 'lookUp' });
  }

  /** Says hello to a manager that is not in use; it has as long as the search has. */
  ask(nowMs: number, address: string): void {
    this.#hello(nowMs, address, { purpose: 'lease', startedAtMs: nowMs, deadlineMs: Number.POSITIVE_INFINITY, isUrgent: false });
  }

  /** Says hello to the manager in use. */
  renew(nowMs: number, address: string, isUrgent: boolean): void {
    this.#hello(nowMs, address, { purpose: 'renew', startedAtMs: nowMs, deadlineMs: nowMs + this.#init.managerBudgetMs, isUrgent });
  }

  /** Unless it is being asked already. */
  probe(nowMs: number, address: string): void {
    if (this.#attempts.has(address)) return;
    this.#attempts.set(address, { purpose: 'probe', startedAtMs: nowMs, deadlineMs: nowMs + this.#init.managerBudgetMs, isUrgent: false });
    this.#commands.push({ type: 'probe', address });
  }

  /** It has answered, or is known to be gone. */
  settle(address: string): void {
    this.#attempts.delete(address);
  }

  /** Its connection, or the attempt at one, is to end. */
  drop(address: string, cause?: ManagerFailure): void {
    this.#attempts.delete(address);
    this.#commands.push({ type: 'drop', address, cause });
  }

  /**
   * Nobody is asked for a lease any more.
   * @param patienceMs who was asked so long ago is silent
   * @returns the silent ones
   */
  dropAsked(nowMs: number, patienceMs: number): string[] {
    const silent: string[] = [];
    for (const [address, { purpose, startedAtMs }] of this.#attempts) {
      if (purpose !== 'lease') continue;
      const isSilent = startedAtMs + patienceMs <= nowMs;
      this.drop(address, isSilent ? 'silent' : undefined);
      if (isSilent) silent.push(address);
    }
    return silent;
  }

  /** Those whose time is over. */
  overdue(nowMs: number): string[] {
    const overdue: string[] = [];
    for (const [address, { deadlineMs }] of this.#attempts) if (deadlineMs <= nowMs) overdue.push(address);
    return overdue;
  }

  /** When the time of one is over, or the patience with the manager in use. */
  wakeAtMs(nowMs: number): number {
    let atMs = Number.POSITIVE_INFINITY;
    for (const { purpose, startedAtMs, deadlineMs } of this.#attempts.values()) {
      atMs = Math.min(atMs, deadlineMs);
      const patienceEndsMs = startedAtMs + this.#init.managerStaggerMs;
      if (purpose === 'renew' && patienceEndsMs > nowMs) atMs = Math.min(atMs, patienceEndsMs);
    }
    return atMs;
  }

  #hello(nowMs: number, address: string, attempt: Attempt): void {
    if (this.#attempts.has(address)) this.drop(address);
    this.#attempts.set(address, attempt);
    this.#commands.push({ type: 'ask', address });
    this.lastHelloMs = nowMs;
  }
}
