import type { CounterMetric, LabelValues, Metrics } from '@sekisho/telemetry';

/** Refusals that auth says, by code. */
export const AUTH_REFUSALS = [
  'DEVICE_REFUSED',
  'DEVICE_DISABLED',
  'DEVICE_REVOKED',
  'DEVICE_EXPIRED',
  'RATE_LIMITED',
  'INTERNAL',
] as const;

/** Why a connection was of no use: the listener's reasons, and those after the handshake. */
export const REJECTIONS = [
  'full',
  'address_full',
  'handshake',
  'timeout',
  'alpn',
  'no_certificate',
  'identity',
  'protocol',
  'idle',
] as const;

/** What the gauges ask for at each export. */
export interface AuthGauges {
  managers(): number;
  registeredDevices(): number;
  corruptDevices(): number;
  storeUp(): boolean;
  macOnly(): boolean;
  revocationsAgeMs(): number | undefined;
  revocationsOverdue(): boolean;
  certificateExpiresAtMs(): number;
  configDigest(): number;
}

export interface AuthMetrics {
  readonly grants: CounterMetric<{ proof: readonly ['certificate', 'mac-only'] }>;
  readonly refusals: CounterMetric<{ code: typeof AUTH_REFUSALS }>;
  readonly rejections: CounterMetric<{ reason: typeof REJECTIONS }>;
  readonly twoPlaces: CounterMetric<LabelValues>;
  readonly verdictsDiffer: CounterMetric<LabelValues>;
}

/** Registers the metrics of auth. */
export function authMetrics(metrics: Metrics, gauges: AuthGauges): AuthMetrics {
  const gauge = (name: `sekisho_auth_${string}`, help: string, value: () => number): void => {
    metrics.gauge({ name, help }, (metric) => metric.set({}, value()));
  };
  gauge('sekisho_auth_managers', 'Connections from managers.', () => gauges.managers());
  gauge('sekisho_auth_registered_devices', 'Devices of the registry in memory.', () => gauges.registeredDevices());
  gauge('sekisho_auth_corrupt_devices', 'Devices whose records in the store cannot be read.', () => gauges.corruptDevices());
  gauge('sekisho_auth_store_up', '1 if the store answered at the last attempt.', () => Number(gauges.storeUp()));
  gauge('sekisho_auth_mac_only', '1 if devices are admitted by their MAC address alone.', () => Number(gauges.macOnly()));
  gauge('sekisho_auth_revocations_age_seconds', 'Time since the revocation list was signed; -1 without a list.', () => {
    const ageMs = gauges.revocationsAgeMs();
    return ageMs === undefined ? -1 : ageMs / 1000;
  });
  gauge('sekisho_auth_revocations_overdue', '1 if the revocation list should have been replaced by now.', () =>
    Number(gauges.revocationsOverdue()),
  );
  gauge('sekisho_auth_certificate_expires_timestamp_seconds', "When auth's own certificate expires.", () =>
    gauges.certificateExpiresAtMs() / 1000,
  );
  gauge('sekisho_auth_clock_timestamp_seconds', 'The clock of this server, Unix time.', () => Date.now() / 1000);
  gauge('sekisho_auth_config_digest', 'The first 48 bits of the digest of the configuration.', () => gauges.configDigest());
  return {
    grants: metrics.counter({
      name: 'sekisho_auth_grants_total',
      help: 'Tickets issued, by what proved the device.',
      labels: { proof: ['certificate', 'mac-only'] },
    }),
    refusals: metrics.counter({
      name: 'sekisho_auth_refusals_total',
      help: 'Devices refused, by code.',
      labels: { code: AUTH_REFUSALS },
    }),
    rejections: metrics.counter({
      name: 'sekisho_auth_rejected_connections_total',
      help: 'Connections closed because of what the peer is or did, by reason.',
      labels: { reason: REJECTIONS },
    }),
    twoPlaces: metrics.counter({
      name: 'sekisho_auth_two_places_total',
      help: 'Alarms about a device that came from two addresses within the life of one ticket.',
    }),
    verdictsDiffer: metrics.counter({
      name: 'sekisho_auth_verdicts_differ_total',
      help: 'Certificates on which manager and auth disagree: compare their clocks and CA files.',
    }),
  };
}
