import { expect, test } from 'vitest';
import { renderPage } from '../report/page.ts';
import { renderText } from '../report/text.ts';
import { findServers, serversSummary } from './find-servers.ts';
import { describeFault, planReport, planSummary } from './plan-report.ts';
import { runPlan } from './run-plan.ts';
import type { Fault } from './scenario.ts';
import { minutes, siteNamed, smallScenario } from './testing/scenarios.ts';

const faults: Fault[] = [{ kind: 'siteDown', site: 'a', how: 'silent', atMs: minutes(10) }];

test('the answer is one sentence, the report has every failure, and both forms of it can be made', () => {
  const scenario = smallScenario({ faults });
  const outcome = runPlan(scenario);
  const [normal, failed] = outcome.phases;
  expect(planSummary(outcome)).toBe(
    `9 servers at 3 sites are enough for 600 clients: at most ${normal?.clientsPeak} clients a server before the first failure, ${failed?.clientsPeak} after (a down, silent).`,
  );
  const text = renderText(planReport(outcome, scenario));
  for (const part of ['as planned', 'a down, silent', 'a/s3', 'Until traffic has moved', 'broken by the death of their relay', 'TTL 2.0 min, 60 caches']) expect(text).toContain(part);
  expect(renderPage(planReport(outcome, scenario))).toContain('Clients of each server');
});

test('what is not enough is said with its limit', () => {
  const scenario = smallScenario({ faults, limits: { clientsPerServer: 100, cpu: 0.8, line: 0.9, refused: 0 } });
  const outcome = runPlan(scenario);
  expect(outcome.answer.isEnough).toBe(false);
  expect(planSummary(outcome)).toMatch(/^9 servers at 3 sites are NOT enough for 600 clients: clients a server: 1\d\d, the limit is 100 \(/u);
});

test('many servers are shown by those with most and least, many curves by the least, the mean and the most', () => {
  const scenario = smallScenario({ sites: Array.from({ length: 21 }, (_, index) => siteNamed(`s${index}`)), durationMs: minutes(5) });
  const outcome = runPlan(scenario);
  expect(outcome.series.clients.map(({ label }) => label)).toEqual(['least', 'mean', 'most']);
  expect(renderText(planReport(outcome, scenario))).toContain('Of 63 servers the 20 with most clients');
});

test('the least number of servers that is enough, and why one fewer is not', () => {
  const scenario = smallScenario({ limits: { clientsPerServer: 125, cpu: 0.8, line: 0.9, refused: 0 } });
  const found = findServers(scenario);
  expect(found.perSite).toBe(3);
  expect(serversSummary(found)).toMatch(/^For 600 clients at 3 sites, 3 servers at each site are enough, 9 in all; with 2, clients a server: 1\d\d, the limit is 125\.$/u);
  expect(found.outcome.moves[0]?.fault.kind).toBe('siteDown');
  const { perSite = 0, tries } = findServers({ ...scenario, limits: { ...scenario.limits, clientsPerServer: 44 } });
  expect(perSite).toBeGreaterThan(6);
  expect([perSite - 1, perSite].map((servers) => tries.find((one) => one.perSite === servers)?.isEnough)).toEqual([false, true]);
  const none = findServers({ ...scenario, sites: [siteNamed('a')], agents: { ...scenario.agents, count: 20 }, limits: { ...scenario.limits, line: 0.001 } });
  expect(none.perSite).toBeUndefined();
  expect(serversSummary(none)).toMatch(/no number of servers is enough: with 32 at each site, line of a site/u);
});

test('every failure has words', () => {
  const at = { atMs: 0, site: 'a' } as const;
  expect(
    (
      [
        { ...at, kind: 'siteUp' },
        { ...at, kind: 'drain' },
        { ...at, kind: 'join' },
        { ...at, kind: 'relayDown', relay: 's1', how: 'reset' },
        { ...at, kind: 'relayUp', relay: 's1' },
        { ...at, kind: 'managerSilent', manager: 1 },
        { ...at, kind: 'managerBack', manager: 1 },
        { ...at, kind: 'line', factor: 0.5 },
      ] satisfies Fault[]
    ).map((fault) => describeFault(fault)),
  ).toEqual(['a back', 'a out of DNS', 'a into DNS', 'a/s1 down, reset', 'a/s1 back', 'manager 1 of a silent', 'manager 1 of a back', 'line of a x 0.5']);
});
