import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A label and every value that it may ever have. A MAC, an address or a destination is never one. */
export type LabelValues = Readonly<Record<string, readonly string[]>>;
type Labels<L extends LabelValues> = { readonly [K in keyof L]: L[K][number] };

interface MetricInit<L extends LabelValues> {
  readonly name: `sekisho_${string}`;
  readonly help: string;
  /** The closed list of values of each label. */
  readonly labels?: L;
}

export interface CounterMetric<L extends LabelValues> {
  inc(labels: Labels<L>, count?: number): void;
}

export interface GaugeMetric<L extends LabelValues> {
  set(labels: Labels<L>, value: number): void;
  inc(labels: Labels<L>, count?: number): void;
  dec(labels: Labels<L>, count?: number): void;
}

export interface HistogramMetric<L extends LabelValues> {
  observe(labels: Labels<L>, value: number): void;
}

/** Waits in mail span from a round trip in a rack to the 600 s of RFC 5321 4.5.3.2. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 5, 10, 60, 600];

/**
 * The metrics of one role. Every combination of label values exists from the start with the value 0, so that an alert
 * rule can tell "never happened" from "not exported", and a value outside the list is a mistake of ours and throws.
 */
export class Metrics {
  readonly registry = new Registry();

  /** A count that only grows. The name ends in `_total`. */
  counter<const L extends LabelValues>(init: MetricInit<L>): CounterMetric<L> {
    if (!init.name.endsWith('_total')) throw new Error(`${init.name}: a counter's name ends in _total`);
    const counter = new Counter({ ...this.#options(init) });
    for (const labels of combinations(init.labels)) counter.inc(labels, 0);
    return { inc: (labels, count = 1) => counter.inc(checked(init, labels), count) };
  }

  /** A value that goes up and down. `collect`, if given, is called before each export to set it. */
  gauge<const L extends LabelValues>(init: MetricInit<L>, collect?: (gauge: GaugeMetric<L>) => void): GaugeMetric<L> {
    const gauge: Gauge = new Gauge({ ...this.#options(init), ...(collect ? { collect: () => collect(metric) } : {}) });
    const metric: GaugeMetric<L> = {
      set: (labels, value) => gauge.set(checked(init, labels), value),
      inc: (labels, count = 1) => gauge.inc(checked(init, labels), count),
      dec: (labels, count = 1) => gauge.dec(checked(init, labels), count),
    };
    for (const labels of combinations(init.labels)) gauge.set(labels, 0);
    return metric;
  }

  /** A distribution of seconds. The name ends in `_seconds`. */
  histogram<const L extends LabelValues>(init: MetricInit<L>): HistogramMetric<L> {
    if (!init.name.endsWith('_seconds')) throw new Error(`${init.name}: a histogram of durations ends in _seconds`);
    const histogram = new Histogram({ ...this.#options(init), buckets: SECONDS_BUCKETS });
    for (const labels of combinations(init.labels)) histogram.zero(labels);
    return { observe: (labels, value) => histogram.observe(checked(init, labels), value) };
  }

  /** The metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  #options<L extends LabelValues>(init: MetricInit<L>) {
    const labelNames = Object.keys(init.labels ?? {});
    return { name: init.name, help: init.help, labelNames, registers: [this.registry] };
  }
}

function checked<L extends LabelValues>(init: MetricInit<L>, labels: Labels<L>): Record<string, string> {
  for (const [label, value] of Object.entries(labels)) {
    if (!init.labels?.[label]?.includes(value)) throw new Error(`${init.name}: ${label} may not be ${String(value)}`);
  }
  return labels;
}

function combinations(labels: LabelValues | undefined): Record<string, string>[] {
  return Object.entries(labels ?? {}).reduce<Record<string, string>[]>(
    (sets, [label, values]) => sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value }))),
    [{}],
  );
}
