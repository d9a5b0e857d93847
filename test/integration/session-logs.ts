import { expect } from 'vitest';
import type { MeshAgent, MeshSite } from '../kit/mesh.ts';
import type { TestProcess } from '../kit/process.ts';

export type LogLine = Record<string, unknown>;

/** The log lines of an event that a process has written. */
export function linesOf(process: TestProcess, event: string): LogLine[] {
  return process.stdout
    .toString()
    .split('\n')
    .filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as LogLine);
}

/** The summary lines of all relays of a site, each with the relay's name. */
function relaySessions(site: MeshSite): LogLine[] {
  return site.servers
    .filter(({ roles }) => roles.includes('relay'))
    .flatMap(({ name }) => linesOf(site.process(name, 'relay'), 'session'));
}

/** What the agent calls an outcome, and what its relay calls the same. */
const SAME_OUTCOME: Readonly<Record<string, readonly string[]>> = {
  completed: ['completed'],
  client_aborted: ['client_reset'],
  destination_aborted: ['server_reset'],
};

/**
 * Every session that an agent relayed has exactly one summary line there and one on exactly one relay, and they tell
 * the same. Resolves once they do; fails when they do not within ten seconds.
 */
export async function expectSessionsToAgree(agent: MeshAgent, site: MeshSite): Promise<LogLine[]> {
  await expect.poll(() => disagreements(agent, site), { timeout: 10_000 }).toEqual([]);
  return agent.events('session').filter(({ route }) => route === 'relayed');
}

function disagreements(agent: MeshAgent, site: MeshSite): string[] {
  const byId = new Map<unknown, LogLine[]>();
  for (const line of relaySessions(site)) byId.set(line['session'], [...(byId.get(line['session']) ?? []), line]);
  const seen = new Set<unknown>();
  return agent.events('session').flatMap((line) => {
    const id = String(line['session']);
    if (!/^[0-9a-f]{32}$/.test(id) || seen.has(id)) return [`${id}: not an id, or not the only line of it at the agent`];
    seen.add(id);
    if (line['route'] !== 'relayed') return [];
    // A relay that was asked and left out, because it was full or slow, has a line of its own that says so.
    const lines = (byId.get(id) ?? []).filter(({ name, outcome }) => name === line['relay'] || (outcome !== 'abandoned' && outcome !== 'refused'));
    const [other] = lines;
    if (other === undefined || lines.length > 1) return [`${id}: ${lines.length} lines at the relays`];
    return differences(line, other).map((key) => `${id}: ${key}: ${String(line[key])} and ${String(other[key])}`);
  });
}

function differences(line: LogLine, other: LogLine): string[] {
  const wrong = ['device', 'client', 'protocol', 'destination', 'address'].filter((key) => line[key] !== other[key]);
  if (line['relay'] !== other['name']) wrong.push('relay');
  if (SAME_OUTCOME[String(line['outcome'])]?.includes(String(other['outcome'])) !== true) wrong.push('outcome');
  // What was on its way when a connection broke is counted at one end only.
  if (line['outcome'] === 'completed') wrong.push(...['bytesUp', 'bytesDown'].filter((key) => line[key] !== other[key]));
  return wrong;
}
