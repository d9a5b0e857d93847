import { expect, test } from 'vitest';
import { adviceOn, heaviest, STATE_WORDS, worstFirst } from './relay-advice.ts';
import { shownRelay } from './testing/shown-site.ts';

const inspection = { scanners: 2, scannersUp: 2, clean: 0, infected: 0, unscannable: 0, uninspected: 0 };
const order = { drain: true, weight: null, by: 'ann', at: 0 };

test('the worst is first, one without a scanner before one that has all, then by name', () => {
  const states = ['up', 'draining', 'full', 'overloaded', 'stale', 'down'] as const;
  const relays = [
    ...states.map((state, index) => shownRelay({ name: `s${index}`, state })),
    shownRelay({ name: 's10' }),
    shownRelay({ name: 's9', inspection: { ...inspection, scannersUp: 1 } }),
    shownRelay({ name: 's2b' }),
  ];
  expect(worstFirst(relays).map(({ name }) => name)).toEqual(['s5', 's4', 's3', 's2', 's1', 's9', 's0', 's2b', 's10']);
});

test('each state that is not up says what to do next', () => {
  expect(adviceOn(shownRelay())).toBeNull();
  for (const state of Object.keys(STATE_WORDS) as (keyof typeof STATE_WORDS)[])
    expect(adviceOn(shownRelay({ state })) === null, state).toBe(state === 'up');
  expect(adviceOn(shownRelay({ state: 'down', reason: 'ECONNREFUSED' }))).toMatch(/On 192\.0\.2\.11: .*log/u);
  expect(adviceOn(shownRelay({ state: 'down', reason: 'unable: DNS does not answer' }))).toMatch(/says what it lacks/u);
  expect(adviceOn(shownRelay({ state: 'draining', override: order }))).toMatch(/sekisho table undrain s1/u);
  expect(adviceOn(shownRelay({ state: 'draining', override: { ...order, drain: false, weight: 0 } }))).toMatch(/sekisho table weight s1/u);
  expect(adviceOn(shownRelay({ state: 'draining' }))).toMatch(/told to stop/u);
});

test('the advice on an overload is about what is exhausted, which sessions are not', () => {
  const idle = { loadPerCore: 0, hottestCore: 0, loopDelay: 0, bytesPerSecond: 0, sessions: 0.99 };
  const overloaded = (load: Partial<typeof idle>) => adviceOn(shownRelay({ state: 'overloaded', load: { ...idle, ...load } }));
  expect(overloaded({ bytesPerSecond: 0.98 })).toMatch(/line is full/u);
  expect(overloaded({ loadPerCore: 0.98 })).toMatch(/CPU is busy/u);
  expect(overloaded({ hottestCore: 0.98 })).toMatch(/One core/u);
  expect(overloaded({ loopDelay: 0.98 })).toMatch(/no CPU in time/u);
  expect(heaviest(shownRelay({ load: idle }))).toBe('sessions');
  expect(heaviest(shownRelay({ load: null }))).toBeNull();
});

test('a missing scanner is told with its reason, also beside a state, but not of a relay that is gone', () => {
  const missing = { ...inspection, scannersUp: 1, why: 'unix:/run/clamd: refused' };
  expect(adviceOn(shownRelay({ inspection: missing }))).toMatch(/^1 of 2 scanners.*unix:\/run\/clamd: refused.*other/u);
  expect(adviceOn(shownRelay({ inspection: { ...missing, scannersUp: 0 } }))).toMatch(/^No scanner answers.*onUnscannable/u);
  expect(adviceOn(shownRelay({ state: 'full', inspection: missing }))).toMatch(/sessions by state.*1 of 2 scanners/u);
  expect(adviceOn(shownRelay({ state: 'down', inspection: missing }))).not.toMatch(/scanner/u);
});
