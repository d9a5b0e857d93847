/** Something that an operator wants to have seen. `at` in milliseconds since 1970. */
export interface ManagerEvent {
  readonly at: number;
  readonly event: string;
  readonly text: string;
}

const MAX_EVENTS = 50;

/** The last events, for `sekisho status`; the log has all of them. */
export class EventLog {
  readonly #events: ManagerEvent[] = [];

  add(event: string, text: string): void {
    this.#events.push({ at: Date.now(), event, text });
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
  }

  /** Oldest first. */
  list(): readonly ManagerEvent[] {
    return [...this.#events];
  }
}
