import { expect } from 'vitest';
import { type Clamd, EICAR_SIGNATURE, startClamd } from '../../../test/kit/clamd.ts';
import { ScannerPool } from '../src/scan/scanner-pool.ts';
import type { ScannerTimings } from '../src/scan/scanner-timings.ts';
import { captureLog } from './captured-log.ts';
import { type Asked, type ScriptedScanner, startScriptedScanner } from './scripted-scanner.ts';

export const CLEAN = { kind: 'clean' };
export const INFECTED = { kind: 'infected', signature: EICAR_SIGNATURE };
/** Checks so rare that they do not decide a test, unless it asks for them. */
export const QUIET: Partial<ScannerTimings> = { checkMs: 60_000, recheckMs: 20, canaryEveryMs: 60_000, pingMs: 300, canaryMs: 300 };
export const QUICK: Partial<ScannerTimings> = { checkMs: 40, recheckMs: 20, pingMs: 150, canaryMs: 300 };

const cleanUps: (() => unknown)[] = [];

/** For afterEach: pools are closed, scanners stopped. */
export async function cleanUp(): Promise<void> {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}

export interface PoolInit {
  readonly maxInFlight?: number;
  readonly timings?: Partial<ScannerTimings>;
}

/** Made and started; the first check of each scanner is over. */
export async function poolOf(scanners: readonly { readonly address: string }[], init: PoolInit = {}): Promise<ScannerPool> {
  const pool = new ScannerPool(
    { log: captureLog().log, now: () => performance.now() },
    { scanners: scanners.map(({ address }) => address), maxInFlight: init.maxInFlight ?? 4, timings: init.timings ?? QUIET },
  );
  cleanUps.push(() => pool.close());
  pool.start();
  await expect.poll(() => pool.status().map(({ why }) => why), { interval: 5 }).not.toContain('not checked yet');
  return pool;
}

export async function realPair(one: Record<string, string> = {}, two = one): Promise<[Clamd, Clamd]> {
  const pair = await Promise.all([startClamd({ settings: one }), startClamd({ settings: two })]);
  cleanUps.push(() => Promise.all(pair.map((clamd) => clamd.stop())));
  return pair;
}

export async function scriptedPair(): Promise<[ScriptedScanner, ScriptedScanner]> {
  const pair = await Promise.all([startScriptedScanner(), startScriptedScanner()]);
  cleanUps.push(() => Promise.all(pair.map((scanner) => scanner.stop())));
  return pair;
}

/** The streams that a scanner has been given and that it has not answered. */
export function holdAnswers(scanner: ScriptedScanner): Asked[] {
  const held: Asked[] = [];
  scanner.onStream = (asked) => held.push(asked);
  return held;
}
