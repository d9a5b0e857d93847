import { setTimeout as sleep } from 'node:timers/promises';
import { dotStuff, type TestMail } from '../kit/mails.ts';
import type { MeshAgent } from '../kit/mesh.ts';
import { deliver, type Interruption, type SmtpWireTarget } from '../kit/smtp-wire.ts';

/** How long a client waits before it tries again, longer each time; a real one waits minutes. */
const FIRST_RETRY_MS = 25;
const LONGEST_RETRY_MS = 400;
const PATIENCE_MS = 60_000;

/** One client with one destination, and what became of its mails. */
export class MailLane {
  /** SHA-256 of every mail that was begun. */
  readonly sent = new Set<string>();
  /** Of those whose final 250 was seen. */
  readonly accepted = new Set<string>();
  readonly target: SmtpWireTarget;
  readonly #agent: MeshAgent;
  readonly #envelope: { readonly from: string; readonly to: string };
  retries = 0;
  /** The longest from a failure to the next greeting. */
  slowestMs = 0;

  constructor(agent: MeshAgent, init: { port: number; from: string; to: string }) {
    const { port, from, to } = init;
    this.#agent = agent;
    this.#envelope = { from, to };
    this.target = { host: '127.0.0.1', port };
  }

  /** Tries until the mail is accepted, as mail clients do; each try may have its own interruption. */
  async send(mail: TestMail, interruptions: readonly Interruption[] = []): Promise<void> {
    const envelope = { ...this.#envelope, content: dotStuff(mail.raw) };
    const deadline = performance.now() + PATIENCE_MS;
    let failedAtMs: number | undefined;
    let pauseMs = FIRST_RETRY_MS;
    this.sent.add(mail.sha256);
    for (let attempt = 0; ; attempt += 1) {
      const { accepted, reply, greetedAtMs, end } = await deliver(this.target, envelope, interruptions[attempt]);
      if (greetedAtMs !== undefined && failedAtMs !== undefined) {
        this.slowestMs = Math.max(this.slowestMs, greetedAtMs - failedAtMs);
        failedAtMs = undefined;
        pauseMs = FIRST_RETRY_MS;
      }
      if (accepted) break;
      // Nothing here is a reason for a permanent error: a client would give the mail back to its author.
      if (reply?.startsWith('4') === false) throw new Error(`${mail.name} was refused for good: ${reply}`);
      if (!this.#agent.process.running) throw new Error(`the agent ended:\n${this.#agent.process.output.slice(-5000)}`);
      if (performance.now() > deadline) throw new Error(`${mail.name} is not through: ${reply ?? end}`);
      failedAtMs ??= performance.now();
      this.retries += 1;
      await sleep(pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_RETRY_MS);
    }
    this.accepted.add(mail.sha256);
  }
}
