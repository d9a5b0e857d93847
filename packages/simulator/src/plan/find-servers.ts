import { MAX_RELAYS } from '@sekisho/wire';
import { LoadCurve } from './load-curve.ts';
import type { GivenUp, PlanOutcome } from './outcome.ts';
import { whyNot } from './plan-report.ts';
import { type PlanProgress, runPlan } from './run-plan.ts';
import type { PlanScenario } from './scenario.ts';

export interface ServersFound {
  /** At each site; undefined: even MAX_RELAYS are not enough. */
  readonly perSite: number | undefined;
  readonly tries: readonly ServersTry[];
  /** Of the number that was found, or of the largest tried. */
  readonly outcome: PlanOutcome;
  readonly scenario: PlanScenario;
}

interface ServersTry {
  readonly perSite: number;
  readonly isEnough: boolean;
  readonly exceeded: readonly string[];
  readonly givenUp: GivenUp | null;
}

export interface FindInit {
  /** How far the run with so many servers at each site is. */
  readonly onProgress?: (perSite: number, progress: PlanProgress) => void;
}

const HOUR_MS = 3_600_000;
/** Some seconds: all that is asked of a number that is too small is why. One of a mesh with a place for everybody ends within its day. */
const MAX_EVENTS_AFTER_NO = 1_000_000;

/**
 * The least number of servers at each site that keeps every limit, also with the failures of the scenario; without any,
 * with the largest site dying in the busiest hour. Each server is like the first one of its site. More servers never make
 * anything worse, so the number is found by doubling and halving.
 */
export function findServers(scenario: PlanScenario, { onProgress }: FindInit = {}): ServersFound {
  const tried = scenario.faults.length > 0 ? scenario : inBusiestHour(scenario);
  const tries: ServersTry[] = [];
  const attempt = (perSite: number): { readonly outcome: PlanOutcome; readonly scenario: PlanScenario } => {
    const next = withServers(tried, perSite);
    const outcome = runPlan(next, { eventsAfterNo: MAX_EVENTS_AFTER_NO, onProgress: (progress) => onProgress?.(perSite, progress) });
    tries.push({ perSite, ...outcome.answer, givenUp: outcome.givenUp });
    return { outcome, scenario: next };
  };
  let tooFew = 0;
  let enough = 1;
  let best = attempt(enough);
  while (!best.outcome.answer.isEnough) {
    if (enough === MAX_RELAYS) return { perSite: undefined, tries, ...best };
    tooFew = enough;
    enough = Math.min(2 * enough, MAX_RELAYS);
    best = attempt(enough);
  }
  while (enough - tooFew > 1) {
    const middle = (tooFew + enough) >> 1;
    const found = attempt(middle);
    if (found.outcome.answer.isEnough) {
      enough = middle;
      best = found;
    } else tooFew = middle;
  }
  return { perSite: enough, tries, ...best };
}

/** The answer in one sentence. */
export function serversSummary({ perSite, tries, scenario }: ServersFound): string {
  const clients = `${scenario.agents.count.toLocaleString('en-US')} clients at ${scenario.sites.length} sites`;
  if (perSite === undefined) return `For ${clients} no number of servers is enough: with ${MAX_RELAYS} at each site, ${why(tries.at(-1))}.`;
  const fewer = tries.find((one) => one.perSite === perSite - 1);
  const butFewer = fewer === undefined ? '' : `; with ${fewer.perSite}, ${why(fewer)}`;
  return `For ${clients}, ${perSite} ${perSite === 1 ? 'server' : 'servers'} at each site are enough, ${perSite * scenario.sites.length} in all${butFewer}.`;
}

function why(tried: ServersTry | undefined): string {
  return tried === undefined ? '' : whyNot(tried);
}

function withServers(scenario: PlanScenario, perSite: number): PlanScenario {
  return {
    ...scenario,
    sites: scenario.sites.map((site) => ({
      ...site,
      relays: site.relays.slice(0, 1).flatMap((relay) => Array.from({ length: perSite }, (_, index) => ({ ...relay, weight: 1, name: `s${index + 1}` }))),
    })),
  };
}

/** Half an hour as it is, and half an hour without the site that carries most. */
function inBusiestHour(scenario: PlanScenario): PlanScenario {
  const { busiestMs } = new LoadCurve(scenario.agents);
  const largest = scenario.sites.reduce((most, site) => (site.managers > most.managers ? site : most));
  const startMs = Math.max(0, busiestMs - HOUR_MS / 2);
  const faults = scenario.sites.length > 1 ? ([{ kind: 'siteDown', how: 'silent', site: largest.name, atMs: startMs + HOUR_MS / 2 }] as const) : [];
  return { ...scenario, startMs, durationMs: HOUR_MS, faults };
}
