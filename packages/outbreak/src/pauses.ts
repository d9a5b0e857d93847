/** The longest pause. */
const MAX_RETRY_MS = 300_000;

/** Pauses before something that failed is tried again: they double up to a limit. */
export class Pauses {
  readonly #firstMs: number;
  readonly #paused = new Map<string, { readonly untilMs: number; readonly lastMs: number }>();

  constructor(init: { readonly firstMs: number }) {
    this.#firstMs = init.firstMs;
  }

  has(name: string): boolean {
    return (this.#paused.get(name)?.untilMs ?? 0) > performance.now();
  }

  /** After a failure. Gives the pause in milliseconds. */
  begin(name: string): number {
    const lastMs = Math.min((this.#paused.get(name)?.lastMs ?? this.#firstMs / 2) * 2, MAX_RETRY_MS);
    this.#paused.set(name, { untilMs: performance.now() + lastMs, lastMs });
    return lastMs;
  }

  /** After a success: the next failure begins with the first pause again. */
  end(name: string): void {
    this.#paused.delete(name);
  }
}
