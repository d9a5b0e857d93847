import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { captureLog } from '../../test/captured-log.ts';
import { CLEAN, cleanUp, holdAnswers, poolOf, QUICK, QUIET, scriptedPair } from '../../test/scanner-pool-rig.ts';
import { sourceOf } from '../../test/scan-source.ts';
import type { ScriptedScanner } from '../../test/scripted-scanner.ts';
import type { ScanResult } from './scanner.ts';
import { ScannerPool } from './scanner-pool.ts';

/** Who gets what, and who takes over, with scanners that do as they are told. With real ones: scanner-pool.clamd.test.ts. */

afterEach(cleanUp);

const timeoutMs = 5000;

describe('who gets what', () => {
  test('nobody gets more than his places', async () => {
    const [one, two] = await scriptedPair();
    const pool = await poolOf([one, two], { maxInFlight: 2 });
    const held = [holdAnswers(one), holdAnswers(two)];
    const scans = Array.from({ length: 6 }, (_, index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs }));
    await expect.poll(() => held.map(({ length }) => length)).toEqual([2, 2]);
    await sleep(50);
    expect(held.map(({ length }) => length)).toEqual([2, 2]);
    expect(pool.status().map(({ inFlight }) => inFlight)).toEqual([2, 2]);
    // The places of the second are freed: it gets what waits, in the order of arrival.
    for (const asked of held[1] ?? []) asked.answer('stream: OK');
    await expect.poll(() => held[1]?.length).toBe(4);
    expect(new Set(held[1]?.slice(2).map(({ content }) => content.toString()))).toEqual(new Set(['mail 4', 'mail 5']));
    for (const asked of held.flat()) if (!asked.socket.writableEnded) asked.answer('stream: OK');
    expect(await Promise.all(scans)).toEqual(Array.from({ length: 6 }, () => CLEAN));
    expect(pool.status().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  test('equals take turns; one who has done its work gets the next, whosever turn it is', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair);
    for (let index = 0; index < 4; index += 1) await pool.scan(sourceOf('mail'), { timeoutMs });
    expect(pair.map(({ contents }) => contents.length)).toEqual([2, 2]);
    const [one = [], two = []] = pair.map((scanner) => holdAnswers(scanner));
    const scans = Array.from({ length: 4 }, () => pool.scan(sourceOf('mail'), { timeoutMs }));
    await expect.poll(() => [one.length, two.length]).toEqual([2, 2]);
    for (const asked of two) asked.answer('stream: OK');
    await expect.poll(() => pool.status()[1]?.inFlight).toBe(0);
    scans.push(pool.scan(sourceOf('mail'), { timeoutMs }), pool.scan(sourceOf('mail'), { timeoutMs }));
    await expect.poll(() => [one.length, two.length]).toEqual([2, 4]);
    for (const asked of [...one, ...two.slice(2)]) asked.answer('stream: OK');
    expect((await Promise.all(scans)).every(({ kind }) => kind === 'clean')).toBe(true);
  });

  test('a scanner that comes back gets what waits for the other one', async () => {
    const [up, down] = await scriptedPair();
    down.ping = 'no';
    const pool = await poolOf([up, down], { maxInFlight: 1, timings: QUICK });
    await expect.poll(() => pool.status()[1]?.up).toBe(false);
    const held = holdAnswers(up);
    const working = pool.scan(sourceOf('working'), { timeoutMs });
    const waiting = pool.scan(sourceOf('waiting'), { timeoutMs });
    await expect.poll(() => held.length).toBe(1);
    down.ping = 'PONG';
    await expect.poll(() => down.contents.map(String)).toEqual(['waiting']);
    expect(await waiting).toEqual(CLEAN);
    held[0]?.answer('stream: OK');
    expect(await working).toEqual(CLEAN);
  });

  test('first come, first served', async () => {
    const [scanner] = await scriptedPair();
    const pool = await poolOf([scanner], { maxInFlight: 1 });
    const held = holdAnswers(scanner);
    const scans = Array.from({ length: 5 }, (_, index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs }));
    for (let index = 0; index < 5; index += 1) {
      await expect.poll(() => held.length, { interval: 2 }).toBe(index + 1);
      held[index]?.answer('stream: OK');
    }
    await Promise.all(scans);
    expect(scanner.contents.map(String)).toEqual(['mail 0', 'mail 1', 'mail 2', 'mail 3', 'mail 4']);
  });

  test('one that has just failed is not preferred for being idle', async () => {
    const [bad, good] = await scriptedPair();
    const pool = await poolOf([bad, good], { timings: { ...QUIET, recheckMs: 60_000 } });
    bad.onStream = ({ answer }) => answer('ERROR');
    for (let index = 0; index < 10; index += 1) expect(await pool.scan(sourceOf(`mail ${index}`), { timeoutMs })).toEqual(CLEAN);
    expect([bad.contents.length, good.contents.length]).toEqual([1, 10]);
  });
});

