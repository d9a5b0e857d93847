import { expect, test } from 'vitest';
import { FakeSite, report } from '../test/fake-site.ts';

const HOT = { loadPerCore: 2.2 };
const WARM = { loadPerCore: 1.9 };
const COOL = { loadPerCore: 1.6 };

function site(settings = {}): FakeSite {
  const made = new FakeSite('a, b', settings);
  made.secondOfAll();
  return made;
}

test('before its first report a relay is down, with it it is up, without slow start', () => {
  const fresh = new FakeSite('a');
  expect(fresh.row('a')).toMatchObject({ state: 'down', reason: 'not reported yet', load: null, reportAgeMs: null });
  expect(fresh.table.pick({ count: 1 })).toMatchObject({ relays: [], reason: 'none' });
  fresh.secondOfAll();
  expect(fresh.row('a')).toMatchObject({ state: 'up', weight: { effective: 1 } });
  expect(fresh.transitions).toEqual([{ relay: 'a', from: 'down', to: 'up', reason: 'reports are good', at: fresh.nowMs }]);
});

test('it falls with the third failure in a row and rises with the second good report', () => {
  const s = site();
  s.table.probeFailed('a', 'no answer in 1000 ms');
  s.table.probeFailed('a', 'no answer in 1000 ms');
  s.table.report('a', report());
  s.table.probeFailed('a', 'no answer in 1000 ms');
  s.table.probeFailed('a', 'no answer in 1000 ms');
  expect(s.state('a')).toBe('up');
  s.table.probeFailed('a', 'connection refused');
  expect(s.row('a')).toMatchObject({ state: 'down', reason: 'connection refused' });
  s.table.report('a', report());
  expect(s.state('a')).toBe('down');
  s.table.probeFailed('a', 'connection refused');
  s.table.report('a', report());
  expect(s.state('a')).toBe('down');
  s.table.report('a', report());
  expect(s.state('a')).toBe('up');
});

test('a relay that failed before its first report has to rise like any other', () => {
  const s = new FakeSite('a');
  for (let i = 0; i < 3; i += 1) s.table.probeFailed('a', 'refused');
  s.secondOfAll();
  expect(s.row('a')).toMatchObject({ state: 'down', reason: 'refused' });
  s.secondOfAll();
  expect(s.row('a').state).toBe('up');
  expect(s.row('a').weight.effective).toBeLessThan(1);
});

test('silence makes it stale, long silence down; one report ends staleness', () => {
  const s = site();
  for (let i = 0; i < 3; i += 1) s.second({ b: {} });
  expect(s.state('a')).toBe('up');
  s.second({ b: {} });
  expect(s.row('a')).toMatchObject({ state: 'stale', reason: 'no report for 3000 ms', reportAgeMs: 4_000 });
  s.secondOfAll();
  expect(s.row('a')).toMatchObject({ state: 'up', weight: { effective: 1 } });
  for (let i = 0; i < 11; i += 1) s.second({ b: {} });
  expect(s.row('a')).toMatchObject({ state: 'down', reason: 'no report for 10000 ms' });
  s.secondOfAll();
  expect(s.state('a')).toBe('down');
  s.secondOfAll();
  expect(s.state('a')).toBe('up');
});

test.each([
  ['load per core', { loadPerCore: 2 }, 'loadPerCore at 100 % of its limit'],
  ['hottest core', { hottestCore: 0.96 }, 'hottestCore at 101 % of its limit'],
  ['loop delay', { loopDelayMs: 300 }, 'loopDelay at 150 % of its limit'],
  ['bytes', { bytesPerSecond: 11, bytesPerSecondLimit: 10 }, 'bytesPerSecond at 110 % of its limit'],
])('two reports in a row at the limit are an overload: %s', (_what, figures, reason) => {
  const s = site();
  s.second({ a: figures, b: {} });
  expect(s.state('a')).toBe('up');
  s.second({ a: figures, b: {} });
  expect(s.row('a')).toMatchObject({ state: 'overloaded', reason });
});

test('one spike is no overload', () => {
  const s = site();
  for (const figures of [HOT, COOL, HOT, WARM, HOT]) s.second({ a: figures, b: {} });
  expect(s.state('a')).toBe('up');
});

test('an overloaded relay is back after two reports in a row below the limit by the margin', () => {
  const s = site();
  s.second({ a: HOT, b: {} });
  s.second({ a: HOT, b: {} });
  for (const figures of [WARM, WARM, WARM, COOL, WARM, COOL]) {
    s.second({ a: figures, b: {} });
    expect(s.state('a')).toBe('overloaded');
  }
  s.second({ a: COOL, b: {} });
  expect(s.state('a')).toBe('up');
});

