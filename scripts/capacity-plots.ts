import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Plot, renderSvg } from '@sekisho/simulator';
import type { LoadResult } from '../packages/simulator/src/load/figures/load-result.ts';
import type { PlanOutcome } from '../packages/simulator/src/plan/outcome.ts';

/**
 * Makes the pictures of docs/capacity.md again: `node scripts/capacity-plots.ts [load.json ...]`. Those of `sekisho plan`
 * come out the same each time. Files of `sekisho load --rate R --json` are the points of the knee; without any, its picture stays.
 */

const root = join(import.meta.dirname, '..');
const pictures = join(root, 'docs/pictures');
const loads = process.argv.slice(2);

mkdirSync(pictures, { recursive: true });
const original = plan('deploy/plan/original.yaml');
draw('original-clients', clientsOverTheDay(original));
draw('original-moved', moved(original));
draw('sites', sitesAndSpare());
if (loads.length > 0) draw('knee', knee(loads));

/** Sites as the original had them, but with servers that are all alike. */
function planWith(...options: string[]): PlanOutcome {
  return plan('--relays', '5', '--line', '100Mbps', ...options);
}

/** Exit code 1 is an answer, too: not enough. */
function plan(...args: string[]): PlanOutcome {
  const { status, stdout, stderr } = spawnSync('npx', ['sekisho', 'plan', ...args, '--json'], { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (stdout === '') throw new Error(`sekisho plan ${args.join(' ')} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as PlanOutcome;
}

function draw(name: string, plot: Plot): void {
  writeFileSync(join(pictures, `${name}.svg`), renderSvg(plot));
}

/** Of servers that have the same share: the one with most. */
function clientsOverTheDay({ series, phases, relays }: PlanOutcome): Plot {
  const [, down] = phases;
  const dead = down?.faults[0]?.site;
  const kinds = new Map<string, (readonly number[])[]>();
  for (const [index, { site, weight }] of relays.entries()) {
    const kind = `${site === dead ? site : 'other sites'}, weight ${weight}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), series.clients[index]?.values ?? []]);
  }
  return {
    title: 'The original service: clients of the server that has most',
    xKind: 'timeOfDay',
    xLabel: 'time of day',
    yLabel: 'clients',
    xs: series.atMs.map((ms) => ms / 1000),
    series: [...kinds].map(([label, servers]) => ({ label, values: series.atMs.map((_, at) => Math.max(...servers.map((values) => values[at] ?? 0))) })),
    marks: down === undefined ? [] : [{ x: down.fromMs / 1000, label: `${dead} dies` }],
  };
}

/** How fast the agents of one site leave it: when it dies, and when it is taken out of DNS. */
function moved(original: PlanOutcome): Plot {
  const drained = planWith('--start', '09:30', '--duration', '1h', '--fail', 'dns@10:00');
  const curves = [
    { label: 'it dies without a word', ms: original.moves[0]?.curve ?? [] },
    { label: 'its addresses leave DNS (TTL 20 min)', ms: drained.moves[0]?.curve ?? [] },
  ];
  const xs = [...new Set([0, 60_000, ...curves.flatMap(({ ms }) => ms)])].sort((a, b) => a - b);
  return {
    title: 'Agents of a site that have a relay elsewhere',
    xKind: 'elapsed',
    xLabel: 'since then',
    yLabel: '% of the agents of the site',
    xs: xs.map((x) => x / 1000),
    series: curves.map(({ label, ms }) => ({ label, values: xs.map((x) => (ms.filter((at) => at <= x).length / ms.length) * 100) })),
  };
}

/** What the death of a site costs the servers of the others, by the number of sites; each with as many clients as in the original. */
function sitesAndSpare(): Plot {
  const clientsOfSite = 8000 / 3;
  const counts = [2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30];
  const phases = counts.map((sites) =>
    planWith('--clients', String(Math.round(clientsOfSite * sites)), '--sites', String(sites), '--start', '09:30', '--duration', '1h', '--fail', 'site@10:00').phases,
  );
  return {
    title: 'Five servers a site, 2,667 clients a site, one site dies',
    xKind: 'number',
    xLabel: 'sites',
    yLabel: 'clients of the server that has most',
    xs: counts,
    series: [
      { label: 'one site down', values: phases.map(([, down]) => down?.clientsPeak ?? null) },
      { label: 'all sites up', values: phases.map(([normal]) => normal?.clientsPeak ?? null) },
    ],
  };
}

/** Time to relay by the rate that was asked for, one point a file. */
function knee(files: readonly string[]): Plot {
  const results = files
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as LoadResult)
    .sort((a, b) => a.sessions.perSecond - b.sessions.perSecond);
  return {
    title: 'One machine, more and more sessions: the knee',
    xKind: 'number',
    xLabel: 'sessions/s completed',
    yLabel: 'time to relay, ms',
    xs: results.map(({ sessions }) => sessions.perSecond),
    series: [
      { label: 'p50', values: results.map(({ phases }) => phases.timeToRelay?.p50 ?? null) },
      { label: 'p99', values: results.map(({ phases }) => phases.timeToRelay?.p99 ?? null) },
    ],
  };
}
