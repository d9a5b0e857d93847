export { type Agent, type AgentComponents, type AgentStatus, startAgent } from './agent.ts';
export { type AgentLimits, type AgentSettings, type AgentTimings, DEFAULT_TIMINGS, type Forward } from './settings.ts';
export { ManagerResolver } from './resolver.ts';
export { trace, type TraceStep } from './trace.ts';

// What an agent decides, pure: for the simulator, which runs it under a virtual clock.
export { Steering } from './steering.ts';
export type { Command, SteeringInit } from './steering-terms.ts';
export type { Lease, LeaseOffer } from './lease-state.ts';
export { RaceEntrants } from './race-entrants.ts';
export { LinkHealth } from './link-health.ts';
export type { ManagerFailure } from './manager-set.ts';
export { followsNewcomers } from './moves.ts';
export { inRandomOrder } from './random-order.ts';
export { RelayRace } from './relay-race.ts';
export { type DirectReason, type LinkState, type Route, withoutMesh } from './route.ts';
export { MAX_MANAGERS, type ZoneAnswer } from './zone.ts';
