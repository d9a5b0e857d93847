import type { CounterMetric, Metrics } from '@sekisho/telemetry';
import type { AdminErrorCode } from '../admin-error.ts';
import type { PageErrorCode } from './page-error.ts';

/** What became of the requests to the status page. */
const PAGE_RESULTS = ['answered', 'signed_in', 'ordered', 'host_refused', 'origin_refused', 'token_refused', 'rate_limited', 'refused', 'failed'] as const;
export type PageResult = (typeof PAGE_RESULTS)[number];

export type PageRequests = CounterMetric<{ result: typeof PAGE_RESULTS }>;

/** Registers what a manager says of its status page. */
export function pageMetrics(metrics: Metrics): PageRequests {
  return metrics.counter({
    name: 'sekisho_manager_page_requests_total',
    help: 'Requests to the status page, by what became of them.',
    labels: { result: PAGE_RESULTS },
  });
}

/** How a refusal is counted. */
export function resultOf(code: PageErrorCode | AdminErrorCode): PageResult {
  switch (code) {
    case 'HOST_REFUSED':
      return 'host_refused';
    case 'ORIGIN_REFUSED':
      return 'origin_refused';
    case 'TOKEN_REFUSED':
      return 'token_refused';
    case 'TOO_MANY_ATTEMPTS':
      return 'rate_limited';
    case 'INTERNAL':
      return 'failed';
    default:
      return 'refused';
  }
}
