export type StoreState = 'up' | 'down';

/** Told at each change of state, not at each failure. Must not throw. */
export type OnStateChange = (state: StoreState, reason: string) => void;

/** Turns successes and failures into changes of state, so that a store that is down does not fill the log. */
export class Availability {
  readonly #onStateChange: OnStateChange | undefined;
  #state: StoreState | undefined;

  constructor(onStateChange: OnStateChange | undefined) {
    this.#onStateChange = onStateChange;
  }

  up(): void {
    this.#change('up', 'answers');
  }

  down(reason: string): void {
    this.#change('down', reason);
  }

  #change(state: StoreState, reason: string): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#onStateChange?.(state, reason);
  }
}
