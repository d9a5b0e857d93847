import { Metrics } from '@sekisho/telemetry';
import { agentMetrics } from '../../packages/agent/src/agent-metrics.ts';
import { authMetrics } from '../../packages/auth/src/auth-metrics.ts';
import { managerMetrics } from '../../packages/manager/src/manager-metrics.ts';
import { InspectionMetrics } from '../../packages/relay/src/supervisor/inspection-metrics.ts';
import { noticeMetrics } from '../../packages/outbreak/src/notices/notice-metrics.ts';
import { outbreakMetrics } from '../../packages/outbreak/src/outbreak-metrics.ts';
import { RelayMetrics } from '../../packages/relay/src/supervisor/relay-metrics.ts';
import { redundancyMetrics } from '../../packages/manager/src/redundancy-metrics.ts';

/** What the roles export, as they register it; names that come from the configuration are made up. */

export const RELAYS = ['s1', 's2'];
export const AUTHS = ['s1'];
export const FELLOWS = ['s2'];
export const SCANNERS = ['1', '2'];

export interface Metric {
  readonly role: string;
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

const REGISTER: Readonly<Record<string, (metrics: Metrics) => unknown>> = {
  agent: (metrics) =>
    agentMetrics(metrics, {
      sessions: () => 0,
      managers: () => 0,
      leaseIsValid: () => true,
      isDirect: () => false,
      certificateExpiresAtMs: () => 0,
    }),
  manager: (metrics) => [
    redundancyMetrics(metrics, { isLost: () => false, fellowUp: () => true }, { fellows: FELLOWS }),
    managerMetrics(
      metrics,
      {
        agents: () => 0,
        agentsDirect: () => 0,
        pushesPending: () => 0,
        storeUp: () => true,
        authUp: () => true,
        scannersDown: () => 0,
        table: () => ({ policy: 'least-load', panic: false, relays: [] }),
        certificateExpiresAtMs: () => 0,
        configDigest: () => 0,
        servers: () => 0,
      },
      { relays: RELAYS, auths: AUTHS },
    ),
  ],
  relay: (metrics) => {
    const relay = new RelayMetrics(metrics, () => ({ reports: [], ready: 0, detectionsWaiting: 0 }), { certificateExpiresAtMs: 0, configDigest: 0 });
    return [relay, new InspectionMetrics(metrics, () => ({ scanners: [], spoolBytes: 0, differsForMs: 0 }), { scanners: SCANNERS.length })];
  },
  outbreak: (metrics) => [
    outbreakMetrics(metrics, { open: () => 0, waiting: () => 0, untold: () => 0, submissionUp: () => true, storeUp: () => true }),
    noticeMetrics(metrics, { kept: () => 0 }),
  ],
  auth: (metrics) =>
    authMetrics(metrics, {
      managers: () => 0,
      registeredDevices: () => 0,
      corruptDevices: () => 0,
      storeUp: () => true,
      macOnly: () => false,
      revocationsAgeMs: () => undefined,
      revocationsOverdue: () => false,
      certificateExpiresAtMs: () => 0,
      configDigest: () => 0,
    }),
};

async function exportedBy(role: string): Promise<Metric[]> {
  const metrics = new Metrics();
  REGISTER[role]!(metrics);
  return (await metrics.registry.getMetricsAsJSON()).map(({ name, type, values }) => {
    const labels: Record<string, string[]> = {};
    for (const sample of values) {
      for (const [label, value] of Object.entries(sample.labels)) {
        if (label === 'le') continue;
        const known = (labels[label] ??= []);
        if (!known.includes(String(value))) known.push(String(value));
      }
    }
    return { role, name, type: String(type), labels };
  });
}

/** The metrics of all roles, with every label value that each can have. */
export async function exportedMetrics(): Promise<Metric[]> {
  return (await Promise.all(Object.keys(REGISTER).map((role) => exportedBy(role)))).flat();
}
