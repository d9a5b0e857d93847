import { expect, test } from 'vitest';
import { Watch } from './watch.ts';

const fault = { kind: 'siteDown', site: 'a', how: 'silent', atMs: 500 } as const;

test('those that have to go: when half, 90 %, 99 % and all of them have', () => {
  const place = new Map<number, boolean>();
  const watch = new Watch({ fault, nowMs: 1000, met: Array.from({ length: 200 }, (_, agent) => agent), isThere: (agent) => place.get(agent) === true });
  for (let agent = 0; agent < 200; agent += 1) {
    watch.look(agent, 1000 + agent);
    place.set(agent, true);
    watch.look(agent, 1000 + 10 * (agent + 1));
    watch.look(agent, 99_999);
    if (agent === 198) expect(watch.result().all).toBeNull();
  }
  watch.look(777, 1001);
  expect(watch.result()).toMatchObject({ agents: 200, half: 1000, p90: 1800, p99: 1980, all: 2000 });
  expect(watch.isOver).toBe(true);
  expect(watch.result().curve.length).toBeLessThanOrEqual(100);
  expect(watch.result().curve.at(-1)).toBe(2000);
});

test('those that come to something new: each once', () => {
  const watch = new Watch({ fault, nowMs: 0, met: undefined, isThere: (agent) => agent < 4 });
  for (const agent of [0, 1, 9, 1, 2, 3, 0]) watch.look(agent, 10 * (agent + 1));
  expect(watch.result()).toMatchObject({ agents: 4, half: 20, all: 40 });
  expect(watch.isOver).toBe(false);
  expect(new Watch({ fault, nowMs: 0, met: [], isThere: () => true }).result()).toMatchObject({ agents: 0, half: null, all: null });
});
