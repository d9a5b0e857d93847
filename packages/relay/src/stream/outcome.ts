/** How a session ended: a closed set, for the summary line and the metric (docs/metrics.md). */
export const OUTCOMES = [
  'completed', // both sides ended
  'refused', // never streamed; the refusal's code says why
  'abandoned', // the agent gave up before the destination was reached, as the loser of a race does
  'client_reset', // the agent broke the session off
  'server_reset', // the destination broke the session off
  'device_lost', // the connection of the device ended, and its sessions with it
  'idle', // no byte either way until the deadline
  'violation', // a peer broke the protocol in a way that could hide a message (docs/inspection.md)
  'failed', // a mistake or a failed disk of ours
  'stopped', // the relay was stopped, and its patience with it
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** `scanning`: a message has ended, and its verdict is waited for. */
export const SESSION_STATES = ['preamble', 'connecting', 'streaming', 'scanning', 'closing'] as const;
export type SessionState = (typeof SESSION_STATES)[number];
