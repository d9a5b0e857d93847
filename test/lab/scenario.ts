import { setTimeout as sleep } from 'node:timers/promises';
import type { Fired } from './prometheus.ts';
import type { Lab } from './lab.ts';
import type { LedgerSummary } from './ledger.ts';
import { type Observation, Stage, type StageInit } from './stage.ts';

/** A thing that goes wrong while mail flows. What it has done need not be undone: `Lab.heal` does that. */
export interface Scenario {
  /** As in docs/resilience.md. */
  readonly number: number;
  readonly name: string;
  readonly run: (stage: Stage) => Promise<void>;
  /** What the ledger must say besides; default: nothing went directly. Returns problems. */
  readonly judge?: (summary: LedgerSummary) => string[];
}

export interface ScenarioResult extends LedgerSummary {
  readonly number: number;
  readonly name: string;
  readonly ok: boolean;
  readonly durationMs: number;
  readonly observations: readonly Observation[];
  /** Seconds after the first fault. */
  readonly alerts: readonly { readonly alert: string; readonly where: string; readonly afterS: number }[];
  readonly problems: readonly string[];
}

/** Its clients send viruses all the time. */
const OF_THE_LAB = new Set(['Outbreak', 'OutbreakOpen']);
const POLL_MS = 200;
const WARM_UP_MS = 3000;
const COOL_DOWN_MS = 3000;
const PATIENCE_MS = 45_000;

/** Runs one scenario with traffic flowing, heals the lab, waits until it is well, and sums up. */
export async function play(lab: Lab, scenario: Scenario, init: StageInit): Promise<ScenarioResult> {
  const stage = new Stage({ lab }, init);
  const startedAt = Date.now();
  lab.startTraffic();
  await stage.flow(WARM_UP_MS);
  try {
    await untilRelayed(lab);
    await scenario.run(stage);
  } catch (error) {
    stage.fail(error instanceof Error ? error.message : String(error));
  }
  stage.now('restored');
  await lab.heal();
  await stage.allWell();
  await stage.flow(COOL_DOWN_MS);
  const summary = await lab.settle(PATIENCE_MS);
  stage.problems.push(...judge(summary), ...(scenario.judge ?? nothingDirect)(summary));
  const fired = (await lab.prometheus?.firedBetween(startedAt, Date.now())) ?? [];
  return {
    number: scenario.number,
    name: scenario.name,
    ok: stage.problems.length === 0,
    ...summary,
    durationMs: Date.now() - startedAt,
    observations: stage.observations,
    alerts: firstOfEach(fired, stage.faultAt ?? startedAt),
    problems: stage.problems,
  };
}

/** Every office has had a session through a site: what a scenario begins with. */
async function untilRelayed(lab: Lab): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!lab.offices.every((office) => office.lastSession()?.route === 'relayed')) {
    if (performance.now() > deadline) throw new Error('before anything has gone wrong, an office is not relayed');
    await sleep(POLL_MS);
  }
}

/** What holds for every scenario. */
function judge(summary: LedgerSummary): string[] {
  const must: readonly (readonly [boolean, string])[] = [
    [summary.accepted > 0, 'no mail was accepted at all'],
    [summary.lost === 0, `${summary.lost} mails lost`],
    [summary.infectedDelivered === 0, `${summary.infectedDelivered} viruses were let through`],
    [summary.altered === 0, `${summary.altered} mails altered`],
    [summary.refused === 0, `${summary.refused} clean mails refused for good`],
    [summary.abandoned === 0, `${summary.abandoned} mails without a final answer at the end`],
  ];
  return must.flatMap(([isSo, problem]) => (isSo ? [] : [problem]));
}

function nothingDirect({ direct }: LedgerSummary): string[] {
  return direct === 0 ? [] : [`${direct} connections went directly`];
}

/** Any number of connections may go directly: for scenarios in which no site can be reached. */
export function directAllowed(): string[] {
  return [];
}

function firstOfEach(fired: readonly Fired[], faultAt: number): ScenarioResult['alerts'] {
  const first = new Map<string, { alert: string; where: string; afterS: number }>();
  for (const { alert, site, at } of fired) {
    if (OF_THE_LAB.has(alert)) continue;
    const key = `${alert} ${site}`;
    if (!first.has(key)) first.set(key, { alert, where: site, afterS: Math.round((at - faultAt) / 1000) });
  }
  return [...first.values()];
}