const FAILURES: readonly [string, (scanner: ScriptedScanner) => void][] = [
  ['talks garbage', (scanner) => (scanner.onStream = ({ answer }) => answer('\u0000\u0001HTTP/1.1 400'))],
  ['reports an error', (scanner) => (scanner.onStream = ({ answer }) => answer("stream: Can't allocate memory ERROR"))],
  ['answers by half', (scanner) => (scanner.onStream = ({ socket }) => socket.end('stream: OK'))],
  ['closes without a word', (scanner) => (scanner.onStream = ({ socket }) => socket.end())],
  ['gives up waiting', (scanner) => (scanner.onStream = ({ answer }) => answer('COMMAND READ TIMED OUT\n'))],
  ['says OK too early', (scanner) => (scanner.interruption = { atByte: 100_000, act: (socket) => socket.write('stream: OK\0') })],
  ['hangs up at byte 100,000', (scanner) => (scanner.interruption = { atByte: 100_000, act: (socket) => socket.destroy() })],
  ['reads no more from byte 100,000', (scanner) => (scanner.interruption = { atByte: 100_000, act: (socket) => socket.pause() })],
];

describe('the other one takes over when one', () => {
  test.each(FAILURES)('%s', async (_name, spoil) => {
    const [one, two] = await scriptedPair();
    const pool = await poolOf([one, two], { timings: { ...QUIET, stallMs: 300 } });
    spoil(one);
    const content = Buffer.alloc(1_000_000, 'x');
    for (let times = 0; times < 3; times += 1) expect(await pool.scan(sourceOf(content), { timeoutMs })).toEqual(CLEAN);
    expect(two.contents.map((got) => got.equals(content))).toEqual([true, true, true]);
  });

  test('all fail: scanner_down, with what each said', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair);
    for (const scanner of pair) scanner.onStream = ({ answer }) => answer('nonsense\u009b');
    const result = await pool.scan(sourceOf('mail'), { timeoutMs });
    expect(result).toMatchObject({ kind: 'unscannable', cause: 'scanner_down' });
    expect((result as { detail: string }).detail).toMatch(/^unix:\S+: it answered "nonsense\?"; unix:\S+: it answered "nonsense\?"$/u);
    expect(pair.map(({ contents }) => contents.length)).toEqual([1, 1]);
  });

  test('is slow: after a third of the time the other is asked too, and the slow one is left', async () => {
    const [slow, quick] = await scriptedPair();
    const pool = await poolOf([slow, quick]);
    holdAnswers(slow);
    const started = performance.now();
    const results = await Promise.all([0, 1].map((index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs: 600 })));
    expect(results).toEqual([CLEAN, CLEAN]);
    expect(performance.now() - started).toBeGreaterThanOrEqual(195);
    expect(performance.now() - started).toBeLessThan(450);
    await expect.poll(() => slow.canaries).toBe(2);
    await expect.poll(() => slow.streams.size).toBe(0);
    expect(pool.status().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  test('is slow and finds a virus, while the other is slower', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair);
    const held = pair.map((scanner) => holdAnswers(scanner));
    const result = pool.scan(sourceOf('mail'), { timeoutMs: 300 });
    await expect.poll(() => held.map(({ length }) => length)).toEqual([1, 1]);
    held.find(([asked]) => asked !== undefined)?.[0]?.answer('stream: Late FOUND');
    expect(await result).toEqual({ kind: 'infected', signature: 'Late' });
  });

  test('is slow and the other is busy: those who wait for a first scanner go before those who want a second', async () => {
    const [slow, quick] = await scriptedPair();
    const pool = await poolOf([slow, quick], { maxInFlight: 1 });
    holdAnswers(slow);
    const held = holdAnswers(quick);
    const first = [0, 1].map((index) => pool.scan(sourceOf(`early ${index}`), { timeoutMs: 900 }));
    await expect.poll(() => held.length).toBe(1);
    // By now the one on the slow scanner would like the quick one.
    await sleep(350);
    const late = pool.scan(sourceOf('late'), { timeoutMs: 900 });
    held[0]?.answer('stream: OK');
    await expect.poll(() => held.length).toBe(2);
    expect(held[1]?.content.toString()).toBe('late');
    held[1]?.answer('stream: OK');
    await expect.poll(() => held.length).toBe(3);
    held[2]?.answer('stream: OK');
    expect(await Promise.all([...first, late])).toEqual([CLEAN, CLEAN, CLEAN]);
  });
});

