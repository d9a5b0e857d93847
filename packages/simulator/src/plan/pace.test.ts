import { expect, test } from 'vitest';
import { seeded } from '../load/random.ts';
import { EventQueue } from './event-queue.ts';
import { LoadCurve } from './load-curve.ts';
import { Pace } from './pace.ts';
import { siteNamed, smallScenario } from './testing/scenarios.ts';
import { VirtualSite } from './virtual-site.ts';

const HOUR = 3_600_000;

function setUp(isEven = false) {
  const queue = new EventQueue({ startMs: 0 });
  const site = new VirtualSite(
    { random: seeded(1), curve: new LoadCurve(smallScenario().agents) },
    { index: 0, scenario: siteNamed('a'), relays: [], session: { bytes: 1, ms: 1 }, startMs: 0 },
  );
  const looks: number[] = [];
  let passed = 0;
  const pace = new Pace({ queue, look: (_, dtMs) => (looks.push(queue.now), (passed += dtMs)) }, { isEven });
  pace.start(site);
  return { queue, site, pace, looks, passed: () => passed };
}

test('a quiet site is looked at every two minutes, and no time is left out', () => {
  const { queue, looks, passed } = setUp();
  queue.runUntil(HOUR);
  expect(looks.length).toBe(30);
  expect(passed()).toBe(looks.at(-1));
});

test('where something happens, every second for a while, beginning within a second', () => {
  const { queue, site, pace, looks } = setUp();
  queue.at(HOUR + 500, () => pace.stir(site));
  queue.runUntil(2 * HOUR);
  const [first = 0] = looks.filter((atMs) => atMs > HOUR);
  expect(first).toBeLessThanOrEqual(HOUR + 1500);
  expect(looks.filter((atMs) => atMs > HOUR && atMs < HOUR + 60_000).length).toBe(46);
});

test('near a limit every five seconds; evenly every second', () => {
  const near = setUp();
  near.site.lineDemand = 0.8;
  near.queue.runUntil(100_000);
  expect(near.looks.length).toBe(20);
  const even = setUp(true);
  even.queue.runUntil(100_000);
  expect(even.looks.length).toBe(100);
});
