export { type Agent, type AgentComponents, type AgentStatus, startAgent } from './agent.ts';
export type { AgentLimits, AgentSettings, AgentTimings, Forward } from './settings.ts';
export { trace, type TraceStep } from './trace.ts';
