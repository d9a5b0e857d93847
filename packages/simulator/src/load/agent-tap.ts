import { type CounterMetric, type GaugeMetric, type HistogramMetric, type LabelValues, type Logger, Metrics } from '@sekisho/telemetry';
import type { Tally } from './figures/tally.ts';

interface MetricInit<L extends LabelValues> {
  readonly name: `sekisho_${string}`;
  readonly help: string;
  readonly labels?: L;
}

const MICROSECONDS = 1_000_000;

/**
 * What the agents of this process would export, taken where it arises: their time to relay, unrounded, and their direct
 * connections. Nothing else is kept, since hundreds of agents in one process need not be scraped.
 */
export class AgentTap extends Metrics {
  readonly #tally: Tally;

  constructor(components: { readonly tally: Tally }) {
    super();
    this.#tally = components.tally;
  }

  override counter<const L extends LabelValues>({ name }: MetricInit<L>): CounterMetric<L> {
    if (name !== 'sekisho_agent_direct_total') return { inc: () => {} };
    return { inc: (labels) => this.#tally.direct(labels['reason'] ?? '') };
  }

  override gauge<const L extends LabelValues>(_: MetricInit<L>): GaugeMetric<L> {
    return { set: () => {}, inc: () => {}, dec: () => {} };
  }

  override histogram<const L extends LabelValues>({ name }: MetricInit<L>): HistogramMetric<L> {
    if (name !== 'sekisho_agent_time_to_relay_seconds') return { observe: () => {} };
    return { observe: (_, seconds) => this.#tally.time('relay', seconds * MICROSECONDS) };
  }
}

const nothing = (): void => {};

/** For agents whose lines nobody reads: what went wrong is counted, and asked for by status(). */
export const SILENT: Logger = { level: 'silent', trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, fatal: nothing };
