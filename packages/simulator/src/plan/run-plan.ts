import { strike } from './faults.ts';
import { Mesh } from './mesh.ts';
import { countsOf, outcomeOf, type Phase, phaseOf, type PlanOutcome } from './outcome.ts';
import { Recorder, sampleTimes } from './recorder.ts';
import { checkScenario, type Fault, type PlanScenario } from './scenario.ts';

/** The clocks of agents begin at 0, and they start before the run does: inside, it is a day later. */
const LATER_MS = 86_400_000;

/**
 * Runs a mesh through its day. The same scenario gives the same outcome, to the last digit.
 * @throws PlanError for a scenario that is impossible or too large
 */
export function runPlan(scenario: PlanScenario): PlanOutcome {
  checkScenario(scenario);
  const { startMs, durationMs, faults, agents } = scenario;
  const mesh = new Mesh({ ...scenario, startMs: startMs + LATER_MS });
  mesh.queue.runUntil(startMs + LATER_MS);
  mesh.advance();
  mesh.tally.reset();
  const recorder = new Recorder({ relays: mesh.relays, sites: mesh.sites, tally: mesh.tally }, { agents: agents.count });
  for (const atMs of sampleTimes(startMs, durationMs, faults.map(({ atMs }) => atMs))) mesh.queue.at(atMs + LATER_MS, () => (mesh.advance(), recorder.take(atMs)));
  const phases: Phase[] = [];
  let fromMs = startMs;
  let struck: readonly Fault[] = [];
  for (const toMs of [...new Set(faults.map(({ atMs }) => atMs)), startMs + durationMs].sort((a, b) => a - b)) {
    const before = countsOf(mesh);
    const from = recorder.samples.length;
    for (const relay of mesh.relays) relay.peakClients = relay.clients;
    for (const fault of struck) strike(mesh, fault);
    mesh.queue.runUntil(toMs + LATER_MS);
    mesh.advance();
    phases.push(phaseOf(mesh, { fromMs, toMs, faults: struck, samples: recorder.samples.slice(from), before }));
    fromMs = toMs;
    struck = faults.filter(({ atMs }) => atMs === toMs);
  }
  return outcomeOf(mesh, scenario, recorder.samples, phases);
}
