import type { AgentSession } from './office.ts';
import type { Attempt, Report } from './traffic/events.ts';

interface Entry {
  readonly hash: string;
  readonly infected: boolean;
  readonly attempts: Attempt[];
  abandoned: boolean;
}

/** What became of the mails of one scenario. */
export interface LedgerSummary {
  readonly sent: number;
  /** Of those, with a 250. */
  readonly accepted: number;
  /** Different mails at the destination. */
  readonly stored: number;
  /** Accepted and not stored. */
  readonly lost: number;
  /** Stored more than once, because a 250 was lost on its way to the client. */
  readonly duplicates: number;
  /** Refused as a virus. */
  readonly infectedRefused: number;
  /** Viruses that a relay let through, in either direction. */
  readonly infectedDelivered: number;
  /** Viruses that went without the mesh while agents were direct, as fail-open means. */
  readonly infectedDirect: number;
  /** Fetched or stored and not what was sent. */
  readonly altered: number;
  /** Permanently refused though they were clean. */
  readonly refused: number;
  /** Without a final answer at the end. */
  readonly abandoned: number;
  readonly attempts: number;
  /** Attempts that ended with a temporary refusal, and that broke off. */
  readonly later: number;
  readonly broken: number;
  readonly fetches: number;
  /** Client connections that agents say went directly. */
  readonly direct: number;
  readonly sites: Readonly<Record<string, number>>;
  /** The longest from a client's connection until somebody spoke or hung up. */
  readonly maxDecisionMs: number;
  /** The longest silence in a conversation after the greeting. */
  readonly maxAnswerMs: number;
}

/** Sessions are matched by their client's address and port, which come again after a while. */
const SAME_SESSION_MS = 5000;

/** Every mail of a scenario by its hash, and every attempt to send or fetch one. */
export class Ledger {
  #mails = new Map<string, Entry>();
  #fetches: Attempt[] = [];

  /** Accepted so far, and not known to be stored. */
  get acceptedHashes(): string[] {
    return [...this.#mails.values()].filter(isAccepted).map(({ hash }) => hash);
  }

  /** Attempts since that time, oldest first. */
  attemptsSince(time: number): Attempt[] {
    return [...[...this.#mails.values()].flatMap(({ attempts }) => attempts), ...this.#fetches].filter(({ endedAt }) => endedAt >= time);
  }

  record(report: Report): void {
    if (report.report === 'sent') this.#mails.set(report.id, { hash: report.hash, infected: report.infected, attempts: [], abandoned: false });
    else if (report.report === 'abandoned') this.#entry(report.id).abandoned = true;
    else if (report.report === 'attempt' && report.attempt.id === undefined) this.#fetches.push(report.attempt);
    else if (report.report === 'attempt') this.#entry(report.attempt.id ?? '').attempts.push(report.attempt);
  }

  /** Sums up, and begins anew. */
  close({ stored, sessions }: { readonly stored: readonly string[]; readonly sessions: readonly AgentSession[] }): LedgerSummary {
    const mails = [...this.#mails.values()];
    const fetches = this.#fetches;
    this.#mails = new Map();
    this.#fetches = [];
    const counts = new Map<string, number>();
    for (const hash of stored) counts.set(hash, (counts.get(hash) ?? 0) + 1);
    const known = new Set(mails.map(({ hash }) => hash));
    const attempts = [...mails.flatMap((mail) => mail.attempts), ...fetches];
    const routes = new Routes(sessions);
    const infected = mails.filter((mail) => mail.infected && counts.has(mail.hash));
    // One way out of it is enough to count as direct; what nobody knows the way of counts as relayed.
    const direct = infected.filter((mail) => mail.attempts.some((attempt) => routes.of(attempt) === 'direct'));
    const fetched = fetches.filter(({ virusFetched }) => virusFetched === true);
    const fetchedDirect = fetched.filter((attempt) => routes.of(attempt) === 'direct');
    return {
      sent: mails.length,
      accepted: mails.filter(isAccepted).length,
      stored: counts.size,
      lost: mails.filter((mail) => isAccepted(mail) && !counts.has(mail.hash)).length,
      duplicates: [...counts.values()].filter((count) => count > 1).length,
      infectedRefused: mails.filter((mail) => mail.attempts.at(-1)?.outcome === 'infected').length,
      infectedDelivered: infected.length - direct.length + fetched.length - fetchedDirect.length,
      infectedDirect: direct.length + fetchedDirect.length,
      altered: [...counts.keys()].filter((hash) => !known.has(hash)).length + fetches.filter(({ outcome }) => outcome === 'altered').length,
      refused: mails.filter((mail) => mail.attempts.at(-1)?.outcome === 'refused').length,
      abandoned: mails.filter(isUnsettled).length,
      attempts: attempts.length,
      later: attempts.filter(({ outcome }) => outcome === 'later').length,
      broken: attempts.filter(({ outcome }) => outcome === 'broken').length,
      fetches: fetches.length,
      direct: sessions.filter(({ route }) => route === 'direct').length,
      sites: sitesOf(sessions),
      maxDecisionMs: Math.max(0, ...attempts.map(({ decisionMs }) => decisionMs)),
      maxAnswerMs: Math.max(0, ...attempts.map(({ longestWaitMs }) => longestWaitMs)),
    };
  }

  #entry(id: string): Entry {
    const entry = this.#mails.get(id);
    if (entry === undefined) throw new Error(`nothing is known of the mail ${id}`);
    return entry;
  }
}

/** By which way each attempt went. */
class Routes {
  readonly #sessions = new Map<string, AgentSession[]>();

  constructor(sessions: readonly AgentSession[]) {
    for (const session of sessions) this.#sessions.set(session.client, [...(this.#sessions.get(session.client) ?? []), session]);
  }

  of({ client, endedAt }: Attempt): AgentSession['route'] | undefined {
    return this.#sessions.get(client)?.find(({ time }) => Math.abs(time - endedAt) < SAME_SESSION_MS)?.route;
  }
}

function isAccepted({ attempts }: Entry): boolean {
  return attempts.some(({ outcome }) => outcome === 'accepted');
}

function isUnsettled({ attempts, abandoned }: Entry): boolean {
  const last = attempts.at(-1)?.outcome;
  return abandoned || last === undefined || last === 'later' || last === 'broken';
}

/** Sessions by the site that carried them; `direct` and `none` for the others. */
export function sitesOf(sessions: readonly AgentSession[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { route, site } of sessions) {
    const key = route === 'relayed' ? (site ?? 'unknown') : route;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
