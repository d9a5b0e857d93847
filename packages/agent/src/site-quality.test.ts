import { expect, test } from 'vitest';
import { SiteQuality } from './site-quality.ts';
import { seeded } from './testing/virtual-mesh.ts';

/** So often an idle link is pinged. */
const PING_MS = 5000;

/** Round trips from one time to another; whether the site was to be left, and when. */
function run(quality: SiteQuality, fromMs: number, toMs: number, roundTripMs: (atMs: number) => number, site = 'tokyo-1'): number | undefined {
  for (let atMs = fromMs; atMs < toMs; atMs += PING_MS) if (quality.note(atMs, site, roundTripMs(atMs)) !== undefined) return atMs;
  return undefined;
}

test('a site that always answers like that is not slow, however far away it is', () => {
  for (const roundTripMs of [1, 20, 140, 280, 900]) expect(run(new SiteQuality({ random: () => 0 }), 0, 3_600_000, () => roundTripMs)).toBeUndefined();
});

test('one that is four times slower than it was, and slow enough to be noticed, is left after half of the last half minute', () => {
  const quality = new SiteQuality({ random: () => 0 });
  expect(run(quality, 0, 60_000, () => 20)).toBeUndefined();
  const leftAtMs = run(quality, 60_000, 200_000, () => 400);
  expect(leftAtMs).toBeGreaterThanOrEqual(75_000);
  expect(leftAtMs).toBeLessThanOrEqual(90_000);
  expect(quality.slow(leftAtMs ?? 0)).toEqual({ site: 'tokyo-1', medianMs: 400, bestMs: 20, samples: 6 });
});

test.each([
  ['a second of it', (atMs: number) => (atMs === 60_000 ? 5000 : 20)],
  ['every third round trip', (atMs: number) => (atMs % 15_000 === 0 ? 900 : 20)],
  ['four times of next to nothing', (atMs: number) => (atMs < 60_000 ? 2 : 140)],
  ['three times of much', (atMs: number) => (atMs < 60_000 ? 100 : 300)],
])('not for %s', (_name, roundTripMs) => {
  expect(run(new SiteQuality({ random: () => 0 }), 0, 600_000, roundTripMs)).toBeUndefined();
});

test('what was long ago does not count, and too few are chance', () => {
  const quality = new SiteQuality({ random: () => 0 });
  run(quality, 0, 60_000, () => 20);
  for (const atMs of [61_000, 62_000, 63_000, 64_000]) quality.note(atMs, 'tokyo-1', 900);
  expect(quality.slow(100_000)).toBeUndefined();
  for (const atMs of [100_000, 101_000, 102_000, 103_000]) quality.note(atMs, 'tokyo-1', 900);
  expect(quality.slow(103_000)).toBeUndefined();
  quality.note(104_000, 'tokyo-1', 900);
  expect(quality.slow(104_000)?.samples).toBe(5);
});

test('another site is measured by itself', () => {
  const quality = new SiteQuality({ random: () => 0 });
  run(quality, 0, 60_000, () => 20);
  expect(run(quality, 60_000, 600_000, () => 400, 'osaka-1')).toBeUndefined();
});

test('its agents do not leave it together: about half of them within the first half minute, and those that remain see whether it helped', () => {
  const leftAtMs = Array.from({ length: 1000 }, (_, seed) => {
    const quality = new SiteQuality({ random: seeded(seed) });
    run(quality, (seed % 50) * 100, 60_000, () => 20);
    return run(quality, 60_000 + (seed % 50) * 100, 600_000, () => 400) ?? Number.POSITIVE_INFINITY;
  });
  const within = (ms: number): number => leftAtMs.filter((atMs) => atMs < 60_000 + ms).length;
  expect(within(15_000)).toBe(0);
  expect(within(30_000)).toBeGreaterThan(150);
  expect(within(30_000)).toBeLessThan(450);
  expect(within(180_000)).toBeGreaterThan(950);
});

test('a line that is enough for most of them keeps most of them, and none leaves it once it is quick', () => {
  const agents = Array.from({ length: 300 }, (_, seed) => ({ quality: new SiteQuality({ random: seeded(seed) }), isThere: true, offsetMs: (seed % 50) * 100 }));
  const carries = 220;
  let lastLeftAtMs = 0;
  for (let atMs = 0; atMs < 900_000; atMs += PING_MS) {
    const there = agents.filter(({ isThere }) => isThere);
    // A queue before the line, as soon as more use it than it carries.
    const roundTripMs = atMs >= 60_000 && there.length > carries ? 500 : 20;
    for (const agent of there) {
      if (agent.quality.note(atMs + agent.offsetMs, 'tokyo-1', roundTripMs) === undefined) continue;
      agent.isThere = false;
      lastLeftAtMs = atMs;
    }
  }
  const stayed = agents.filter(({ isThere }) => isThere).length;
  expect(stayed).toBeGreaterThan(100);
  expect(stayed).toBeLessThanOrEqual(carries);
  expect(lastLeftAtMs).toBeLessThan(180_000);
});
