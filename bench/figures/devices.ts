import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate, Figure } from '../figure.ts';
import { Fleet } from '../load/fleet.ts';
import { HelperProcess } from '../load/helper-process.ts';
import { sendMails } from '../load/smtp.ts';
import type { TlsClientsTask } from '../load/tls-clients.ts';
import { residentKib } from '../memory.ts';
import type { HaproxyChain } from '../peers/haproxy.ts';
import { type Bench, type FigureGroup, figureOf, inTurns, measureCpu, type Sample } from './bench.ts';

const SENDING_DEVICES = 200;
const IDLE_DEVICES = 2000;
const QUICK_IDLE_DEVICES = 500;
const SETTLE_MS = 1000;

/** The relay half with many devices: sessions of 200 with one at a time each, idle ones, and their connections' set-up. */
export const devices: FigureGroup = {
  names: ['relay.cpu_per_1k_sessions_200_devices', 'relay.kib_per_idle_device', 'relay.cpu_per_1k_connections', 'relay.connections_per_s'],
  async measure(bench: Bench) {
    const fleet = await Fleet.start(bench.ours, bench.isQuick ? QUICK_IDLE_DEVICES : IDLE_DEVICES);
    try {
      const idle = await measureIdle(bench, fleet);
      const sending = await measureSending(bench, fleet);
      return [sending, idle, ...(await measureSetUp(bench, fleet, false)), ...(await measureSetUp(bench, fleet, true))];
    } finally {
      await fleet.stop();
    }
  },
};

async function measureIdle({ ours, isQuick }: Bench, fleet: Fleet): Promise<Figure> {
  const count = isQuick ? QUICK_IDLE_DEVICES : IDLE_DEVICES;
  const settled = async (): Promise<number> => {
    await sleep(SETTLE_MS);
    await ours.collectGarbage();
    return residentKib(ours.halves.relay);
  };
  // What only the first ones cost is not theirs.
  await fleet.connect(100);
  await fleet.disconnect();
  const before = await settled();
  await fleet.connect(count);
  const after = await settled();
  await fleet.disconnect();
  await sleep(SETTLE_MS);
  return { name: 'relay.kib_per_idle_device', unit: 'KiB', values: { ours: (after - before) / count } };
}

/** Against as many clients at once of the others, for which a device is nothing. */
async function measureSending(bench: Bench, fleet: Fleet): Promise<Figure> {
  const mails = bench.isQuick ? 1000 : 3000;
  const lanes = bench.lanes.filter(({ name, halves }) => name !== 'ours' && halves.relay !== undefined);
  await fleet.connect(SENDING_DEVICES);
  const load = (name: Candidate, port: number): Promise<number> =>
    name === 'ours' ? fleet.send(bench.smtpSink.port, mails) : sendMails(port, mails, SENDING_DEVICES);
  const all = [bench.ours, ...lanes].map(({ name, halves, ports }) => ({ name, halves: { relay: halves.relay }, port: ports.smtp }));
  for (const { name, port } of all) await load(name, port);
  const results = await inTurns(all, bench.rounds, ({ name, halves: { relay }, port }) =>
    measureCpu({ halves: relay === undefined ? {} : { relay } }, () => load(name, port)),
  );
  await fleet.disconnect();
  const perThousand = ({ cpu }: Sample): number | undefined => (cpu.relay === undefined ? undefined : (cpu.relay / mails) * 1000);
  return figureOf({ name: 'relay.cpu_per_1k_sessions_200_devices', unit: 's/1000' }, results, perThousand);
}

/** A device's connection up to its ticket's acceptance; of HAProxy's second half a session's, up to the first byte. */
async function measureSetUp(bench: Bench, fleet: Fleet, isResumed: boolean): Promise<Figure[]> {
  const connections = bench.isQuick ? 400 : 1500;
  const clients = new HelperProcess(join(import.meta.dirname, '../load/tls-clients.ts'));
  try {
    const lanes = setUpLanes(bench, { fleet, clients, connections, isResumed });
    for (const { load } of lanes) await load();
    const results = await inTurns(lanes, bench.rounds, ({ relay, load }) => measureCpu({ halves: { relay } }, load));
    const kind = isResumed ? 'resumed' : 'full';
    return [
      figureOf({ name: `relay.cpu_per_1k_connections.${kind}`, unit: 's/1000' }, results, ({ cpu: { relay } }) => (relay === undefined ? undefined : (relay / connections) * 1000)),
      figureOf({ name: `relay.connections_per_s.${kind}`, unit: '1/s' }, results, ({ seconds }) => connections / seconds),
    ];
  } finally {
    await clients.stop();
  }
}

interface SetUpLane {
  readonly name: Candidate;
  readonly relay: number;
  readonly load: () => Promise<number>;
}

function setUpLanes(
  bench: Bench,
  { fleet, clients, connections, isResumed }: { fleet: Fleet; clients: HelperProcess; connections: number; isResumed: boolean },
): SetUpLane[] {
  const { ca, client } = bench.ours.tls;
  const chains = bench.lanes.filter((lane): lane is HaproxyChain => 'tlsPort' in lane);
  return [
    { name: 'ours', relay: bench.ours.halves.relay, load: () => fleet.setUp(connections, isResumed) },
    ...chains.map(({ name, tlsPort, halves }) => {
      const task: TlsClientsTask = { port: tlsPort, caPem: ca, connections, isResumed, ...(name === 'haproxy_mtls' ? { clientPem: client } : {}) };
      return { name, relay: halves.relay, load: () => clients.ask<number>(task) };
    }),
  ];
}
