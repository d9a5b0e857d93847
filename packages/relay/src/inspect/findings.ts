import { createHash } from 'node:crypto';
import type { UninspectedCause, Violation } from '@sekisho/inspect';
import { type Logger, printable } from '@sekisho/telemetry';
import type { MailProtocol } from '@sekisho/wire';
import type { Detection } from './detection.ts';
import type { InspectedProtocol, Verdict } from './inspection.ts';
import type { InspectionTally, VerdictKind } from './inspection-tally.ts';

/** Whose session it is, for logs and alarms. */
export interface SessionFacts {
  readonly session: Buffer;
  readonly mac: string;
  readonly client: string;
  readonly destination: string;
  readonly protocol: MailProtocol;
  readonly inspected: InspectedProtocol;
}

export interface FindingsComponents {
  readonly log: Logger;
  readonly tally: InspectionTally;
  readonly onDetection: (detection: Detection) => void;
}

/** Signatures that one summary line names. */
const MAX_NAMED_SIGNATURES = 5;

/** What inspection has found in one session: each finding is counted, logged, and, if it is a virus, told to the site. */
export class Findings {
  readonly #components: FindingsComponents;
  readonly #facts: SessionFacts;
  readonly #verdicts: Record<VerdictKind, number> = { clean: 0, infected: 0, unscannable: 0 };
  readonly #signatures = new Set<string>();
  #uninspected: UninspectedCause | undefined;
  #violation: Violation | undefined;

  constructor(components: FindingsComponents, facts: SessionFacts) {
    this.#components = components;
    this.#facts = facts;
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  verdict(verdict: Verdict): void {
    const { result } = verdict;
    this.#verdicts[result.kind] += 1;
    this.#components.tally.verdict(this.#facts.inspected, verdict);
    if (result.kind === 'clean') return;
    this.#log(verdict);
    if (result.kind !== 'infected') return;
    if (this.#signatures.size < MAX_NAMED_SIGNATURES) this.#signatures.add(result.signature);
    this.#components.onDetection(this.#detection(result.signature, verdict.digest));
  }

  uninspected(cause: UninspectedCause): void {
    this.#uninspected = cause;
    this.#components.tally.uninspected(cause);
  }

  broken(violation: Violation): void {
    this.#violation = violation;
    this.#components.tally.violation(violation.code);
    this.#components.log.warn(
      { event: 'protocol_violation', ...this.#names(), code: violation.code, by: violation.by, detail: violation.detail },
      'a conversation was broken off because a message could have been hidden in it',
    );
  }

  /** For the summary line of the session. */
  summary(): Readonly<Record<string, unknown>> {
    const { clean, infected, unscannable } = this.#verdicts;
    return {
      ...(clean + infected + unscannable === 0 ? {} : { clean, infected, unscannable }),
      ...(this.#signatures.size === 0 ? {} : { signatures: [...this.#signatures] }),
      ...(this.#uninspected === undefined ? {} : { uninspected: this.#uninspected }),
      ...(this.#violation === undefined ? {} : { violation: this.#violation.code }),
    };
  }

  #log({ result, action, bytes, scanMs }: Verdict): void {
    if (result.kind === 'clean') return;
    const what =
      result.kind === 'infected' ? { signature: printable(result.signature) } : { cause: result.cause, detail: printable(result.detail) };
    this.#components.log.warn(
      { event: result.kind, ...this.#names(), ...what, action, bytes, scanMs },
      result.kind === 'infected'
        ? `a message with a virus was ${action}`
        : `a message that could not be scanned was ${action}: see relay.inspect.onUnscannable, and \`sekisho status\` for the scanners`,
    );
  }

  #names(): Readonly<Record<string, unknown>> {
    const { session, mac, client, destination, protocol } = this.#facts;
    return { session: session.toString('hex'), device: mac, client: printable(client), destination: printable(destination), protocol };
  }

  #detection(signature: string, digest: string): Detection {
    const { session, mac, client, destination, protocol, inspected } = this.#facts;
    // A mailbox is polled again and again, and the message that stays on the server found again: it counts once.
    const key =
      inspected === 'pop3' && digest !== ''
        ? `p-${createHash('sha256').update([mac, destination, signature, digest].join('\n')).digest('hex').slice(0, 40)}`
        : `s-${session.toString('hex')}-${this.#verdicts.infected}`;
    return { key, at: Date.now(), mac, signature, protocol, client, destination, session: session.toString('hex') };
  }
}
