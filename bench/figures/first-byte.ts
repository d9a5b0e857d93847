import { join } from 'node:path';
import type { Candidate, Figure } from '../figure.ts';
import { HelperProcess } from '../load/helper-process.ts';
import type { ProbeTask } from '../load/prober.ts';
import { percentile } from '../statistics.ts';
import { type Bench, type FigureGroup, figureOf, inTurns, warmUpOf } from './bench.ts';

const AT_ONCE = 50;
const PROBED: ReadonlySet<Candidate> = new Set(['ours', 'haproxy_tls', 'haproxy_mtls']);
const PERCENTILES = { p50: 0.5, p99: 0.99 } as const;

/**
 * The time from a client's connect() to the first byte of the destination's greeting, 50 clients at once, over that of
 * clients without a proxy. Steady: each comes when it wants to, some 200 a second in all. Burst: 50 in the same instant,
 * which is how long the last of them waits for the others.
 */
export const firstByte: FigureGroup = {
  names: ['chain.added_ttfb', 'chain.ttfb', 'chain.burst_ttfb'],
  async measure(bench: Bench) {
    const prober = new HelperProcess(join(import.meta.dirname, '../load/prober.ts'));
    try {
      // The bursts warm up for both.
      const burst = await measureArrival(bench, prober, 'burst');
      return [...(await measureArrival(bench, prober, 'steady')), ...burst];
    } finally {
      await prober.stop();
    }
  },
};

async function measureArrival(bench: Bench, prober: HelperProcess, arrival: ProbeTask['arrival']): Promise<Figure[]> {
  const connections = bench.isQuick ? 6 : 40;
  const proxies = bench.lanes.filter(({ name }) => PROBED.has(name)).map(({ name, ports }) => ({ name, port: ports.smtp }));
  const lanes: { readonly name: Candidate; readonly port: number }[] = [...proxies, { name: 'direct', port: bench.smtpSink.port }];
  const probe = (port: number, count = connections): Promise<number[]> =>
    prober.ask<number[]>({ port, arrival, atOnce: AT_ONCE, connections: count } satisfies ProbeTask);
  if (arrival === 'burst') for (const { name, port } of lanes) await probe(port, warmUpOf(name, connections));
  const results = await inTurns(lanes, bench.rounds, ({ port }) => probe(port));
  const name = arrival === 'steady' ? 'ttfb' : 'burst_ttfb';
  return Object.entries(PERCENTILES).flatMap(([label, share]) => {
    const figure = figureOf({ name: `chain.${name}_${label}`, unit: 'ms' }, results, (times) => percentile(times, share));
    return arrival === 'steady' ? [figure, addedOver(figure, `chain.added_ttfb_${label}`)] : [figure];
  });
}

/** What a proxy adds to the time of the direct connection. */
function addedOver({ unit, values }: Figure, name: string): Figure {
  const { direct = Number.NaN, ...proxies } = values;
  return { name, unit, values: Object.fromEntries(Object.entries(proxies).map(([candidate, ms]) => [candidate, ms - direct])) };
}
