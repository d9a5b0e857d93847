import { writeFileSync } from 'node:fs';
import type { PlanScenario, Report } from '@sekisho/simulator';
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { loadConfig } from '../config/load.ts';
import { planScenario } from '../config/plan-scenario.ts';
import { bitRate, type PlanConfig, type PlanFailure, planSchema, timeOfDay } from '../config/plan-schema.ts';
import { duration } from '../config/quantities.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { requireWritable } from '../files/secret-file.ts';
import { result, resultJson } from '../output.ts';
import { planProgressLine } from './plan-progress.ts';

/** What commander makes of the command line. */
interface PlanOptions {
  readonly clients?: number;
  readonly sites?: number;
  readonly relays?: number;
  readonly managers?: number;
  readonly line?: number;
  readonly ttl?: number;
  readonly start?: number;
  readonly duration?: number;
  readonly seed?: number;
  readonly fail: readonly Failing[];
  readonly findServers: boolean;
  readonly json: boolean;
  readonly html?: string;
}

/** `site:tokyo-1@10:00-12:00`, not yet knowing which sites there are. */
interface Failing {
  readonly what: 'site' | 'relay' | 'manager' | 'line' | 'dns';
  readonly name: string | undefined;
  readonly at: number;
  readonly until: number | undefined;
}

const EXAMPLES = `
Failures: WHAT[:NAME]@TIME[-TIME], the second time being its end:
  site@10:00               the first site is dead
  site:site-2@10:00-12:00  this one, for two hours
  relay:site-1/s3@10:00    one of its relays
  manager:site-1/2@10:00   its second manager hangs
  line:site-1@10:00        its line carries half
  dns:site-1@10:00         it is taken out of DNS

Examples:
  sekisho plan --clients 8000 --sites 3 --relays 5 --line 100Mbps --fail site@10:00
  sekisho plan --clients 8000 --sites 3 --find-servers
  sekisho plan deploy/plan/original.yaml --html plan.html

Exit code 0: enough. 1: not enough. 2: a mistake in the scenario. docs/plan.md has every key and what is modelled.`;

/** `sekisho plan`: how many servers for how many clients, and what happens when a site dies. */
export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .argument('[scenario.yaml]', 'the mesh, its day and its failures; without it, what the options say')
    .description('run a whole mesh under a virtual clock: load, failures, and whether its servers are enough')
    .option('--clients <n>', 'agents', whole)
    .option('--sites <n>', 'sites, all alike (without a scenario)', whole)
    .option('--relays <n>', 'servers at each of them (without a scenario)', whole)
    .option('--managers <n>', 'managers at each of them (without a scenario)', whole)
    .option('--line <rate>', 'of each of them, such as 100Mbps (without a scenario)', parsing(bitRate()))
    .option('--ttl <duration>', 'of the managers\' name in DNS', parsing(duration('20m', { min: '1s', max: '1d' })))
    .option('--start <time>', 'when the run begins, such as 09:00', parsing(timeOfDay()))
    .option('--duration <duration>', 'how long it is', parsing(duration('24h', { min: '1m', max: '7d' })))
    .option('--seed <n>', 'another one is another day of the same kind', whole)
    .option('--fail <failure>', 'what happens when, see below; may be given several times', failing, [])
    .option('--find-servers', 'find the least number of servers at each site that is enough', false)
    .option('--json', 'for programs', false)
    .option('--html <file>', 'write a page with plots')
    .addHelpText('after', EXAMPLES)
    .action(plan);
}

async function plan(file: string | undefined, options: PlanOptions): Promise<void> {
  if (options.html !== undefined) requireWritable(options.html);
  const simulator = await import('@sekisho/simulator');
  const line = planProgressLine();
  try {
    const scenario = scenarioOf(file, options);
    const found = options.findServers ? simulator.findServers(scenario, { onProgress: (perSite, progress) => line.show(progress, perSite) }) : undefined;
    const outcome = found?.outcome ?? simulator.runPlan(scenario, { onProgress: (progress) => line.show(progress) });
    line.end();
    const plain = simulator.planReport(outcome, found?.scenario ?? scenario);
    const report: Report = found === undefined ? plain : { ...plain, summary: simulator.serversSummary(found) };
    if (options.html !== undefined) writeFileSync(options.html, simulator.renderPage(report));
    if (options.json) resultJson({ summary: report.summary, ...(found === undefined ? {} : { perSite: found.perSite ?? null, tries: found.tries }), ...outcome });
    else result(simulator.renderText(report));
    if (!outcome.answer.isEnough) process.exitCode = EXIT.failed;
  } catch (error) {
    line.end();
    if (error instanceof simulator.PlanError) throw new CommandError(error.message, EXIT.usage);
    throw error;
  }
}

