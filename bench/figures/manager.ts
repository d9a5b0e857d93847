import type { Figure } from '../figure.ts';
import { type Figure as ManagerFigure, managerFigures } from '../manager.ts';
import type { Bench, FigureGroup } from './bench.ts';

/** Each of ours by the name that manager.ts measures it under: rates for each second of the manager's own CPU. */
const RATES: Readonly<Record<string, string>> = {
  'manager.new_devices_per_s.full': 'manager.new_per_cpu_second',
  'manager.new_devices_per_s.resumed': 'manager.resumed_per_cpu_second',
  'manager.renewals_per_s': 'manager.renewal_per_cpu_second',
};
/** Of each of its measurements; in less not every device has had a session that it can resume. */
const QUICK_SECONDS = 1;
const MIN_RESUMED = 0.95;
const ANSWER_TIMES = /^manager\.(\w+)_answer_p99$/u;

/** What one manager can do (manager.ts): on one core, and how long an answer takes at half of the target's rate. */
export const manager: FigureGroup = {
  names: [...Object.keys(RATES), 'manager.answer_p99'],
  async measure(bench: Bench) {
    const measured = await managerFigures({ quick: bench.isQuick, ...(bench.isQuick ? { seconds: QUICK_SECONDS } : {}) });
    noteFlaws(bench, measured);
    const rates = Object.entries(RATES).flatMap(([name, source]) => measured.filter((each) => each.name === source).map((each) => figure(name, each)));
    const times = measured.filter(({ name }) => ANSWER_TIMES.test(name));
    const slowest = times.toSorted((a, b) => b.ours - a.ours)[0];
    return slowest === undefined ? rates : [...rates, figure('manager.answer_p99', slowest)];
  },
};

/** What would make the figures mean something else. */
function noteFlaws(bench: Bench, measured: readonly ManagerFigure[]): void {
  const resumed = measured.find(({ name }) => name === 'manager.resumed_resumed_share')?.ours ?? 0;
  if (resumed < MIN_RESUMED) bench.note(`only ${(100 * resumed).toFixed(0)} % of the manager's resumed connections were resumed`);
  for (const { name, ours } of measured.filter((each) => each.name.endsWith('_failed') && each.ours > 0)) bench.note(`${name}: ${ours}`);
}

function figure(name: string, { ours, unit }: ManagerFigure): Figure {
  return { name, unit, values: { ours } };
}
