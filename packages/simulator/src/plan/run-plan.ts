import { strike } from './faults.ts';
import { Mesh } from './mesh.ts';
import { countsOf, outcomeOf, type Phase, phaseOf, type PlanOutcome } from './outcome.ts';
import { Recorder, sampleTimes } from './recorder.ts';
import { checkScenario, type Fault, type PlanScenario } from './scenario.ts';

/**
 * Runs a mesh through its day. The same scenario gives the same outcome, to the last digit.
 * @throws PlanError for a scenario that is impossible or too large
 */
export function runPlan(scenario: PlanScenario): PlanOutcome {
  checkScenario(scenario);
  const mesh = new Mesh(scenario);
  const { startMs, durationMs, faults } = scenario;
  mesh.queue.runUntil(startMs);
  mesh.tally.reset();
  const recorder = new Recorder({ ...mesh, agents: scenario.agents.count });
  for (const atMs of sampleTimes(startMs, durationMs, faults.map(({ atMs }) => atMs))) mesh.queue.at(atMs, () => recorder.take(atMs));
  const phases: Phase[] = [];
  let fromMs = startMs;
  let struck: readonly Fault[] = [];
  for (const atMs of [...new Set(faults.map((fault) => fault.atMs)), startMs + durationMs].sort((a, b) => a - b)) {
    const before = countsOf(mesh);
    const from = recorder.samples.length;
    mesh.resetPeaks();
    for (const fault of struck) strike(mesh, fault);
    mesh.queue.runUntil(atMs);
    phases.push(phaseOf(mesh, { fromMs, faults: struck, samples: recorder.samples.slice(from), before }));
    fromMs = atMs;
    struck = faults.filter((fault) => fault.atMs === atMs);
  }
  return outcomeOf(mesh, scenario, recorder.samples, phases);
}
