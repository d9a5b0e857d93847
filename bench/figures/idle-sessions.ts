import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate, Figure } from '../figure.ts';
import { HelperProcess } from '../load/helper-process.ts';
import type { IdleTask } from '../load/idle-clients.ts';
import { sendMails } from '../load/smtp.ts';
import { residentKib } from '../memory.ts';
import type { Lane } from '../peers/lane.ts';
import type { Bench, FigureGroup } from './bench.ts';

const SESSIONS = 4000;
const QUICK_SESSIONS = 1000;
/** After the last one was opened or closed. */
const SETTLE_MS = 1000;

/**
 * What an idle session holds resident at each half: 4,000 that have had their greeting, on one warm connection of one
 * device in ours. (After - before) / sessions, each after a collection of garbage where there is any.
 */
export const idleSessions: FigureGroup = {
  names: ['relay.kib_per_idle_session', 'agent.kib_per_idle_session'],
  async measure(bench: Bench) {
    const count = bench.isQuick ? QUICK_SESSIONS : SESSIONS;
    const clients = new HelperProcess(join(import.meta.dirname, '../load/idle-clients.ts'));
    const relay: Partial<Record<Candidate, number>> = {};
    const agent: Partial<Record<Candidate, number>> = {};
    try {
      for (const lane of bench.lanes) {
        const held = await measureLane(bench, clients, { lane, count });
        if (held.relay !== undefined) relay[lane.name] = held.relay / count;
        if (held.agent !== undefined) agent[lane.name] = held.agent / count;
      }
    } finally {
      await clients.stop();
    }
    const unit = 'KiB';
    const figures: Figure[] = [{ name: 'relay.kib_per_idle_session', unit, values: relay }, { name: 'agent.kib_per_idle_session', unit, values: agent }];
    return figures;
  },
};

type Resident = { readonly relay: number | undefined; readonly agent: number | undefined };

async function measureLane(bench: Bench, clients: HelperProcess, { lane, count }: { lane: Lane; count: number }): Promise<Resident> {
  // What only the first sessions cost is not theirs.
  await sendMails(lane.ports.smtp, 200, 20);
  const before = await settled(bench, lane);
  await clients.ask({ port: lane.ports.smtp, count } satisfies IdleTask);
  const after = await settled(bench, lane);
  await clients.ask({ port: lane.ports.smtp, count: 0 } satisfies IdleTask);
  await sleep(SETTLE_MS);
  const less = (half: keyof Resident): number | undefined => (after[half] === undefined || before[half] === undefined ? undefined : after[half] - before[half]);
  return { relay: less('relay'), agent: less('agent') };
}

async function settled(bench: Bench, { name, halves }: Lane): Promise<Resident> {
  await sleep(SETTLE_MS);
  if (name === 'ours') await bench.ours.collectGarbage();
  const resident = (pid: number | undefined): number | undefined => (pid === undefined ? undefined : residentKib(pid));
  return { relay: resident(halves.relay), agent: resident(halves.agent) };
}
