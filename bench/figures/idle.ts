import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate, Figure } from '../figure.ts';
import { Fleet } from '../load/fleet.ts';
import { HelperProcess } from '../load/helper-process.ts';
import type { IdleTask } from '../load/idle-clients.ts';
import { sendMails } from '../load/smtp.ts';
import { residentKib } from '../memory.ts';
import type { Lane } from '../peers/lane.ts';
import type { Ours } from '../peers/ours.ts';
import type { Bench, FigureGroup } from './bench.ts';

const SESSIONS = { full: 4000, quick: 800 } as const;
const DEVICES = { full: 2000, quick: 300 } as const;
/** Of what is opened first and closed again: what only the first ones cost is not theirs. */
const FIRST_DEVICES = 50;
const FIRST_MAILS = 200;
const FIRST_AT_ONCE = 20;
/** After the last one was opened or closed. */
const SETTLE_MS = 300;

/**
 * What idle ones hold resident: sessions that have had their greeting, on one warm connection of one device in ours; and
 * devices that are connected and admitted. (After - before) / number, each after a collection of garbage where there is
 * any. This group comes first, and ours is a fresh one each time: what a busy one has once had of the system would hide it.
 */
export const idle: FigureGroup = {
  names: ['relay.kib_per_idle_session', 'agent.kib_per_idle_session', 'relay.kib_per_idle_device'],
  async measure(bench: Bench) {
    const [relay, agent] = await measureSessions(bench);
    // In HAProxy an idle session has a TLS connection of its own, and nothing else has.
    const { haproxy_tls, haproxy_mtls } = relay.values;
    const device = { ours: await measureDevices(bench), ...defined({ haproxy_tls, haproxy_mtls }) };
    return [relay, agent, { name: 'relay.kib_per_idle_device', unit: 'KiB', values: device }];
  },
};

interface Resident {
  readonly relay: number | undefined;
  readonly agent: number | undefined;
}

async function measureSessions(bench: Bench): Promise<[relay: Figure, agent: Figure]> {
  const count = bench.isQuick ? SESSIONS.quick : SESSIONS.full;
  const clients = new HelperProcess(join(import.meta.dirname, '../load/idle-clients.ts'));
  const relay: Partial<Record<Candidate, number>> = {};
  const agent: Partial<Record<Candidate, number>> = {};
  try {
    for (const lane of bench.lanes) {
      const held = await (lane === bench.ours ? sessionsOfFresh(bench, clients, count) : sessionsOf(lane, clients, count));
      if (held.relay !== undefined) relay[lane.name] = held.relay / count;
      if (held.agent !== undefined) agent[lane.name] = held.agent / count;
    }
  } finally {
    await clients.stop();
  }
  const unit = 'KiB';
  return [{ name: 'relay.kib_per_idle_session', unit, values: relay }, { name: 'agent.kib_per_idle_session', unit, values: agent }];
}

async function measureDevices(bench: Bench): Promise<number> {
  const count = bench.isQuick ? DEVICES.quick : DEVICES.full;
  return (await devicesOf(bench.ours, count)) / count;
}

async function sessionsOf(lane: Lane, clients: HelperProcess, count: number): Promise<Resident> {
  await sendMails(lane.ports.smtp, FIRST_MAILS, FIRST_AT_ONCE);
  const before = await settled(lane);
  await clients.ask({ port: lane.ports.smtp, count } satisfies IdleTask);
  const after = await settled(lane);
  await clients.ask({ port: lane.ports.smtp, count: 0 } satisfies IdleTask);
  return { relay: less(after.relay, before.relay), agent: less(after.agent, before.agent) };
}

async function devicesOf(ours: Ours, count: number): Promise<number> {
  const fleet = await Fleet.start(ours, count);
  try {
    await fleet.connect(FIRST_DEVICES);
    await fleet.disconnect();
    const before = await settled(ours);
    await fleet.connect(count);
    const after = await settled(ours);
    return less(after.relay, before.relay) ?? Number.NaN;
  } finally {
    await fleet.stop();
  }
}

/** The one that runs is kept for the devices. */
async function sessionsOfFresh(bench: Bench, clients: HelperProcess, count: number): Promise<Resident> {
  const ours = await bench.startOurs();
  try {
    return await sessionsOf(ours, clients, count);
  } finally {
    await ours.stop();
  }
}

async function settled(lane: Lane): Promise<Resident> {
  await sleep(SETTLE_MS);
  await lane.collectGarbage?.();
  const { relay, agent } = lane.halves;
  return { relay: relay === undefined ? undefined : residentKib(relay), agent: agent === undefined ? undefined : residentKib(agent) };
}

function defined(values: Readonly<Record<string, number | undefined>>): Figure['values'] {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function less(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}
