import { join } from 'node:path';
import type { Candidate, Figure } from '../figure.ts';
import { Fleet } from '../load/fleet.ts';
import { HelperProcess } from '../load/helper-process.ts';
import { sendMails } from '../load/smtp.ts';
import type { TlsClientsTask } from '../load/tls-clients.ts';
import type { HaproxyChain } from '../peers/haproxy.ts';
import { type Bench, type FigureGroup, figureOf, inTurns, measureCpu, type Sample, warmUpOf } from './bench.ts';

const DEVICES = 200;

/** The relay half with many devices: sessions of 200 with one at a time each, and the set-up of their connections. */
export const devices: FigureGroup = {
  names: ['relay.cpu_per_1k_sessions_200_devices', 'relay.cpu_per_1k_connections', 'relay.connections_per_s'],
  async measure(bench: Bench) {
    const fleet = await Fleet.start(bench.ours, DEVICES);
    try {
      const sending = await measureSending(bench, fleet);
      return [sending, ...(await measureSetUp(bench, fleet, false)), ...(await measureSetUp(bench, fleet, true))];
    } finally {
      await fleet.stop();
    }
  },
};

/** Against as many clients at once of the others, for which a device is nothing. */
async function measureSending(bench: Bench, fleet: Fleet): Promise<Figure> {
  const mails = bench.isQuick ? 600 : 3000;
  const lanes = bench.lanes.filter(({ name, halves }) => name !== 'ours' && halves.relay !== undefined);
  await fleet.connect(DEVICES);
  const load = (name: Candidate, port: number, count = mails): Promise<number> =>
    name === 'ours' ? fleet.send(bench.smtpSink.port, count) : sendMails(port, count, DEVICES);
  const all = [bench.ours, ...lanes].map(({ name, halves, ports }) => ({ name, halves: { relay: halves.relay }, port: ports.smtp }));
  for (const { name, port } of all) await load(name, port, warmUpOf(name, mails));
  const results = await inTurns(all, bench.rounds, ({ name, halves: { relay }, port }) =>
    measureCpu({ halves: relay === undefined ? {} : { relay } }, () => load(name, port)),
  );
  await fleet.disconnect();
  const perThousand = ({ cpu }: Sample): number | undefined => (cpu.relay === undefined ? undefined : (cpu.relay / mails) * 1000);
  return figureOf({ name: 'relay.cpu_per_1k_sessions_200_devices', unit: 's/1000' }, results, perThousand);
}

/** A device's connection up to its ticket's acceptance; of HAProxy's second half a session's, up to the first byte. */
async function measureSetUp(bench: Bench, fleet: Fleet, isResumed: boolean): Promise<Figure[]> {
  const connections = bench.isQuick ? 300 : 1500;
  const clients = new HelperProcess(join(import.meta.dirname, '../load/tls-clients.ts'));
  try {
    const lanes = setUpLanes(bench, { fleet, clients, isResumed });
    for (const { name, load } of lanes) await load(warmUpOf(name, connections));
    const results = await inTurns(lanes, bench.rounds, ({ relay, load }) => measureCpu({ halves: { relay } }, () => load(connections)));
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
  readonly load: (connections: number) => Promise<number>;
}

function setUpLanes(
  bench: Bench,
  { fleet, clients, isResumed }: { fleet: Fleet; clients: HelperProcess; isResumed: boolean },
): SetUpLane[] {
  const { ca, client } = bench.ours.tls;
  const chains = bench.lanes.filter((lane): lane is HaproxyChain => 'tlsPort' in lane);
  return [
    { name: 'ours', relay: bench.ours.halves.relay, load: (connections: number) => fleet.setUp(connections, isResumed) },
    ...chains.map(({ name, tlsPort, halves }) => {
      const task = { port: tlsPort, caPem: ca, isResumed, ...(name === 'haproxy_mtls' ? { clientPem: client } : {}) };
      return { name, relay: halves.relay, load: (connections: number) => clients.ask<number>({ ...task, connections } satisfies TlsClientsTask) };
    }),
  ];
}
