import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { EICAR } from '../../../../test/kit/clamd.ts';
import { textMail } from '../../../../test/kit/mails.ts';
import { eicarAtTheEnd, infectedMails } from '../../../../test/kit/virus-mails.ts';
import { CLEAN, cleanUp, INFECTED, poolOf, QUICK, realPair } from '../../test/scanner-pool-rig.ts';
import { sourceOf } from '../../test/scan-source.ts';
import type { ScanSource } from './scanner.ts';

/** A pair of real clamd, and what can become of one. */

afterEach(cleanUp);

const timeoutMs = 5000;

/** The first reader gets to the middle, and there waits for what is done to its scanner. */
function sourceWithEventInTheMiddle(content: Buffer, event: () => unknown): ScanSource {
  let isFirst = true;
  return {
    bytes: content.length,
    async *chunks() {
      const middle = content.length >> 1;
      yield* sourceOf(content.subarray(0, middle)).chunks();
      const wasFirst = isFirst;
      isFirst = false;
      if (wasFirst) await event();
      yield* sourceOf(content.subarray(middle)).chunks();
    },
  };
}

test('every mail gets its verdict', async () => {
  const pool = await poolOf(await realPair());
  const mails = [...infectedMails(1, 1_000_000).map(({ raw }) => ({ raw, verdict: INFECTED })), { raw: textMail(1).raw, verdict: CLEAN }];
  for (const { raw, verdict } of mails) expect(await pool.scan(sourceOf(raw), { timeoutMs })).toEqual(verdict);
});

test('one is killed in the middle of a message: the other one gets the whole of it', async () => {
  const pair = await realPair();
  const pool = await poolOf(pair);
  const event = async (): Promise<void> => {
    const working = pool.status().findIndex(({ inFlight }) => inFlight > 0);
    await pair[working]?.kill();
  };
  const { raw } = eicarAtTheEnd(1, 2_000_000);
  expect(await pool.scan(sourceWithEventInTheMiddle(raw, event), { timeoutMs })).toEqual(INFECTED);
  expect(pair.filter(({ address }) => pool.status().some((status) => status.address === address && status.inFlight > 0))).toEqual([]);
});

test('one is paused while mail flows: every verdict is right and none waits for long', async () => {
  const pair = await realPair();
  const pool = await poolOf(pair, { timings: QUICK });
  const virus = Buffer.from(EICAR);
  let longestMs = 0;
  async function scan(index: number): Promise<void> {
    const isInfected = index % 3 === 0;
    const started = performance.now();
    const result = await pool.scan(sourceOf(isInfected ? virus : textMail(index, 300_000).raw), { timeoutMs: 10_000 });
    longestMs = Math.max(longestMs, performance.now() - started);
    expect(result).toEqual(isInfected ? INFECTED : CLEAN);
  }
  const flow: Promise<void>[] = [];
  for (let index = 0; index < 60; index += 1) {
    if (index === 20) pair[0].pause();
    flow.push(scan(index));
    await sleep(5);
  }
  await Promise.all(flow);
  expect(pool.status().map(({ up }) => up)).toEqual([false, true]);
  // Long before a third of the time: it went down and its messages were taken elsewhere.
  expect(longestMs).toBeLessThan(2500);
  pair[0].resume();
  await expect.poll(() => pool.status().map(({ up }) => up)).toEqual([true, true]);
});

test('both killed: scanner_down at once; one back: verdicts', async () => {
  const pair = await realPair();
  const pool = await poolOf(pair, { timings: QUICK });
  await Promise.all(pair.map((clamd) => clamd.kill()));
  const first = await pool.scan(sourceOf(EICAR), { timeoutMs });
  expect(first).toMatchObject({ kind: 'unscannable', cause: 'scanner_down' });
  expect((first as { detail: string }).detail).toMatch(/^unix:\S+: no connection: ECONNREFUSED; unix:\S+: no connection: ECONNREFUSED$/u);
  await expect.poll(() => pool.status().map(({ up }) => up)).toEqual([false, false]);
  expect(await pool.scan(sourceOf(EICAR), { timeoutMs })).toEqual({ kind: 'unscannable', cause: 'scanner_down', detail: 'no scanner is up' });
  await pair[1].restart();
  await expect.poll(() => pool.status()[1]?.up).toBe(true);
  expect(await pool.scan(sourceOf(EICAR), { timeoutMs })).toEqual(INFECTED);
});

test('both reload while mail flows: nobody notices', async () => {
  const pair = await realPair();
  const pool = await poolOf(pair, { timings: QUICK });
  const scans = Array.from({ length: 40 }, (_, index) => pool.scan(sourceOf(eicarAtTheEnd(index, 100_000).raw), { timeoutMs }));
  await Promise.all(pair.map((clamd) => clamd.reload()));
  expect(new Set((await Promise.all(scans)).map(({ kind }) => kind))).toEqual(new Set(['infected']));
  expect(pool.status().map(({ up }) => up)).toEqual([true, true]);
});

test('too big for one is asked of the other, too big for both is too big; nobody is down for it', async () => {
  const pool = await poolOf(await realPair({ StreamMaxLength: '1M' }, { StreamMaxLength: '4M' }));
  for (let times = 0; times < 4; times += 1) expect(await pool.scan(sourceOf(eicarAtTheEnd(1, 2_000_000).raw), { timeoutMs })).toEqual(INFECTED);
  const both = await pool.scan(sourceOf(eicarAtTheEnd(1, 6_000_000).raw), { timeoutMs });
  expect(both).toMatchObject({ kind: 'unscannable', cause: 'too_big' });
  expect(pool.status().map(({ up }) => up)).toEqual([true, true]);
});