describe('when nobody can say', () => {
  test('time is up: timeout, and the connections are closed', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair);
    for (const scanner of pair) holdAnswers(scanner);
    const result = await pool.scan(sourceOf('mail'), { timeoutMs: 200 });
    expect(result).toMatchObject({ kind: 'unscannable', cause: 'timeout', detail: expect.stringMatching(/no verdict yet.*after 200 ms in all$/u) as string });
    await expect.poll(() => pair.map(({ streams }) => streams.size)).toEqual([0, 0]);
    expect(pool.status().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  test('time is up before there was a place: timeout, and the place goes to the next', async () => {
    const [scanner] = await scriptedPair();
    const pool = await poolOf([scanner], { maxInFlight: 1 });
    const held = holdAnswers(scanner);
    const first = pool.scan(sourceOf('first'), { timeoutMs });
    const second = pool.scan(sourceOf('second'), { timeoutMs: 50 });
    const third = pool.scan(sourceOf('third'), { timeoutMs });
    expect(await second).toEqual({ kind: 'unscannable', cause: 'timeout', detail: 'no scanner had a free place, after 50 ms in all' });
    held[0]?.answer('stream: OK');
    await expect.poll(() => held.length).toBe(2);
    held[1]?.answer('stream: OK');
    expect(await Promise.all([first, third])).toEqual([CLEAN, CLEAN]);
    expect(scanner.contents.map(String)).toEqual(['first', 'third']);
  });

  test('the last scanner goes down: those who wait hear it at once, those who are on it may still be lucky', async () => {
    const [scanner] = await scriptedPair();
    const pool = await poolOf([scanner], { maxInFlight: 1, timings: QUICK });
    const held = holdAnswers(scanner);
    const working = pool.scan(sourceOf('working'), { timeoutMs });
    const waiting = pool.scan(sourceOf('waiting'), { timeoutMs });
    await expect.poll(() => held.length).toBe(1);
    scanner.ping = undefined;
    expect(await waiting).toEqual({ kind: 'unscannable', cause: 'scanner_down', detail: 'no scanner is up' });
    held[0]?.answer('stream: OK');
    expect(await working).toEqual(CLEAN);
  });

  test('a scanner that does not know the EICAR test is not believed that anything is clean', async () => {
    const [scanner] = await scriptedPair();
    const pool = await poolOf([scanner], { timings: { ...QUICK, canaryEveryMs: 0 } });
    const held = holdAnswers(scanner);
    const scans = [0, 1].map((index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs }));
    await expect.poll(() => held.length).toBe(2);
    scanner.onCanary = ({ answer }) => answer('stream: OK');
    await expect.poll(() => pool.status()[0]?.up).toBe(false);
    held[0]?.answer('stream: OK');
    held[1]?.answer('stream: Worm FOUND');
    const results = await Promise.all(scans);
    expect(results.map(({ kind }) => kind).sort()).toEqual(['infected', 'unscannable']);
    expect(results.find(({ kind }) => kind === 'unscannable')).toMatchObject({ cause: 'scanner_down', detail: expect.stringContaining('EICAR') as string });
  });

  test('nobody waits any more: it ends, on a scanner, in the queue, and before it began', async () => {
    const [scanner] = await scriptedPair();
    const pool = await poolOf([scanner], { maxInFlight: 1 });
    const held = holdAnswers(scanner);
    const abort = new AbortController();
    const { signal } = abort;
    const scans = [0, 1].map((index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs, signal }));
    await expect.poll(() => held.length).toBe(1);
    const { pings } = scanner;
    abort.abort();
    scans.push(pool.scan(sourceOf('mail 2'), { timeoutMs, signal }));
    for (const result of await Promise.all(scans)) expect(result.kind).toBe('unscannable');
    await expect.poll(() => scanner.streams.size).toBe(0);
    await sleep(50);
    expect(scanner.pings).toBe(pings);
    expect([pool.status()[0]?.inFlight, pool.status()[0]?.up, scanner.contents.length]).toEqual([0, true, 1]);
  });

  test('content that cannot be read: no_room, and no scanner is blamed', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair);
    const source = {
      bytes: 3,
      async *chunks() {
        yield Buffer.from('abc');
        throw new Error('EIO');
      },
    };
    const result = await pool.scan(source, { timeoutMs });
    expect(result).toEqual({ kind: 'unscannable', cause: 'no_room', detail: 'the content could not be read: EIO' });
    const before = pair.map(({ pings }) => pings);
    await sleep(50);
    expect(pair.map(({ pings }) => pings)).toEqual(before);
  });

  test('the pool closes: every scan ends', async () => {
    const pair = await scriptedPair();
    const pool = await poolOf(pair, { maxInFlight: 1, timings: QUICK });
    for (const scanner of pair) holdAnswers(scanner);
    const scans: Promise<ScanResult>[] = [0, 1, 2, 3].map((index) => pool.scan(sourceOf(`mail ${index}`), { timeoutMs }));
    pool.close();
    for (const result of await Promise.all(scans)) expect(result).toEqual({ kind: 'unscannable', cause: 'scanner_down', detail: 'the relay stops' });
    await expect.poll(() => pair.map(({ streams }) => streams.size)).toEqual([0, 0]);
    const before = pair.map(({ pings }) => pings);
    await sleep(100);
    expect(pair.map(({ pings }) => pings)).toEqual(before);
  });
});

test('the status of each', async () => {
  const [one] = await scriptedPair();
  const pool = await poolOf([one, { address: 'unix:/nowhere/clamd.ctl' }], { timings: QUICK });
  await expect.poll(() => pool.status()[1]?.up).toBe(false);
  expect(pool.status()).toEqual([
    { address: one.address, up: true, why: '', inFlight: 0, engine: 'ClamAV 9.9.9', signatures: 27450, signaturesAt: new Date(2025, 10, 15, 8, 23, 12).getTime() },
    { address: 'unix:/nowhere/clamd.ctl', up: false, why: 'no connection: ENOENT', inFlight: 0, engine: '', signatures: 0, signaturesAt: 0 },
  ]);
});

test('an address that is none is said when the pool is made', () => {
  const init = { scanners: ['clamd'], maxInFlight: 1 };
  expect(() => new ScannerPool({ log: captureLog().log, now: () => 0 }, init)).toThrow('a scanner is unix:/path or tcp:host:port');
});
