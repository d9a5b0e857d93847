import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Clamd as TestClamd, EICAR_SIGNATURE, startClamd } from '../../../../test/kit/clamd.ts';
import { textMail } from '../../../../test/kit/mails.ts';
import { eicarAtTheEnd, encryptedZipMail, infectedMails } from '../../../../test/kit/virus-mails.ts';
import { type ScriptedScanner, startScriptedScanner } from '../../test/scripted-scanner.ts';
import { sourceOf } from '../../test/scan-source.ts';
import { Clamd } from './clamd.ts';
import type { ScanOutcome } from './scanner.ts';
import { parseScannerAddress } from './scanner-address.ts';
import { DEFAULT_SCANNER_TIMINGS } from './scanner-timings.ts';

const { signal } = new AbortController();

function client(address: string): Clamd {
  return new Clamd({ address: parseScannerAddress(address), timings: { ...DEFAULT_SCANNER_TIMINGS, pingMs: 100, canaryMs: 100 } });
}

describe('a real clamd', () => {
  const started: TestClamd[] = [];
  afterEach(async () => {
    for (const clamd of started.splice(0)) await clamd.stop();
  });

  async function start(settings: Record<string, string> = {}): Promise<TestClamd> {
    const clamd = await startClamd({ settings, address: '127.0.7.2' });
    started.push(clamd);
    return clamd;
  }

  test('the same over socket and port: clean, infected in every shape', async () => {
    const clamd = await start();
    for (const address of [clamd.address, clamd.tcpAddress]) {
      const scanner = client(address);
      expect(await scanner.scan(sourceOf(textMail(1, 3_000_000).raw), signal)).toEqual({ kind: 'clean' });
      for (const { raw } of infectedMails(1, 3_000_000)) {
        expect(await scanner.scan(sourceOf(raw), signal)).toEqual({ kind: 'infected', signature: EICAR_SIGNATURE });
      }
      expect(await scanner.ping(signal)).toBe(undefined);
      expect(await scanner.version(signal)).toMatchObject({ engine: expect.stringMatching(/^ClamAV \d/u) as string, signatures: 0 });
      expect(await scanner.canary(signal)).toEqual({ kind: 'infected', signature: EICAR_SIGNATURE });
    }
  });

  test('past StreamMaxLength it is too big, every time, though clamd hangs up while we send', async () => {
    const clamd = await start({ StreamMaxLength: '1M' });
    const { raw } = eicarAtTheEnd(1, 8_000_000);
    for (const address of [clamd.address, clamd.tcpAddress]) {
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => client(address).scan(sourceOf(raw), signal)));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: 'unscannable', cause: 'too_big' });
    }
  });

  test('past the limits of a scan, and encrypted: unscannable, when clamd is told to say so', async () => {
    const clamd = await start({ AlertExceedsMax: 'yes', MaxFileSize: '100K', AlertEncrypted: 'yes' });
    const scan = (raw: Buffer): Promise<ScanOutcome> => client(clamd.address).scan(sourceOf(raw), signal);
    const limits = { kind: 'unscannable', cause: 'limits', detail: 'Heuristics.Limits.Exceeded.MaxFileSize' };
    expect(await scan(eicarAtTheEnd(1, 200_000).raw)).toEqual(limits);
    expect(await scan(encryptedZipMail().raw)).toEqual({ kind: 'unscannable', cause: 'encrypted', detail: 'Heuristics.Encrypted.Zip' });
  });

  test('a stream that stalls is broken off by clamd, in its words', async () => {
    const clamd = await start({ ReadTimeout: '1', CommandReadTimeout: '1' });
    const { promise: forever, resolve } = Promise.withResolvers<undefined>();
    const source = {
      bytes: 2,
      async *chunks() {
        yield Buffer.from('x');
        await forever;
      },
    };
    expect(await client(clamd.address).scan(source, signal)).toEqual({ kind: 'failed', why: 'it answered "COMMAND READ TIMED OUT"' });
    resolve(undefined);
  });
});

describe('what no real one does', () => {
  let scripted: ScriptedScanner;
  beforeEach(async () => {
    scripted = await startScriptedScanner();
  });
  afterEach(() => scripted.stop());

  test.each(['stream: OK', 'stream: X FOUND', 'stream: Heuristics.Encrypted.Zip FOUND'])('%s before the end of the content is no verdict', async (reply) => {
    scripted.interruption = { atByte: 100_000, act: (socket) => socket.write(`${reply}\0`) };
    const outcome = await client(scripted.address).scan(sourceOf(Buffer.alloc(2_000_000, 'x')), signal);
    expect(outcome).toEqual({ kind: 'failed', why: `it answered "${reply}" before the end of the content` });
  });

  test('PING answered wrongly, or not', async () => {
    scripted.ping = 'PANG';
    expect(await client(scripted.address).ping(signal)).toBe('it answered "PANG" to PING');
    scripted.ping = undefined;
    expect(await client(scripted.address).ping(signal)).toBe('no answer in 100 ms');
  });

  test('VERSION switched off is no fault', async () => {
    scripted.version = 'COMMAND UNAVAILABLE';
    expect(await client(scripted.address).version(signal)).toBe(undefined);
    scripted.version = 'ClamAV 1.4.3/27450/Sat Nov 15 08:23:12 2025';
    expect(await client(scripted.address).version(signal)).toMatchObject({ engine: 'ClamAV 1.4.3', signatures: 27450 });
  });

  test('a canary that is not answered', async () => {
    scripted.onCanary = () => undefined;
    expect(await client(scripted.address).canary(signal)).toEqual({ kind: 'failed', why: 'no answer in 100 ms' });
  });
});
