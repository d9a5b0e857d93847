import type { InspectorSink } from '../inspector.ts';

/** The server's connection as far as ending it goes: once it was reset it is gone, and its FIN is sent once. */
export class ServerEnd {
  readonly #sink: InspectorSink;
  #isLost = false;
  #wasEnded = false;

  constructor(components: { readonly sink: InspectorSink }) {
    this.#sink = components.sink;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  reset(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#sink.resetServer();
  }

  end(): void {
    if (this.#wasEnded || this.#isLost) return;
    this.#wasEnded = true;
    this.#sink.endServer();
  }
}
