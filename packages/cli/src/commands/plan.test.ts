import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type PlanScenario, runPlan } from '@sekisho/simulator';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../config/load.ts';
import { planScenario } from '../config/plan-scenario.ts';
import { planSchema } from '../config/plan-schema.ts';
import { workplace } from '../testing/command.ts';
import { addPlanCommand } from './plan.ts';

const place = workplace();
const examples = fileURLToPath(new URL('../../../../deploy/plan/', import.meta.url));
const example = (name: string): PlanScenario => planScenario(loadConfig(`${examples}${name}`, planSchema, {}));
const HOUR_MS = 3_600_000;

async function refusal(...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addPlanCommand(program);
  program.commands[0]?.exitOverride().configureOutput({ writeErr: () => {} });
  const problem: unknown = await program.parseAsync(['plan', ...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return problem instanceof Error ? problem.message : `not refused: ${args.join(' ')}`;
}

test('every example can be run', () => {
  const names = readdirSync(examples).filter((name) => name.endsWith('.yaml'));
  expect(names).toEqual(['million.yaml', 'original.yaml']);
  for (const name of names) expect(example(name).faults.length).toBeGreaterThan(0);
  const million = example('million.yaml');
  expect([million.agents.count, million.sites.length, million.durationMs]).toEqual([1_000_000, 300, 24 * HOUR_MS]);
});

describe('the design of the original service, against its text', () => {
  const original = example('original.yaml');
  const around = { ...original, startMs: 9 * HOUR_MS, durationMs: 2 * HOUR_MS };
  const equal = { ...around, sites: around.sites.map((site) => ({ ...site, relays: site.relays.map((relay) => ({ ...relay, weight: 1 })) })) };

  test('its table: two servers of five also manage, and those that do not are written twice', () => {
    expect(original.sites).toHaveLength(3);
    for (const { relays, managers } of original.sites) {
      expect(relays.map(({ weight }) => weight)).toEqual([1, 1, 2, 2, 2]);
      expect(managers).toBe(2);
    }
    expect([original.agents.count, original.dns.ttlMs]).toEqual([8000, 1_200_000]);
  });

  test('"about 500 a server in normal times, 800 with a site down": the mean exactly, with equal weights every server', () => {
    const { phases: [normal, failed] } = runPlan(equal);
    expect(normal).toMatchObject({ servers: 15, clientsMean: 533.3, direct: 0, refused: 0 });
    expect(failed).toMatchObject({ servers: 10, clientsMean: 800, refused: 0 });
    expect(normal?.clientsPeak).toBeLessThan(580);
    expect(failed?.clientsPeak).toBeLessThan(860);
  });

  test.each(['least-load', 'weighted'] as const)('with its weights (%s) a dedicated server has 667, and 1,000 with a site down, by chance a few more', (policy) => {
    const { phases: [normal, failed], moves: [move] } = runPlan({ ...around, scheduler: { ...around.scheduler, policy } });
    expect(normal?.clientsMean).toBe(533.3);
    expect(normal?.clientsPeak).toBeGreaterThan(640);
    expect(normal?.clientsPeak).toBeLessThan(700);
    expect(failed?.clientsMean).toBe(800);
    expect(failed?.clientsPeak).toBeGreaterThan(950);
    expect(failed?.clientsPeak).toBeLessThan(1050);
    // The original's routers noticed nothing until DNS did, twenty minutes later, or each of their waits of 5 s was over.
    expect(move?.all).toBeLessThan(14_000);
  });
});

test('the same command says the same, byte by byte; the exit code is the answer', async () => {
  const args = ['plan', '--clients', '300', '--sites', '3', '--relays', '2', '--duration', '30m', '--fail', 'site@00:10', '--json'];
  const [one, other] = await Promise.all([place.sekisho(...args), place.sekisho(...args)]);
  expect(one).toMatchObject({ code: 0, stderr: '' });
  expect(other.stdout).toBe(one.stdout);
  expect(JSON.parse(one.stdout)).toMatchObject({ summary: expect.stringContaining('6 servers at 3 sites are enough for 300 clients'), answer: { isEnough: true } });
});

test('a scenario, a page and the number of servers', async () => {
  place.write('plan.yaml', 'title: Ours\nduration: 10m\nagents: { count: 300 }\nsites: [{ name: a, copies: 2, relays: 1 }]\nlimits: { clientsPerServer: 200 }\n');
  const { code, stdout } = await place.sekisho('plan', 'plan.yaml', '--find-servers', '--html', 'plan.html');
  expect(stdout).toContain('For 300 clients at 2 sites, 2 servers at each site are enough, 4 in all');
  expect(code).toBe(0);
  expect(place.read('plan.html')).toContain('<h1>Ours</h1>');
  const tooFew = await place.sekisho('plan', 'plan.yaml', '--clients', '900');
  expect([tooFew.code, tooFew.stdout.includes('NOT enough')]).toEqual([1, true]);
});

test.each([
  [['--fail', 'site'], 'WHAT[:NAME]@TIME[-TIME]'],
  [['--fail', 'sun@10:00'], 'WHAT[:NAME]@TIME[-TIME]'],
  [['--fail', 'site@10:61'], 'a time is HH:MM'],
  [['--fail', 'site:nowhere@10:00'], 'there is no site nowhere'],
  [['--fail', 'relay:site-1/s9@10:00'], 'site site-1 has no relay s9'],
  [['--fail', 'manager:site-1/3@10:00'], 'managers 1 to 2'],
  [['--fail', 'dns@25:00'], 'outside the time of the run'],
  [['--fail', 'line@10:00-09:00', '--start', '09:30'], 'outside the time of the run'],
  [['--clients', 'many'], 'A whole number'],
  [['--clients', '1000001'], 'at most 1000000'],
  [['--clients', '0'], 'at least one site and one agent'],
  [['--relays', '33'], '33 relays of site site-1: at most 32'],
  [['--managers', '600'], '1800 managers in DNS'],
  [['--line', '100'], 'a rate is a number with a unit'],
  [['--html', '/nowhere/at/all.html'], '/nowhere/at'],
  [['no-such.yaml'], 'there is no such file'],
  [['x.yaml', '--sites', '3'], 'describe a mesh without a scenario file'],
])('refuses %j: %s', async (args, because) => {
  expect(await refusal(...args)).toContain(because);
});
