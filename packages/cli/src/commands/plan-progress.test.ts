import { afterEach, expect, test, vi } from 'vitest';
import { planProgressLine, planProgressText } from './plan-progress.ts';

const at = (atMs: number) => ({ startMs: 30_600_000, atMs, endMs: 34_200_000 });

afterEach(() => vi.restoreAllMocks());

test('which number of servers is tried, and how far its day is', () => {
  expect(planProgressText(at(30_000_000), 1)).toBe('1 server at each site: clients start ...');
  expect(planProgressText(at(32_465_000), 4)).toBe('4 servers at each site: 09:01, until 09:30 ...');
  expect(planProgressText({ startMs: 0, atMs: 60_000, endMs: 122_400_000 })).toBe('00:01, until 34:00 ...');
});

test('where lines cannot be overwritten there is one every ten seconds, and none of a plan that takes less', () => {
  const written: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  let nowMs = 5;
  const line = planProgressLine(() => nowMs);
  for (; nowMs < 25_000; nowMs += 100) line.show(at(30_600_000 + nowMs * 60), 2);
  line.end();
  expect(written).toEqual(['2 servers at each site: 08:40, until 09:30 ...\n', '2 servers at each site: 08:50, until 09:30 ...\n']);
});
