import type { CounterMetric, HistogramMetric, LabelValues, Metrics } from '@sekisho/telemetry';
import type { RelayState, TableSnapshot } from '@sekisho/scheduler';
import { type RefusalCode, REFUSALS } from '@sekisho/wire';
import { type PageRequests, pageMetrics } from './page/page-metrics.ts';

const RELAY_STATES: readonly RelayState[] = ['up', 'overloaded', 'full', 'draining', 'down', 'stale'];
/** Why a lease names this relay: the reasons of the scheduler, and a relay that had to be left. */
const LEASE_REASONS = ['least-load', 'weighted', 'kept', 'panic', 'push'] as const;
export type LeaseReason = (typeof LEASE_REASONS)[number];
const REFUSAL_CODES = Object.keys(REFUSALS).filter((code): code is RefusalCode => code in REFUSALS);

/** Why a connection was of no use: the listener's reasons, and those after the handshake. */
export const REJECTIONS = [
  'full',
  'address_full',
  'servers_full',
  'handshake',
  'timeout',
  'alpn',
  'no_certificate',
  'protocol',
  'flood',
  'idle',
] as const;
export type Rejection = (typeof REJECTIONS)[number];

/** What became of a detection that a relay has told. */
const DETECTION_OUTCOMES = ['recorded', 'known', 'failed', 'refused'] as const;

/** What the gauges ask for at each export. */
export interface ManagerGauges {
  agents(): number;
  agentsDirect(): number;
  pushesPending(): number;
  storeUp(): boolean;
  authUp(name: string): boolean;
  scannersDown(relay: string): number;
  table(): TableSnapshot;
  certificateExpiresAtMs(): number;
  configDigest(): number;
  servers(): number;
}

export interface ManagerMetrics {
  readonly leases: CounterMetric<{ reason: typeof LEASE_REASONS }>;
  readonly refusals: CounterMetric<{ code: readonly RefusalCode[] }>;
  readonly rejections: CounterMetric<{ reason: typeof REJECTIONS }>;
  readonly directHellos: CounterMetric<LabelValues>;
  readonly serverHellos: CounterMetric<LabelValues>;
  readonly byes: CounterMetric<LabelValues>;
  readonly leaseSeconds: HistogramMetric<LabelValues>;
  readonly detections: CounterMetric<{ outcome: typeof DETECTION_OUTCOMES }>;
  readonly pageRequests: PageRequests;
}

/** Registers the metrics of a manager. Names of relays and auths come from the configuration, a closed list. */
export function managerMetrics(
  metrics: Metrics,
  gauges: ManagerGauges,
  names: { readonly relays: readonly string[]; readonly auths: readonly string[] },
): ManagerMetrics {
  registerGauges(metrics, gauges);
  registerTable(metrics, gauges, names.relays);
  metrics.gauge(
    { name: 'sekisho_manager_auth_up', help: '1 if this auth answers.', labels: { auth: names.auths } },
    (gauge) => {
      for (const auth of names.auths) gauge.set({ auth }, Number(gauges.authUp(auth)));
    },
  );
  return {
    leases: metrics.counter({
      name: 'sekisho_manager_leases_total',
      help: 'Leases, by why they name their relay.',
      labels: { reason: LEASE_REASONS },
    }),
    refusals: metrics.counter({
      name: 'sekisho_manager_refusals_total',
      help: 'Hellos refused, by code.',
      labels: { code: REFUSAL_CODES },
    }),
    rejections: metrics.counter({
      name: 'sekisho_manager_rejected_connections_total',
      help: 'Connections closed because of what the peer is or did, by reason.',
      labels: { reason: REJECTIONS },
    }),
    directHellos: metrics.counter({
      name: 'sekisho_manager_direct_hellos_total',
      help: 'Hellos of agents that were connecting their clients directly.',
    }),
    serverHellos: metrics.counter({
      name: 'sekisho_manager_server_hellos_total',
      help: 'Hellos of other servers, answered with a welcome.',
    }),
    byes: metrics.counter({ name: 'sekisho_manager_byes_total', help: 'Mail sessions whose end agents have told.' }),
    leaseSeconds: metrics.histogram({
      name: 'sekisho_manager_lease_seconds',
      help: 'From hello to lease, auth included.',
    }),
    detections: metrics.counter({
      name: 'sekisho_manager_detections_total',
      help: 'Viruses that relays have told of, by what became of it.',
      labels: { outcome: DETECTION_OUTCOMES },
    }),
    pageRequests: pageMetrics(metrics),
  };
}

function registerGauges(metrics: Metrics, gauges: ManagerGauges): void {
  const gauge = (name: `sekisho_manager_${string}`, help: string, value: () => number): void => {
    metrics.gauge({ name, help }, (metric) => metric.set({}, value()));
  };
  gauge('sekisho_manager_agents', 'Agents connected.', () => gauges.agents());
  gauge('sekisho_manager_agents_direct', 'Agents that said they connect clients directly, and have no lease since.', () =>
    gauges.agentsDirect(),
  );
  gauge('sekisho_manager_pushes_pending', 'Agents still to be moved off a relay.', () => gauges.pushesPending());
  gauge('sekisho_manager_store_up', '1 if the store answered at the last attempt.', () => Number(gauges.storeUp()));
  gauge('sekisho_manager_table_panic', '1 if so many relays are marked that the marks are distrusted.', () =>
    Number(gauges.table().panic),
  );
  gauge('sekisho_manager_certificate_expires_timestamp_seconds', "When the manager's own certificate expires.", () =>
    gauges.certificateExpiresAtMs() / 1000,
  );
  gauge('sekisho_manager_clock_timestamp_seconds', 'The clock of this server, Unix time.', () => Date.now() / 1000);
  gauge('sekisho_manager_config_digest', 'The first 48 bits of the digest of the configuration.', () => gauges.configDigest());
  gauge('sekisho_manager_servers', 'Other servers that are connected as agents are, to see whether the manager answers.', () =>
    gauges.servers(),
  );
}

function registerTable(metrics: Metrics, gauges: ManagerGauges, relays: readonly string[]): void {
  metrics.gauge(
    {
      name: 'sekisho_manager_relay_state',
      help: '1 for the state the relay is in, 0 for the others.',
      labels: { relay: relays, state: RELAY_STATES },
    },
    (gauge) => {
      for (const { name: relay, state } of gauges.table().relays)
        for (const each of RELAY_STATES) gauge.set({ relay, state: each }, Number(each === state));
    },
  );
  metrics.gauge(
    { name: 'sekisho_manager_relay_load_ratio', help: 'Load of the relay in parts of its limit.', labels: { relay: relays } },
    (gauge) => {
      for (const { name: relay, score } of gauges.table().relays) gauge.set({ relay }, score ?? 0);
    },
  );
  metrics.gauge(
    { name: 'sekisho_manager_relay_sessions', help: 'Mail sessions the relay has reported.', labels: { relay: relays } },
    (gauge) => {
      for (const { name: relay, sessions } of gauges.table().relays) gauge.set({ relay }, sessions ?? 0);
    },
  );
  metrics.gauge(
    { name: 'sekisho_manager_relay_scanners_down', help: 'Virus scanners that the relay cannot use.', labels: { relay: relays } },
    (gauge) => {
      for (const relay of relays) gauge.set({ relay }, gauges.scannersDown(relay));
    },
  );
}
