import { afterEach, expect, test } from 'vitest';
import { type Clamd as TestClamd, EICAR, startClamd } from '../../../../test/kit/clamd.ts';
import { type CapturedLog, captureLog } from '../../test/captured-log.ts';
import { type Asked, type ScriptedScanner, startScriptedScanner } from '../../test/scripted-scanner.ts';
import { Clamd } from './clamd.ts';
import { parseScannerAddress } from './scanner-address.ts';
import { ScannerHealth } from './scanner-health.ts';
import { DEFAULT_SCANNER_TIMINGS } from './scanner-timings.ts';

const TIMINGS = { ...DEFAULT_SCANNER_TIMINGS, checkMs: 40, recheckMs: 20, pingMs: 150, canaryMs: 150, canaryEveryMs: 100 };
const OTHER_DATABASE = { 'eicar.ndb': 'Another-Virus:0:*:0011223344556677889900\n' };
const EICAR_DATABASE = { 'eicar.ndb': `Eicar-Test-Signature:0:*:${Buffer.from(EICAR).toString('hex')}\n` };

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Watched extends CapturedLog {
  readonly health: ScannerHealth;
  readonly events: () => unknown[];
}

function watch(address: string, timings = TIMINGS): Watched {
  const captured = captureLog();
  const clamd = new Clamd({ address: parseScannerAddress(address), timings });
  const components = { log: captured.log, now: () => performance.now(), clamd, onChange: () => undefined };
  const health = new ScannerHealth(components, { address, timings });
  cleanUps.push(() => health.stop());
  return { health, ...captured, events: () => captured.lines.map(({ event }) => event) };
}

async function real(): Promise<TestClamd> {
  const clamd = await startClamd();
  cleanUps.push(() => clamd.stop());
  return clamd;
}

async function scripted(): Promise<ScriptedScanner> {
  const scanner = await startScriptedScanner();
  cleanUps.push(() => scanner.stop());
  return scanner;
}

async function becomes(health: ScannerHealth, isUp: boolean): Promise<void> {
  await expect.poll(() => health.isUp, { timeout: 5000, interval: 5 }).toBe(isUp);
}

test('it is used before its first check, which says what it is', async () => {
  const { health, lines } = watch((await real()).address);
  expect([health.isUp, health.why]).toEqual([true, 'not checked yet']);
  health.start();
  await expect.poll(() => health.version.engine).toMatch(/^ClamAV 1/u);
  expect([health.isUp, health.why, health.isSuspect]).toEqual([true, '', false]);
  expect(lines).toEqual([]);
});

test('killed it is down, restarted it is up: a line each', async () => {
  const clamd = await real();
  const { health, lines } = watch(clamd.address);
  health.start();
  await expect.poll(() => health.why).toBe('');
  await clamd.kill();
  await becomes(health, false);
  expect(health.why).toBe('no connection: ECONNREFUSED');
  await clamd.restart();
  await becomes(health, true);
  expect(health.why).toBe('');
  expect(lines).toMatchObject([
    { level: 'warn', event: 'scanner_down', scanner: clamd.address, why: 'no connection: ECONNREFUSED', msg: expect.stringContaining('see that clamd runs') as string },
    { level: 'info', event: 'scanner_up', scanner: clamd.address, engine: expect.stringContaining('ClamAV') as string },
  ]);
});

test('paused it is down, resumed it is up', async () => {
  const clamd = await real();
  const { health } = watch(clamd.address);
  health.start();
  await expect.poll(() => health.why).toBe('');
  clamd.pause();
  await becomes(health, false);
  expect(health.why).toBe('no answer in 150 ms');
  clamd.resume();
  await becomes(health, true);
});

test('with signatures that do not have the EICAR test it is down until it has them again, whatever it answers to PING', async () => {
  const clamd = await real();
  const { health, lines } = watch(clamd.address);
  health.start();
  await expect.poll(() => health.why).toBe('');
  await clamd.reload(OTHER_DATABASE);
  await becomes(health, false);
  expect([health.isBlind, health.why]).toEqual([true, 'does not recognise the EICAR test']);
  expect(lines[0]?.['msg']).toContain('see its signatures');
  clamd.pause();
  await expect.poll(() => health.why).toBe('no answer in 150 ms');
  expect(health.isBlind).toBe(true);
  clamd.resume();
  await clamd.reload(EICAR_DATABASE);
  await becomes(health, true);
  expect(health.isBlind).toBe(false);
});