function scenarioOf(file: string | undefined, options: PlanOptions): PlanScenario {
  const { sites, relays, managers, line } = options;
  if (file !== undefined && [sites, relays, managers, line].some((option) => option !== undefined))
    throw new CommandError('--sites, --relays, --managers and --line describe a mesh without a scenario file; in the file they are keys of its sites.', EXIT.usage);
  const config: PlanConfig = file === undefined ? planSchema.parse({}) : loadConfig(file, planSchema, {});
  const [usual] = config.sites;
  const meshed: PlanConfig =
    file !== undefined || usual === undefined
      ? config
      : { ...config, sites: [{ ...usual, copies: sites ?? usual.copies, relays: relays ?? usual.relays, managers: managers ?? usual.managers, line: line ?? usual.line }] };
  const scenario = planScenario({
    ...meshed,
    start: options.start ?? config.start,
    duration: options.duration ?? config.duration,
    seed: options.seed ?? config.seed,
    agents: { ...config.agents, count: options.clients ?? config.agents.count },
    dns: { ...config.dns, ttl: options.ttl ?? config.dns.ttl },
  });
  const added = planScenario({ ...meshed, failures: options.fail.flatMap((failure) => failuresOf(failure, scenario)) });
  return { ...scenario, faults: [...scenario.faults, ...added.faults].toSorted((a, b) => a.atMs - b.atMs) };
}

/** The failure, and its end if it has one. */
function failuresOf({ what, name, at, until }: Failing, { sites }: PlanScenario): PlanFailure[] {
  const [siteName = sites[0]?.name ?? '', part] = name?.split('/') ?? [];
  const site = sites.find((one) => one.name === siteName);
  const common = { site: siteName, how: 'silent' } as const;
  const of = (begin: Partial<PlanFailure>, end: Partial<PlanFailure>): PlanFailure[] => [
    { ...common, at, ...begin },
    ...(until === undefined ? [] : [{ ...common, at: until, ...end }]),
  ];
  switch (what) {
    case 'site':
      return of({ is: 'down' }, { is: 'up' });
    case 'relay': {
      const relay = part ?? site?.relays[0]?.name ?? '';
      return of({ relay, is: 'down' }, { relay, is: 'up' });
    }
    case 'manager': {
      const manager = Number(part ?? 1);
      return of({ manager, is: 'silent' }, { manager, is: 'back' });
    }
    case 'line':
      return of({ line: 0.5 }, { line: 1 });
    default:
      return of({ is: 'drained' }, { is: 'joined' });
  }
}

const FAILING = /^(?<what>site|relay|manager|line|dns)(?::(?<name>[^@]+))?@(?<at>[\d:]+)(?:-(?<until>[\d:]+))?$/u;

function failing(text: string, previous: readonly Failing[]): Failing[] {
  const { what, name, at, until } = FAILING.exec(text)?.groups ?? {};
  if (what !== 'site' && what !== 'relay' && what !== 'manager' && what !== 'line' && what !== 'dns')
    throw new InvalidArgumentError('WHAT[:NAME]@TIME[-TIME] is needed here, such as site@10:00 or relay:site-1/s3@10:00-10:30.');
  const time = parsing(timeOfDay());
  return [...previous, { what, name, at: time(at ?? ''), until: until === undefined ? undefined : time(until) }];
}

function whole(text: string): number {
  if (!/^\d{1,10}$/u.test(text)) throw new InvalidArgumentError('A whole number is needed here.');
  return Number(text);
}

function parsing<T>(schema: z.ZodType<T>): (text: string) => T {
  return (text) => {
    const parsed = schema.safeParse(text);
    if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join('; '));
    return parsed.data;
  };
}
