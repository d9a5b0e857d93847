import type { Metrics } from '@sekisho/telemetry';
import { REDUNDANT_THINGS, type RedundantThing } from './redundancy-watch.ts';

/** What the gauges ask for at each export. */
export interface RedundancyGauges {
  isLost(what: RedundantThing): boolean;
  fellowUp(name: string): boolean;
}

/** Registers what a manager says of its site being whole. The names of the other managers come from the configuration. */
export function redundancyMetrics(metrics: Metrics, gauges: RedundancyGauges, names: { readonly fellows: readonly string[] }): void {
  metrics.gauge(
    {
      name: 'sekisho_manager_redundancy_lost',
      help: '1 while something of this kind is missing: a relay, a manager, an auth, a scanner, or the store.',
      labels: { of: REDUNDANT_THINGS },
    },
    (gauge) => {
      for (const of of REDUNDANT_THINGS) gauge.set({ of }, Number(gauges.isLost(of)));
    },
  );
  metrics.gauge(
    { name: 'sekisho_manager_fellow_up', help: '1 if this other manager of the site answers.', labels: { manager: names.fellows } },
    (gauge) => {
      for (const manager of names.fellows) gauge.set({ manager }, Number(gauges.fellowUp(manager)));
    },
  );
}
