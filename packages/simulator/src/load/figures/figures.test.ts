import { expect, test } from 'vitest';
import type { WorkerOutcome } from '../messages.ts';
import { Ledger } from './ledger.ts';
import { loadResult, type ResultInit } from './load-result.ts';
import { Tally } from './tally.ts';
import { Timeline } from './timeline.ts';

function outcome(worker: number, fill: (tally: Tally, ledger: Ledger) => void): WorkerOutcome {
  const tally = new Tally();
  const ledger = new Ledger({ worker });
  fill(tally, ledger);
  return { tally: tally.parts(), ledger: ledger.parts(), clientRates: Float64Array.of(100 * (worker + 1), 1000) };
}

const init = (outcomes: WorkerOutcome[]): ResultInit => ({
  startedAt: new Date(0),
  interrupted: false,
  conditions: {},
  measuredSeconds: 2,
  warmUpSeconds: 1,
  hasClients: true,
  outcomes,
  usage: [{ name: 'relay', cpuSeconds: 0.5, residentBytes: { start: 1, max: 3, end: 2 }, processes: 1 }],
  perSecond: [],
});

test('processes add up; figures are of the time that was measured, errors and mails of all of it', () => {
  const result = loadResult(
    init([
      outcome(0, (tally, ledger) => {
        tally.completed(900);
        tally.failed({ code: 'reset', stage: 'final' });
        tally.measuring = true;
        for (const us of [1000, 3000]) tally.time('timeToRelay', us);
        tally.completed(5000);
        tally.bytes('up', 1_500_000);
        tally.mail('up');
        ledger.accepted(ledger.send());
      }),
      outcome(1, (tally, ledger) => {
        tally.measuring = true;
        tally.time('timeToRelay', 2000);
        for (let session = 0; session < 3; session += 1) tally.completed(1000);
        tally.bytes('down', 500_000);
        tally.failed({ code: 'reset', stage: 'final' });
        tally.failed({ code: 'refused_temporary', stage: 'greeting', refusal: 'FULL' });
        tally.direct('managers_silent');
        ledger.stored(0, 0);
      }),
    ]),
  );
  expect(result).toMatchObject({
    ok: true,
    sessions: { completed: 4, failed: 2, perSecond: 2 },
    inAll: { completed: 5, failed: 3 },
    mails: { sent: 1, fetched: 0 },
    throughput: { upBytesPerSecond: 750_000, downBytesPerSecond: 250_000, perClientBytesPerSecond: { min: 100, p50: 1000, max: 1000 } },
    errors: [{ code: 'reset', stage: 'final', count: 2 }, { code: 'refused_temporary', stage: 'greeting', count: 1 }],
    refusals: [{ code: 'FULL', count: 1 }],
    direct: [{ reason: 'managers_silent', count: 1 }],
    processes: [{ name: 'relay', cpuSecondsPerThousandSessions: 125, cpuSecondsPerGB: 250 }],
    ledger: { up: { lost: 0, stored: 1 } },
  });
  expect(result.phases.timeToRelay).toMatchObject({ count: 3, mean: 2, max: 3 });
  expect(result.phases.relay).toBeNull();
});

test('a mail that is lost, altered or stored twice makes the run a failure', () => {
  const ok = (fill: (ledger: Ledger) => void): boolean => loadResult(init([outcome(0, (_, ledger) => fill(ledger))])).ok;
  expect(ok((ledger) => ledger.accepted(ledger.send()))).toBe(false);
  expect(ok((ledger) => (ledger.altered = 1))).toBe(false);
  expect(ok((ledger) => (ledger.fetchedAltered = 1))).toBe(false);
  expect(
    ok((ledger) => {
      ledger.stored(0, ledger.send());
      ledger.stored(0, 0);
    }),
  ).toBe(false);
  expect(ok((ledger) => ledger.stored(0, ledger.send()))).toBe(true);
});

test('without sessions there is nothing to divide by', () => {
  const [relay] = loadResult(init([outcome(0, () => {})])).processes;
  expect(relay).toMatchObject({ cpuSecondsPerThousandSessions: null, cpuSecondsPerGB: null });
  expect(loadResult({ ...init([]), hasClients: false }).throughput.perClientBytesPerSecond).toBeNull();
});

test('the curve is that of all processes; a second has its own quantiles', () => {
  const timeline = new Timeline();
  const sample = (second: number, us: readonly number[], active: number) => {
    const tally = new Tally();
    for (const value of us) {
      tally.time('timeToRelay', value);
      tally.completed(value);
    }
    tally.bytes('up', 10);
    return tally.takeSample(second, active);
  };
  timeline.add(sample(0, [1000], 2));
  timeline.add(sample(1, [4000], 3));
  timeline.add(sample(0, [3000, 5000], 4));
  timeline.addCpu(0, { relay: 0.25 });
  expect(timeline.at(0)).toMatchObject({ sessions: 3, active: 6, bytesUp: 20, cpu: { relay: 0.25 } });
  for (let second = 2; second < 40; second += 1) timeline.add(sample(second, [], 0));
  const all = timeline.all();
  expect(all.map(({ second }) => second)).toEqual(Array.from({ length: 40 }, (_, second) => second));
  expect(all[0]).toMatchObject({ sessions: 3, timeToRelayMs: { max: 5 } });
  expect(all[0]?.timeToRelayMs?.p50).toBeCloseTo(3, 1);
  expect(all[2]).toMatchObject({ timeToRelayMs: null, cpu: {} });
});

test('a sample takes what happened since the last one', () => {
  const tally = new Tally();
  tally.completed(10);
  tally.failed({ code: 'silent', stage: 'commands' });
  expect(tally.takeSample(0, 1)).toMatchObject({ sessions: 1, failed: 1 });
  expect(tally.takeSample(1, 1)).toMatchObject({ sessions: 0, failed: 0 });
});
