// What a pick costs: node bench/scheduler.ts
import { RelayTable, type LoadReport, type Policy } from '../packages/scheduler/src/index.ts';

const PICKS = 1_000_000;
const REPORT_EVERY = 1_000;
const ROUNDS = 3;

let nowMs = 0;
let seed = 1;
const components = {
  clock: () => nowMs,
  random: () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 0x1_0000_0000;
  },
  onTransition: () => {},
};

function report(sessions: number): LoadReport {
  return {
    loadPerCore: components.random(),
    hottestCore: components.random() * 0.8,
    loopDelayMs: 2,
    sessions,
    maxSessions: 10_000,
    bytesPerSecond: 1e6,
    bytesPerSecondLimit: 1e8,
    draining: false,
    unable: null,
  };
}

/** Nanoseconds a pick; every relay reports once in `REPORT_EVERY` picks, which is part of the cost. */
function measure(relays: number, policy: Policy, renewal: boolean): number {
  const names = Array.from({ length: relays }, (_, index) => `relay-${index}`);
  const table = new RelayTable(components, { relays: names, settings: { policy } });
  for (const name of names) table.report(name, report(0));
  const started = process.hrtime.bigint();
  for (let i = 0; i < PICKS; i += 1) {
    if (i % REPORT_EVERY === 0) {
      nowMs += 1_000;
      for (const name of names) table.report(name, report(i % 5_000));
      table.tick();
    }
    const prefer = names[i % relays] ?? '';
    table.pick(renewal ? { count: 2, prefer } : { count: 2 });
  }
  return Number(process.hrtime.bigint() - started) / PICKS;
}

for (const relays of [5, 32]) {
  for (const policy of ['least-load', 'weighted'] as const) {
    for (const renewal of [false, true]) {
      const best = Math.min(...Array.from({ length: ROUNDS }, () => measure(relays, policy, renewal)));
      const what = `${relays} relays, ${policy}, ${renewal ? 'renewal' : 'new agent'}`;
      console.log(`${what.padEnd(36)} ${best.toFixed(0).padStart(5)} ns   ${Math.round(1e9 / best).toLocaleString('en')} a second`);
    }
  }
}
