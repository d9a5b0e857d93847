import type { Candidate, Figure } from './figure.ts';

/** What ours must reach: a multiple of what a candidate has in the same run, or without one a value in the figure's unit. */
export interface Target {
  readonly against?: Candidate;
  readonly atMost?: number;
  readonly atLeast?: number;
}

const HALF_OF_CHAIN = { against: 'haproxy_tls', atMost: 1 } as const;
const CHAIN_THROUGHPUT = { against: 'haproxy_tls', atLeast: 1 } as const;

/** By the name of the figure. */
export const TARGETS: Readonly<Record<string, readonly Target[]>> = {
  'relay.cpu_per_1k_sessions': [
    { against: 'haproxy_tls', atMost: 0.5 },
    { against: 'nginx', atMost: 1.5 },
  ],
  'agent.cpu_per_1k_sessions': [{ against: 'haproxy_tls', atMost: 0.6 }],
  'relay.cpu_per_gb.up': [HALF_OF_CHAIN],
  'relay.cpu_per_gb.down': [HALF_OF_CHAIN],
  'agent.cpu_per_gb.up': [HALF_OF_CHAIN],
  'agent.cpu_per_gb.down': [HALF_OF_CHAIN],
  'chain.throughput_1.up': [CHAIN_THROUGHPUT],
  'chain.throughput_1.down': [CHAIN_THROUGHPUT],
  'chain.throughput_50.up': [CHAIN_THROUGHPUT],
  'chain.throughput_50.down': [CHAIN_THROUGHPUT],
  'chain.added_ttfb_p50': [{ atMost: 1 }],
  'chain.added_ttfb_p99': [{ atMost: 5 }],
  'relay.kib_per_idle_session': [{ atMost: 12 }],
  'relay.kib_per_idle_device': [{ atMost: 48 }],
  'manager.new_devices_per_s.full': [{ atLeast: 800 }],
  'manager.new_devices_per_s.resumed': [{ atLeast: 3000 }],
  'manager.renewals_per_s': [{ atLeast: 20_000 }],
  'manager.answer_p99': [{ atMost: 20 }],
};

export interface Verdict {
  readonly target: Target;
  /** Ours over the candidate's; ours itself where the target is a value. */
  readonly measured: number;
  readonly reached: boolean;
}

/** Judges a figure; a target whose candidate was not measured has no verdict. */
export function verdicts(figure: Figure, targets: readonly Target[] = TARGETS[figure.name] ?? []): Verdict[] {
  const { ours } = figure.values;
  if (ours === undefined) return [];
  return targets.flatMap((target) => {
    const base = target.against === undefined ? 1 : figure.values[target.against];
    if (base === undefined) return [];
    const measured = ours / base;
    const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = target;
    return [{ target, measured, reached: measured <= atMost && measured >= atLeast }];
  });
}
