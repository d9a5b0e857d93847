import type { InspectorSink } from '../inspector.ts';

/** The two connections as far as ending them goes: each is ended once, and a server that was reset is gone. */
export class FarEnds {
  readonly #sink: InspectorSink;
  #isServerLost = false;
  #serverWasEnded = false;
  #clientWasEnded = false;

  constructor(components: { readonly sink: InspectorSink }) {
    this.#sink = components.sink;
  }

  get isServerLost(): boolean {
    return this.#isServerLost;
  }

  loseServer(): void {
    if (this.#isServerLost) return;
    this.#isServerLost = true;
    this.#sink.resetServer();
  }

  endServer(): void {
    if (this.#serverWasEnded || this.#isServerLost) return;
    this.#serverWasEnded = true;
    this.#sink.endServer();
  }

  endClient(): void {
    if (this.#clientWasEnded) return;
    this.#clientWasEnded = true;
    this.#sink.endClient();
  }
}
