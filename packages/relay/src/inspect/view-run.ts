/**
 * Views that an inspector gives out one after the other, joined again where they lie side by side: the lines of a group
 * of replies leave as the one chunk that they came in.
 */
export class ViewRun {
  #run: Buffer | undefined;

  /** Adds a view. Returns what must be sent before it because it does not join. */
  push(view: Buffer): Buffer | undefined {
    const run = this.#run;
    if (run !== undefined && run.buffer === view.buffer && run.byteOffset + run.length === view.byteOffset) {
      this.#run = Buffer.from(run.buffer, run.byteOffset, run.length + view.length);
      return undefined;
    }
    this.#run = view;
    return run;
  }

  take(): Buffer | undefined {
    const run = this.#run;
    this.#run = undefined;
    return run;
  }
}
