import type { Figure } from '../figure.ts';
import { type Figure as ManagerFigure, managerFigures } from '../manager.ts';
import type { Bench, FigureGroup } from './bench.ts';

/** Of each of its measurements. */
const QUICK_SECONDS = 0.4;

/** Each of ours by the name that manager.ts measures it under: rates for each second of the manager's own CPU. */
const RATES: Readonly<Record<string, string>> = {
  'manager.new_devices_per_s.full': 'manager.new_per_cpu_second',
  'manager.new_devices_per_s.resumed': 'manager.resumed_per_cpu_second',
  'manager.renewals_per_s': 'manager.renewal_per_cpu_second',
};
const ANSWER_TIMES = /^manager\.(\w+)_answer_p99$/u;

/** What one manager can do (manager.ts): on one core, and how long an answer takes at half of the target's rate. */
export const manager: FigureGroup = {
  names: [...Object.keys(RATES), 'manager.answer_p99'],
  async measure({ isQuick }: Bench) {
    const measured = await managerFigures({ quick: isQuick, ...(isQuick ? { seconds: QUICK_SECONDS } : {}) });
    const rates = Object.entries(RATES).flatMap(([name, source]) => measured.filter((each) => each.name === source).map((each) => figure(name, each)));
    const times = measured.filter(({ name }) => ANSWER_TIMES.test(name));
    const slowest = times.toSorted((a, b) => b.ours - a.ours)[0];
    return slowest === undefined ? rates : [...rates, figure('manager.answer_p99', slowest)];
  },
};

function figure(name: string, { ours, unit }: ManagerFigure): Figure {
  return { name, unit, values: { ours } };
}
