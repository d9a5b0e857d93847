import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { namespacesAllowed } from '../kit/netns.ts';
import { Lab } from './lab.ts';
import { human, markdown, oneLine } from './report.ts';
import { play, type Scenario, type ScenarioResult } from './scenario.ts';
import { CONTROL_SCENARIOS } from './scenarios/control.ts';
import { DEVICE_SCENARIOS } from './scenarios/devices.ts';
import { LINE_SCENARIOS } from './scenarios/lines.ts';
import { PART_SCENARIOS } from './scenarios/parts.ts';
import { SITE_SCENARIOS } from './scenarios/sites.ts';

const SCENARIOS: readonly Scenario[] = [
  ...SITE_SCENARIOS,
  ...LINE_SCENARIOS,
  ...CONTROL_SCENARIOS,
  ...PART_SCENARIOS,
  ...DEVICE_SCENARIOS,
].sort((a, b) => a.number - b.number);

const USAGE = `npm run lab -- [--only 1,2] [--quick] [--json | --markdown] [--keep DIRECTORY] [--command FILE]

Builds three sites, two offices, DNS and mail servers in network namespaces and lets things go wrong while mail flows.
  --only      only these scenarios, by number
  --quick     shorter waits
  --json      the results as JSON, on standard output
  --markdown  the table of docs/resilience.md, on standard output
  --keep      write the logs of all processes there
  --command   another build of sekisho than one of this checkout: a sekisho.mjs
  --from      run nothing: show the results that an earlier run wrote with --json
  --list      the scenarios, and nothing else
Exit codes: 0 all scenarios are as they should be, 1 one is not, 2 a wrong argument, 69 no network namespaces here.`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      keep: { type: 'string' },
      command: { type: 'string' },
      from: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return print(USAGE);
  if (values.list) return print(SCENARIOS.map(({ number, name }) => `${String(number).padStart(2)}  ${name}`).join('\n'));
  const wanted = values.only?.split(',').map(Number);
  const scenarios = SCENARIOS.filter(({ number }) => wanted?.includes(number) ?? true);
  if (scenarios.length !== (wanted?.length ?? SCENARIOS.length)) {
    console.error(`There is no such scenario; --list names them.\n\n${USAGE}`);
    return 2;
  }
  if (values.from !== undefined) return show((JSON.parse(readFileSync(values.from, 'utf8')) as { scenarios: ScenarioResult[] }).scenarios, values);
  const reason = namespacesAllowed();
  if (reason !== undefined) {
    console.error(`The lab cannot be built: ${reason}.`);
    return 69;
  }
  return show(await runAll(scenarios, values), values);
}

function show(results: readonly ScenarioResult[], { json, markdown: table }: { readonly json: boolean; readonly markdown: boolean }): number {
  if (json) print(JSON.stringify({ scenarios: results }, undefined, 2));
  else print(table ? markdown(results) : human(results));
  return results.every(({ ok }) => ok) ? 0 : 1;
}

interface RunOptions {
  readonly quick: boolean;
  readonly keep?: string | undefined;
  readonly command?: string | undefined;
}

async function runAll(scenarios: readonly Scenario[], { quick, keep, command }: RunOptions): Promise<ScenarioResult[]> {
  const startedAt = performance.now();
  const say = (text: string): void => console.error(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)}  ${text}`);
  const lab = await Lab.create({ say, command });
  const results: ScenarioResult[] = [];
  try {
    for (const scenario of scenarios) {
      say(`${scenario.number}. ${scenario.name}`);
      const result = await play(lab, scenario, { quick, say });
      say(oneLine(result));
      results.push(result);
    }
  } finally {
    if (keep !== undefined) await lab.writeLogs(resolve(keep));
    await lab.stop();
  }
  return results;
}

function print(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.stack : error);
  process.exitCode = 1;
}
// Whatever is still open has nothing to say any more.
process.exit();
