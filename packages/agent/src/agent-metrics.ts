import type { Metrics } from '@sekisho/telemetry';
import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { MANAGER_FAILURES } from './manager-set.ts';
import { MOVE_REASONS } from './moves.ts';
import { DIRECT_REASONS } from './route.ts';

/** How a client's connection went. */
const ROUTES = ['relayed', 'direct', 'none'] as const;
export type RouteTaken = (typeof ROUTES)[number];

/** Termination codes of a session: what the summary line, the bye and the metric say. */
export const OUTCOMES = [
  'completed', // both sides have said that they end
  'client_aborted', // the client's connection broke
  'destination_aborted', // the destination's connection broke, or the relay broke it off
  'relay_lost', // the connection to the relay broke
  'refused', // by a manager, a relay, or a limit of ours
  'unreachable', // directly, and the destination did not answer
  'shutdown', // this agent was stopped
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** A session's state: `deciding` waits for a lease, `connecting` for a relay or the destination. */
export const SESSION_STATES = ['deciding', 'connecting', 'streaming'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** Why a connection to a relay ended. */
const RELAY_FAILURES = MANAGER_FAILURES.filter((cause) => cause !== 'absent');

/** What is exported, in one place. `read` is asked at each export. */
export function agentMetrics(
  metrics: Metrics,
  read: {
    sessions(state: SessionState): number;
    managers(state: 'alive' | 'dead'): number;
    leaseIsValid(): boolean;
    isDirect(): boolean;
    /** Milliseconds since 1970. */
    certificateExpiresAtMs(): number;
  },
) {
  metrics.gauge(
    { name: 'sekisho_agent_sessions', help: 'Client connections by state.', labels: { state: SESSION_STATES } },
    (gauge) => {
      for (const state of SESSION_STATES) gauge.set({ state }, read.sessions(state));
    },
  );
  metrics.gauge(
    { name: 'sekisho_agent_managers', help: 'Managers in DNS, by what is known of them.', labels: { state: ['alive', 'dead'] } },
    (gauge) => {
      for (const state of ['alive', 'dead'] as const) gauge.set({ state }, read.managers(state));
    },
  );
  metrics.gauge({ name: 'sekisho_agent_lease_valid', help: '1 while there is a lease.' }, (gauge) =>
    gauge.set({}, read.leaseIsValid() ? 1 : 0),
  );
  metrics.gauge({ name: 'sekisho_agent_direct', help: '1 while new clients are connected directly.' }, (gauge) =>
    gauge.set({}, read.isDirect() ? 1 : 0),
  );
  metrics.gauge(
    { name: 'sekisho_agent_certificate_expires_timestamp_seconds', help: "When the device's own certificate expires." },
    (gauge) => gauge.set({}, read.certificateExpiresAtMs() / 1000),
  );
  const refusalCodes = Object.keys(REFUSALS) as RefusalCode[];
  return {
    sessions: metrics.counter({
      name: 'sekisho_agent_sessions_total',
      help: 'Client connections that have ended.',
      labels: { route: ROUTES, outcome: OUTCOMES },
    }),
    direct: metrics.counter({
      name: 'sekisho_agent_direct_total',
      help: 'Client connections made directly, without the mesh.',
      labels: { reason: DIRECT_REASONS },
    }),
    refusals: metrics.counter({
      name: 'sekisho_agent_refusals_total',
      help: 'Client connections that were refused, by what was decisive.',
      labels: { code: refusalCodes },
    }),
    intercepted: metrics.counter({
      name: 'sekisho_agent_intercepted_total',
      help: 'Client connections that the rules of this machine have brought here, whatever became of them.',
    }),
    managerFailures: metrics.counter({
      name: 'sekisho_agent_manager_failures_total',
      help: 'Attempts at managers and connections to them that failed. tls and identity: somebody else answered.',
      labels: { cause: MANAGER_FAILURES },
    }),
    relayFailures: metrics.counter({
      name: 'sekisho_agent_relay_failures_total',
      help: 'Connections to relays that could not be made or were lost. tls and identity: somebody else answered.',
      labels: { cause: RELAY_FAILURES },
    }),
    races: metrics.counter({
      name: 'sekisho_agent_relay_races_total',
      help: 'Sessions for which a second relay was tried.',
    }),
    siteMoves: metrics.counter({
      name: 'sekisho_agent_site_moves_total',
      help: 'Changes to another site, by why the one in use was left.',
      labels: { reason: MOVE_REASONS },
    }),
    timeToRelay: metrics.histogram({
      name: 'sekisho_agent_time_to_relay_seconds',
      help: 'From the accepted client to the relay being connected to the destination.',
    }),
    bytes: metrics.counter({
      name: 'sekisho_agent_bytes_total',
      help: 'Bytes of clients (up) and of destinations (down) in sessions that have ended.',
      labels: { direction: ['up', 'down'] },
    }),
  };
}

export type AgentMetrics = ReturnType<typeof agentMetrics>;