test('a reload with the same signatures is not noticed', async () => {
  const clamd = await real();
  const { health, lines } = watch(clamd.address);
  health.start();
  for (let times = 0; times < 3; times += 1) await clamd.reload();
  expect([health.isUp, lines]).toEqual([true, []]);
});

test('one failure is none, two in a row are', async () => {
  const scanner = await scripted();
  const { health, events } = watch(scanner.address, { ...TIMINGS, canaryEveryMs: 60_000 });
  scanner.nextPings.push('PONG', 'BUSY', 'PONG', 'BUSY', 'PONG');
  health.start();
  await expect.poll(() => scanner.pings).toBeGreaterThan(5);
  expect(events()).toEqual([]);
  scanner.nextPings.push('BUSY', 'BUSY');
  await becomes(health, false);
  await becomes(health, true);
  expect(events()).toEqual(['scanner_down', 'scanner_up']);
});

test('failed scans, however many, make it suspect and have it checked at once with a canary; a check decides', async () => {
  const scanner = await scripted();
  const { health, events } = watch(scanner.address, { ...TIMINGS, checkMs: 60_000, canaryEveryMs: 60_000 });
  health.start();
  await expect.poll(() => health.why).toBe('');
  for (let times = 0; times < 10; times += 1) health.onScanFailed();
  expect([health.isUp, health.isSuspect]).toEqual([true, true]);
  await expect.poll(() => health.isSuspect).toBe(false);
  expect([scanner.canaries, events()]).toEqual([2, []]);
  scanner.onCanary = ({ answer }) => answer("stream: Can't create temporary file ERROR");
  health.onScanFailed();
  await becomes(health, false);
  expect(health.why).toBe('it could not scan the EICAR test: it answered "stream: Can\'t create temporary file ERROR"');
});

test('a slow scan has it checked with a canary; a scan that fails during a check asks for another one', async () => {
  const scanner = await scripted();
  const { health } = watch(scanner.address, { ...TIMINGS, checkMs: 60_000, canaryEveryMs: 60_000, canaryMs: 5000 });
  const canaries: Asked[] = [];
  scanner.onCanary = (asked) => canaries.push(asked);
  health.start();
  await expect.poll(() => canaries.length).toBe(1);
  health.onScanFailed();
  canaries[0]?.answer('stream: Eicar FOUND');
  await expect.poll(() => scanner.pings).toBe(2);
  expect(health.isSuspect).toBe(false);
  health.onScanSlow();
  await expect.poll(() => canaries.length).toBe(2);
  expect([health.isUp, health.isSuspect]).toEqual([true, false]);
});

test('a canary now and then: one who answers PING and scans nothing any more is found out', async () => {
  const scanner = await scripted();
  const { health } = watch(scanner.address);
  health.start();
  await expect.poll(() => health.why).toBe('');
  scanner.onCanary = () => undefined;
  await becomes(health, false);
  expect(health.why).toBe('it could not scan the EICAR test: no answer in 150 ms');
  expect(health.isBlind).toBe(false);
});

test('the version is asked for again with each canary', async () => {
  const scanner = await scripted();
  const { health } = watch(scanner.address);
  health.start();
  await expect.poll(() => health.version.signatures).toBe(27450);
  scanner.version = 'ClamAV 9.9.9/27451/Sun Nov 16 08:23:12 2025';
  await expect.poll(() => health.version.signatures).toBe(27451);
});

test('stopped, it asks no more', async () => {
  const scanner = await scripted();
  const { health } = watch(scanner.address);
  health.start();
  await expect.poll(() => scanner.pings).toBeGreaterThan(1);
  health.stop();
  const { pings } = scanner;
  health.onScanFailed();
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(scanner.pings).toBe(pings);
});
