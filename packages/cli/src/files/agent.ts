import { resolve } from 'node:path';
import { agentSchema, type AgentConfig } from '../config/agent-schema.ts';
import { loadConfig } from '../config/load.ts';
import { requirePrivate } from './secret-file.ts';

/** Reads an agent.yaml with the environment laid over it. Throws ConfigError, or CommandError if others can read its key. */
export function loadAgent(file: string): AgentConfig {
  const config = loadConfig(file, agentSchema, process.env);
  requirePrivate(resolve(file));
  return config;
}
