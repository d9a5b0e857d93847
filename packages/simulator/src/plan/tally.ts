import type { SessionEnd } from './client-session.ts';

/** What was counted. Sessions are those of the run itself, without the time in which the agents start. */
export class Tally {
  relayed = 0;
  /** Ended by the death of their relay; their clients send again. */
  broken = 0;
  direct = new Map<string, number>();
  refused = new Map<string, number>();
  hellos = 0;
  lookUps = 0;
  pushes = 0;
  /** Agents that were simulated in full for a while. */
  activations = 0;
  /** Renewals that led a settled agent to another relay of its site. */
  rebalanced = 0;

  /** Begins anew. */
  reset(): void {
    Object.assign(this, new Tally());
  }

  end(end: SessionEnd): void {
    if (end.kind === 'relayed') this.relayed += 1;
    else if (end.kind === 'direct') add(this.direct, end.reason, 1);
    else this.refuse(end.code, 1);
  }

  refuse(code: string, sessions: number): void {
    add(this.refused, code, sessions);
  }

  get directSum(): number {
    return sumOf(this.direct);
  }

  get refusedSum(): number {
    return sumOf(this.refused);
  }
}

function add(counts: Map<string, number>, key: string, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
