import { strike } from './faults.ts';
import { Mesh } from './mesh.ts';
import { countsOf, outcomeOf, type Phase, phaseOf, type PlanOutcome } from './outcome.ts';
import { Patience } from './patience.ts';
import { Recorder, sampleTimes } from './recorder.ts';
import { checkScenario, type Fault, type PlanScenario } from './scenario.ts';

/** How far a run is, in milliseconds since midnight; before its start while the agents start. */
export interface PlanProgress {
  readonly startMs: number;
  readonly atMs: number;
  readonly endMs: number;
}

export interface RunInit {
  /** Called many times a second. */
  readonly onProgress?: (progress: PlanProgress) => void;
  readonly eventsAfterNo?: number;
}

/** The clocks of agents begin at 0, and they start before the run does: inside, it is a day later. */
const LATER_MS = 86_400_000;
/** Half a minute of one core. */
const MAX_EVENTS_AFTER_NO = 5_000_000;

/**
 * Runs a mesh through its day; one that is lost only until that is known. The same scenario gives the same outcome, to the
 * last digit.
 * @throws PlanError for a scenario that is impossible or too large
 */
export function runPlan(scenario: PlanScenario, { onProgress, eventsAfterNo = MAX_EVENTS_AFTER_NO }: RunInit = {}): PlanOutcome {
  checkScenario(scenario);
  const { startMs, durationMs, faults, agents } = scenario;
  const endMs = startMs + durationMs;
  const mesh = new Mesh({ ...scenario, startMs: startMs + LATER_MS });
  const patience = new Patience({ mesh }, { scenario, eventsAfterNo });
  const nowMs = (): number => mesh.queue.now - LATER_MS;
  const runUntil = (untilMs: number): boolean =>
    mesh.queue.runUntil(untilMs + LATER_MS, () => {
      onProgress?.({ startMs, atMs: nowMs(), endMs });
      return patience.goesOn;
    });
  let goesOn = runUntil(startMs);
  mesh.advance();
  mesh.tally.reset();
  patience.begin();
  const recorder = new Recorder({ relays: mesh.relays, sites: mesh.sites, tally: mesh.tally }, { agents: agents.count });
  for (const atMs of sampleTimes(startMs, durationMs, faults.map(({ atMs }) => atMs))) mesh.queue.at(atMs + LATER_MS, () => (mesh.advance(), recorder.take(atMs)));
  const phases: Phase[] = [];
  let fromMs = startMs;
  let struck: readonly Fault[] = [];
  for (const plannedMs of [...new Set(faults.map(({ atMs }) => atMs)), endMs].sort((a, b) => a - b)) {
    const before = countsOf(mesh);
    const from = recorder.samples.length;
    for (const relay of mesh.relays) relay.peakClients = relay.clients;
    for (const fault of struck) strike(mesh, fault);
    goesOn &&= runUntil(plannedMs);
    mesh.advance();
    const toMs = goesOn ? plannedMs : Math.max(startMs, nowMs());
    if (!goesOn) recorder.take(toMs);
    phases.push(phaseOf(mesh, { fromMs, toMs, faults: struck, samples: recorder.samples.slice(from), before }));
    if (!goesOn) break;
    fromMs = toMs;
    struck = faults.filter(({ atMs }) => atMs === toMs);
  }
  return outcomeOf(mesh, scenario, { samples: recorder.samples, phases, givenUp: goesOn ? null : { atMs: Math.max(startMs, nowMs()), agents: mesh.troubled } });
}
