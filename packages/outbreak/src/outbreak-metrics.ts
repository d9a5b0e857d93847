import type { CounterMetric, LabelValues, Metrics } from '@sekisho/telemetry';
import { WAYS } from './alert/target.ts';
import { LEVELS, type Level } from './core/level.ts';
import { STAGES } from './core/outbreak.ts';

const SOURCES = ['relay', 'notice'] as const;
const RESULTS = ['sent', 'failed'] as const;
/** What had no room. */
const OVERFLOWS = ['detections', 'outbreaks'] as const;

/** What the gauges ask for at each export. */
export interface OutbreakGauges {
  open(level: Level): number;
  waiting(): number;
  untold(way: (typeof WAYS)[number]): number;
  submissionUp(): boolean;
  storeUp(): boolean;
}

export interface OutbreakMetrics {
  readonly detections: CounterMetric<{ source: typeof SOURCES }>;
  readonly unreadable: CounterMetric<LabelValues>;
  readonly opened: CounterMetric<{ level: typeof LEVELS }>;
  readonly messages: CounterMetric<{ way: typeof WAYS; stage: typeof STAGES; result: typeof RESULTS }>;
  readonly overflows: CounterMetric<{ what: typeof OVERFLOWS }>;
}

/** Registers the metrics of the watch. */
export function outbreakMetrics(metrics: Metrics, gauges: OutbreakGauges): OutbreakMetrics {
  const gauge = (name: `sekisho_outbreak_${string}`, help: string, value: () => number): void => {
    metrics.gauge({ name, help }, (metric) => metric.set({}, value()));
  };
  metrics.gauge({ name: 'sekisho_outbreak_open', help: 'Outbreaks that last, by what they are counted by.', labels: { level: LEVELS } }, (metric) => {
    for (const level of LEVELS) metric.set({ level }, gauges.open(level));
  });
  metrics.gauge({ name: 'sekisho_outbreak_untold', help: 'Recipients that wait for a message.', labels: { way: WAYS } }, (metric) => {
    for (const way of WAYS) metric.set({ way }, gauges.untold(way));
  });
  gauge('sekisho_outbreak_waiting_detections', 'Detections that may still become part of an outbreak.', () => gauges.waiting());
  gauge('sekisho_outbreak_submission_up', '1 unless the submission server could not be used at the last attempt.', () => Number(gauges.submissionUp()));
  gauge('sekisho_outbreak_store_up', '1 if the store answered at the last attempt.', () => Number(gauges.storeUp()));
  return {
    detections: metrics.counter({ name: 'sekisho_outbreak_detections_total', help: 'Detections, by who found them.', labels: { source: SOURCES } }),
    unreadable: metrics.counter({ name: 'sekisho_outbreak_unreadable_total', help: 'Detections in the store that could not be read.' }),
    opened: metrics.counter({ name: 'sekisho_outbreak_opened_total', help: 'Outbreaks that this server has opened.', labels: { level: LEVELS } }),
    messages: metrics.counter({
      name: 'sekisho_outbreak_messages_total',
      help: 'Messages to recipients, by way, what they tell, and whether they went out.',
      labels: { way: WAYS, stage: STAGES, result: RESULTS },
    }),
    overflows: metrics.counter({ name: 'sekisho_outbreak_overflows_total', help: 'Things that had no room, by what they are.', labels: { what: OVERFLOWS } }),
  };
}
