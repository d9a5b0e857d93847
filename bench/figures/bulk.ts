import type { Figure } from '../figure.ts';
import type { Direction } from '../load/bulk.ts';
import { type Bench, chainCpu, type FigureGroup, figureOf, inTurns, measureCpu, warmUpOf } from './bench.ts';

const GB = 1e9;

/** Bulk transfers: what a gigabyte costs each half, and how fast it goes. */
export const bulk: FigureGroup = {
  names: ['relay.cpu_per_gb', 'agent.cpu_per_gb', 'chain.cpu_per_gb', 'chain.throughput_1', 'chain.throughput_50'],
  async measure(bench: Bench) {
    const figures: Figure[] = [];
    for (const streams of [1, 50]) for (const direction of ['up', 'down'] as const) figures.push(...(await measureWay(bench, direction, streams)));
    return figures;
  },
};

async function measureWay(bench: Bench, direction: Direction, streams: number): Promise<Figure[]> {
  const total = bench.isQuick ? 0.2 * GB : GB;
  const bytes = Math.ceil(total / streams);
  const lanes = bench.lanes.flatMap((lane) => (lane.ports.bulk === undefined ? [] : [{ name: lane.name, halves: lane.halves, port: lane.ports.bulk }]));
  const move = (port: number, count = bytes): Promise<number> => bench.bulk.move({ port, direction, streams, bytes: count });
  for (const { name, port } of lanes) await move(port, warmUpOf(name, bytes));
  const results = await inTurns(lanes, bench.rounds, (lane) => measureCpu(lane, () => move(lane.port)));
  const moved = (bytes * streams) / GB;
  const perGb = (cpu: number | undefined): number | undefined => (cpu === undefined ? undefined : cpu / moved);
  // One stream is what the targets are about; with 50 the name says so.
  const suffix = streams === 1 ? direction : `${direction}_${streams}`;
  const unit = 's/GB';
  return [
    figureOf({ name: `relay.cpu_per_gb.${suffix}`, unit }, results, ({ cpu }) => perGb(cpu.relay)),
    figureOf({ name: `agent.cpu_per_gb.${suffix}`, unit }, results, ({ cpu }) => perGb(cpu.agent)),
    figureOf({ name: `chain.cpu_per_gb.${suffix}`, unit }, results, (sample) => perGb(chainCpu(sample))),
    figureOf({ name: `chain.throughput_${streams}.${direction}`, unit: 'Gbit/s' }, results, ({ seconds }) => (moved * 8) / seconds),
  ];
}
