/** Tells the demo's steps: in words and times on a terminal, or as one JSON object. */

interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: string;
}

const NAME_WIDTH = 48;

export class Story {
  readonly #json: boolean;
  readonly #steps: StepResult[] = [];
  readonly #startedAt = performance.now();
  mails = { sent: 0, delivered: 0 };

  constructor(init: { readonly json: boolean }) {
    this.#json = init.json;
    this.#print('Sekisho: a mail mesh on this machine. Every process, key and connection below is real.\n');
  }

  /** Runs one step and says what it showed; a failure ends the story. */
  async step<T>(name: string, run: () => Promise<{ readonly value: T; readonly words: string }>): Promise<T> {
    const startedAt = performance.now();
    const elapsed = (): number => Math.round(performance.now() - startedAt);
    try {
      const { value, words } = await run();
      const ms = elapsed();
      this.#steps.push({ name, ok: true, ms });
      this.#print(`  ${this.#paint(32, '✓')} ${name.padEnd(NAME_WIDTH)} ${seconds(ms).padStart(7)}   ${words}`);
      return value;
    } catch (error) {
      this.#steps.push({ name, ok: false, ms: elapsed(), error: messageOf(error) });
      this.#print(`  ${this.#paint(31, '✗')} ${name}`);
      throw error;
    }
  }

  /** Something that is not shown here, and why. */
  remark(words: string): void {
    this.#print(`  ${this.#paint(33, '-')} ${words}`);
  }

  /** What went wrong, and where to look. */
  fail(error: unknown): void {
    if (this.#steps.every(({ ok }) => ok)) this.#steps.push({ name: 'preparation', ok: false, ms: 0, error: messageOf(error) });
    process.stderr.write(`\nThe demo failed: ${messageOf(error)}\n`);
    process.stderr.write('The lines above are the last words of the process concerned. What they mean: docs/errors.md, docs/operations.md.\n');
  }

  /** Prints the end and sets the exit code. */
  end(): void {
    const ok = this.#steps.length > 0 && this.#steps.every((step) => step.ok);
    process.exitCode = ok ? 0 : 1;
    if (this.#json) process.stdout.write(`${JSON.stringify({ ok, steps: this.#steps, mails: this.mails })}\n`);
    const total = seconds(Math.round(performance.now() - this.#startedAt));
    if (ok) this.#print(`\n${this.mails.sent} mails sent, ${this.mails.delivered} delivered, in ${total}. A first real site in ten lines: README.md`);
  }

  #print(line: string): void {
    if (!this.#json) process.stdout.write(`${line}\n`);
  }

  #paint(code: number, text: string): string {
    if (!process.stdout.isTTY || (process.env['NO_COLOR'] ?? '') !== '') return text;
    return `\u001b[${code}m${text}\u001b[0m`;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
