import { expect, test, vi } from 'vitest';
import { History, type HistorySample, MAX_HISTORY_STEPS } from './history.ts';

const sample = (sessions: number, state: HistorySample['state'] = 'up'): HistorySample => ({ name: 's1', state, sessions, score: 0.25 });

test('the hour is a ring: the oldest samples go, and the numbers go on', () => {
  const history = new History({ relays: ['s1'], stepMs: 10_000 });
  expect(history.since(0)).toMatchObject({ first: 0, next: 0, at: null, relays: { s1: { sessions: [] } } });
  for (let number = 0; number < MAX_HISTORY_STEPS + 5; number += 1) history.sample(number * 10_000, [sample(number)]);
  const whole = history.since(0);
  expect(whole).toMatchObject({ stepMs: 10_000, first: 5, next: MAX_HISTORY_STEPS + 5, at: (MAX_HISTORY_STEPS + 4) * 10_000 });
  expect(whole.relays['s1']?.sessions).toEqual(Array.from({ length: MAX_HISTORY_STEPS }, (_, index) => index + 5));
});

test('who has a part gets the rest; who asks for what is gone, or never was, gets all', () => {
  const history = new History({ relays: ['s1'], stepMs: 1 });
  for (let number = 0; number < 4; number += 1) history.sample(number, [sample(number)]);
  expect(history.since(3).relays['s1']?.sessions).toEqual([3]);
  expect(history.since(4)).toMatchObject({ first: 4, next: 4, relays: { s1: { states: [], sessions: [] } } });
  for (const from of [5, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) expect(history.since(from).first, String(from)).toBe(0);
});

test('whoever asks how often: the whole hour is put together once a sample, and the rest is small', () => {
  const history = new History({ relays: ['s1'], stepMs: 1 });
  for (let number = 0; number < 100; number += 1) history.sample(number, [sample(number)]);
  expect([88, 87, 1, 0].map((from) => history.since(from).first)).toEqual([88, 0, 0, 0]);
  expect(JSON.parse(history.json(99))).toEqual(history.since(99));
  const hour = history.json(0);
  expect(JSON.parse(hour)).toEqual(history.since(0));
  const made = vi.spyOn(history, 'since');
  for (const from of [0, 1, 50, Number.NaN]) expect(history.json(from)).toBe(hour);
  expect(made).not.toHaveBeenCalled();
  history.sample(100, [sample(100)]);
  expect(JSON.parse(history.json(0))).toMatchObject({ next: 101 });
});

test('a relay that is not heard leaves a gap, with its state', () => {
  const history = new History({ relays: ['s1'], stepMs: 1 });
  history.report('s1', 1234.5678);
  history.report('stranger', 1);
  for (const state of ['up', 'stale', 'down', 'draining'] as const) history.sample(0, [sample(7, state)]);
  expect(history.since(0).relays).toEqual({
    s1: {
      states: ['up', 'stale', 'down', 'draining'],
      sessions: [7, null, null, 7],
      load: [0.25, null, null, 0.25],
      bytesPerSecond: [1234.568, null, null, 1234.568],
    },
  });
  expect([history.rate('s1'), history.rate('stranger')]).toEqual([1234.5678, null]);
});