test('it is full at its cap and back with a twentieth free, at full weight', () => {
  const s = site();
  s.second({ a: { sessions: 1_000 }, b: {} });
  expect(s.row('a')).toMatchObject({ state: 'full', reason: '1000 of 1000 sessions' });
  s.second({ a: { sessions: 951 }, b: {} });
  expect(s.state('a')).toBe('full');
  s.second({ a: { sessions: 950 }, b: {} });
  expect(s.row('a')).toMatchObject({ state: 'up', weight: { effective: 1 } });
});

test('without a cap it is never full', () => {
  const s = site();
  s.second({ a: { sessions: 1e6, maxSessions: 0 }, b: {} });
  expect(s.state('a')).toBe('up');
});

test('draining by its own word, by the operator, and by weight 0', () => {
  const s = site();
  s.second({ a: { draining: true }, b: {} });
  expect(s.row('a')).toMatchObject({ state: 'draining', reason: 'the relay says it drains' });
  s.secondOfAll();
  expect(s.state('a')).toBe('up');
  s.table.setOverride('a', { drain: true });
  expect(s.row('a')).toMatchObject({ state: 'draining', reason: 'drained by the operator' });
  s.table.setOverride('a', { weight: 0 });
  expect(s.row('a')).toMatchObject({ state: 'draining', reason: 'weight 0 set by the operator' });
  s.table.setOverride('a', {});
  expect(s.state('a')).toBe('up');
});

test('a drain outlasts death: what comes back drained stays out', () => {
  const s = site();
  s.table.setOverride('a', { drain: true });
  for (let i = 0; i < 3; i += 1) s.table.probeFailed('a', 'refused');
  expect(s.state('a')).toBe('down');
  s.secondOfAll();
  s.secondOfAll();
  expect(s.state('a')).toBe('draining');
});

test('a relay that says it is unable is down at once and has to rise', () => {
  const s = site();
  s.second({ a: { unable: 'destination DNS is dead' }, b: {} });
  expect(s.row('a')).toMatchObject({ state: 'down', reason: 'unable: destination DNS is dead' });
  s.secondOfAll();
  expect(s.state('a')).toBe('down');
  s.secondOfAll();
  expect(s.state('a')).toBe('up');
});

test.each<[string, (s: FakeSite) => void, (s: FakeSite) => void]>([
  ['down', (s) => [1, 2, 3].forEach(() => s.table.probeFailed('a', 'refused')), (s) => (s.secondOfAll(), s.secondOfAll())],
  ['draining', (s) => s.table.setOverride('a', { drain: true }), (s) => s.table.setOverride('a', {})],
  [
    'overloaded',
    (s) => [1, 2].forEach(() => s.second({ a: HOT, b: {} })),
    (s) => (s.secondOfAll(COOL), s.secondOfAll(COOL)),
  ],
])('back from %s the weight rises in a straight line, never back, to the whole', (state, leave, comeBack) => {
  const s = site({ slowStartMs: 20_000, slowStartFloor: 0.05 });
  leave(s);
  expect(s.state('a')).toBe(state);
  comeBack(s);
  expect(s.row('a')).toMatchObject({ state: 'up', weight: { effective: 0.05 } });
  let before = 0;
  for (let second = 1; second <= 22; second += 1) {
    s.secondOfAll();
    const now = s.row('a').weight.effective;
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeCloseTo(Math.min(1, Math.max(0.05, second / 20)));
    before = now;
  }
  expect(before).toBe(1);
});

test('a short silence neither ends a slow start nor begins it again', () => {
  const s = site({ slowStartMs: 20_000 });
  s.table.setOverride('a', { drain: true });
  s.table.setOverride('a', {});
  for (let i = 0; i < 6; i += 1) s.secondOfAll();
  for (let i = 0; i < 4; i += 1) s.second({ b: {} });
  expect(s.state('a')).toBe('stale');
  s.secondOfAll();
  expect(s.row('a')).toMatchObject({ state: 'up' });
  expect(s.row('a').weight.effective).toBeCloseTo(11 / 20);
});

test('a full relay that falls silent stays full: its own word is not distrusted', () => {
  const s = site();
  s.second({ a: { sessions: 1_000 }, b: {} });
  for (let i = 0; i < 5; i += 1) s.second({ b: {} });
  expect(s.state('a')).toBe('full');
});

test('a weight override takes the place of the weight and can be taken back', () => {
  const s = site();
  s.table.setOverride('a', { weight: 4 });
  expect(s.row('a')).toMatchObject({ weight: { configured: 1, override: 4, effective: 4 }, share: 0.8 });
  s.table.setOverride('a', {});
  expect(s.row('a')).toMatchObject({ weight: { override: null, effective: 1 }, share: 0.5 });
  expect(() => s.table.setOverride('a', { weight: -1 })).toThrow(RangeError);
  expect(() => s.table.setOverride('a', { weight: Number.NaN })).toThrow(RangeError);
});

test('a relay the table does not have is said so', () => {
  const s = site();
  expect(s.table.report('x', report())).toBe(false);
  expect(s.table.probeFailed('x', 'refused')).toBe(false);
  expect(s.table.setOverride('x', { drain: true })).toBe(false);
});
