// Sekisho beside HAProxy, nginx and Haraka, in turns and in one run. README.md says how to read it.
import { cpus } from 'node:os';
import { stopAllProcesses } from '../test/kit/process.ts';
import { type BenchArguments, parseArguments, USAGE } from './arguments.ts';
import type { Figure } from './figure.ts';
import type { Bench, FigureGroup } from './figures/bench.ts';
import { bulk } from './figures/bulk.ts';
import { devices } from './figures/devices.ts';
import { firstByte } from './figures/first-byte.ts';
import { idle } from './figures/idle.ts';
import { manager } from './figures/manager.ts';
import { sessions } from './figures/sessions.ts';
import { type RunFacts, toJson, toMarkdown, toText } from './report.ts';
import { Stage } from './stage.ts';

const GROUPS: readonly FigureGroup[] = [idle, devices, sessions, bulk, firstByte, manager];

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  let args;
  try {
    args = parseArguments(argv);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  const groups = GROUPS.filter(({ names }) => isWanted(names, args.only));
  if (groups.length === 0) {
    console.error(`no figure begins with ${args.only.join(' or ')}; there are ${GROUPS.flatMap(({ names }) => names).join(', ')}`);
    return 2;
  }
  await run(args, groups);
  return 0;
}

async function run(args: BenchArguments, groups: readonly FigureGroup[]): Promise<void> {
  const startMs = performance.now();
  let stage: Stage | undefined;
  try {
    stage = await Stage.start(args);
    const figures = await measure(stage, groups);
    const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
    stage.note(`medians of ${args.rounds} round(s), in turns; ${args.isQuick ? '--quick; ' : ''}${minutes} min in all`);
    print(args, figures.filter(({ name }) => isWanted([name], args.only)), stage);
  } finally {
    await stage?.stop();
    await stopAllProcesses();
  }
}

async function measure(bench: Bench, groups: readonly FigureGroup[]): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const group of groups) {
    const startMs = performance.now();
    figures.push(...(await group.measure(bench)));
    console.error(`${((performance.now() - startMs) / 1000).toFixed(0)} s for ${group.names.join(', ')}`);
  }
  return figures;
}

/** A name is wanted when it begins with what was asked for, or the other way round for the names of a group. */
function isWanted(names: readonly string[], only: readonly string[]): boolean {
  return only.length === 0 || names.some((name) => only.some((wanted) => name.startsWith(wanted) || wanted.startsWith(name)));
}

function print({ format }: BenchArguments, figures: readonly Figure[], { versions, notes }: Stage): void {
  const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores`;
  const facts: RunFacts = { date: new Date().toISOString().slice(0, 10), machine, versions, notes };
  if (format === 'json') console.log(JSON.stringify(toJson(figures, facts)));
  else console.log(format === 'markdown' ? toMarkdown(figures, facts) : toText(figures, facts));
}
