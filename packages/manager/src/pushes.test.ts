import { beforeEach, expect, test } from 'vitest';
import type { AgentSession } from './agent-session.ts';
import { Pushes } from './pushes.ts';

interface FakeAgent {
  relay: string;
  closed: boolean;
}

let agents: FakeAgent[];
let moved: number[];
let seed: number;
const random = (): number => {
  seed = (seed * 16_807) % 2_147_483_647;
  return seed / 2_147_483_647;
};

beforeEach(() => {
  agents = Array.from({ length: 100 }, (_, index) => ({ relay: index % 2 === 0 ? 's1' : 's2', closed: false }));
  moved = [];
  seed = 7;
});

function makePushes(perSecond: number): Pushes {
  const move = (agent: AgentSession): void => {
    moved.push(agents.indexOf(agent as unknown as FakeAgent));
    agent.relay = 's3';
  };
  return new Pushes({ random, move }, { perSecond });
}

const leave = (pushes: Pushes, relay: string): number => pushes.leave(relay, agents as unknown as AgentSession[]);

test('only the agents of the relay, so many a second, in no order', () => {
  const pushes = makePushes(50);
  expect(leave(pushes, 's1')).toBe(50);
  pushes.tick();
  expect(moved.length).toBe(5);
  for (let tick = 1; tick < 10; tick += 1) pushes.tick();
  expect(moved.length).toBe(50);
  expect(pushes.pending).toBe(0);
  expect(moved.every((index) => index % 2 === 0)).toBe(true);
  expect(moved).not.toEqual(moved.toSorted((a, b) => a - b));
  expect(moved).not.toEqual(moved.toSorted((a, b) => b - a));
});

test('less than one a tick adds up; a pause does not', () => {
  const pushes = makePushes(5);
  leave(pushes, 's1');
  for (let tick = 0; tick < 20; tick += 1) pushes.tick();
  expect(moved.length).toBe(10);
  const fresh = makePushes(50);
  for (let tick = 0; tick < 100; tick += 1) fresh.tick();
  moved = [];
  leave(fresh, 's2');
  fresh.tick();
  expect(moved.length).toBe(5);
});

test('who has gone or moved meanwhile is passed over and costs nothing', () => {
  const pushes = makePushes(50);
  leave(pushes, 's1');
  agents.forEach((agent, index) => {
    if (index % 4 === 0) agent.closed = true;
    else if (index >= 20) agent.relay = 's2';
  });
  for (let tick = 0; tick < 3; tick += 1) pushes.tick();
  expect(moved.toSorted((a, b) => a - b)).toEqual([2, 6, 10, 14, 18]);
  expect(pushes.pending).toBe(0);
});

test('a relay that is used again keeps who is left', () => {
  const pushes = makePushes(50);
  leave(pushes, 's1');
  pushes.tick();
  pushes.stay('s1');
  for (let tick = 0; tick < 20; tick += 1) pushes.tick();
  expect(moved.length).toBe(5);
});

test('two relays at once share the pace', () => {
  const pushes = makePushes(50);
  leave(pushes, 's1');
  leave(pushes, 's2');
  pushes.tick();
  expect(moved.length).toBe(5);
  for (let tick = 1; tick < 20; tick += 1) pushes.tick();
  expect(moved.length).toBe(100);
});
