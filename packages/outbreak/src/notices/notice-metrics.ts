import type { CounterMetric, Metrics } from '@sekisho/telemetry';

/** What becomes of a notice, or of somebody who would bring one. */
const NOTICE_RESULTS = ['recorded', 'unparsed', 'refused_source', 'refused_auth', 'refused_size', 'refused_rate', 'failed'] as const;
export type NoticeResult = (typeof NOTICE_RESULTS)[number];

export interface NoticeMetrics {
  readonly notices: CounterMetric<{ readonly result: typeof NOTICE_RESULTS }>;
}

/** @param state kept: files in the directory of kept notices */
export function noticeMetrics(metrics: Metrics, state: { readonly kept: () => number }): NoticeMetrics {
  metrics.gauge({ name: 'sekisho_outbreak_notices_kept', help: 'notices that no pattern fits, kept for the operator' }, (gauge) =>
    gauge.set({}, state.kept()),
  );
  return {
    notices: metrics.counter({
      name: 'sekisho_outbreak_notices_total',
      help: 'virus notices of gateways, and those who were not let bring one',
      labels: { result: NOTICE_RESULTS },
    }),
  };
}
