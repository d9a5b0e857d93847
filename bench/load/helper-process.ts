import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** Asked of a helper that has answered nothing for so long, it hangs. */
const ANSWER_TIMEOUT_MS = 300_000;

interface Answer {
  readonly value?: unknown;
  readonly error?: string;
}

/** A process that makes load, so that its work is not the measuring process's; it ends with this one, however this one ends. */
export class HelperProcess {
  readonly #child: ChildProcess;

  /** @param file a module that calls `serve` */
  constructor(file: string) {
    this.#child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  /** One question at a time. @throws Error with the helper's message, or when it ended */
  async ask<T>(question: unknown): Promise<T> {
    // What loses the race is called off, else listeners of every question would stay.
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const answered = once(this.#child, 'message', { signal });
    const ended = once(this.#child, 'exit', { signal }).then(() => Promise.reject(new Error('a helper process has ended')));
    ended.catch(() => {});
    this.#child.send(question as object);
    const [answer] = (await Promise.race([answered, ended]).finally(() => over.abort())) as [Answer];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value as T;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** The helper's side: answers each question, and ends when nobody can ask any more. */
export function serve(answer: (question: unknown) => Promise<unknown>): void {
  process.on('disconnect', () => process.exit());
  process.on('message', (question) => {
    answer(question).then(
      (value) => process.send?.({ value }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
}
