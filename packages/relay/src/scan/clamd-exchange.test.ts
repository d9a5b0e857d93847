import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startBlackHole } from '../../../../test/kit/silent-server.ts';
import { type ScriptedScanner, startScriptedScanner } from '../../test/scripted-scanner.ts';
import { sourceOf } from '../../test/scan-source.ts';
import { type Answer, askClamd, type ExchangeInit, MAX_REPLY_BYTES } from './clamd-exchange.ts';
import { parseScannerAddress, type ScannerAddress } from './scanner-address.ts';

const LIMITS = { connectMs: 5000, stallMs: 5000 };
const CONTENT = 'From: a@example.com\r\n\r\nhello\r\n';

let scanner: ScriptedScanner;
let address: ScannerAddress;
beforeEach(async () => {
  scanner = await startScriptedScanner();
  address = parseScannerAddress(scanner.address);
});
afterEach(() => scanner.stop());

function scan(content: Buffer | string = CONTENT, init: Partial<ExchangeInit> = {}): Promise<Answer> {
  return askClamd({ address, command: 'INSTREAM', content: sourceOf(content).chunks(), ...LIMITS, ...init });
}

/** It answers so, word for word, and ends. */
function says(text: string): void {
  scanner.onStream = ({ socket }) => socket.end(text, 'latin1');
}

test('the content arrives as it is, and the answer', async () => {
  const content = Buffer.alloc(300_000, 'abcdefghijk');
  expect(await scan(content)).toEqual({ kind: 'reply', text: 'stream: OK', isEarly: false });
  expect(await scan('')).toEqual({ kind: 'reply', text: 'stream: OK', isEarly: false });
  expect(scanner.contents.map((got) => got.equals(content))).toEqual([true, false]);
});

test('PING and VERSION', async () => {
  const ask = (command: 'PING' | 'VERSION'): Promise<Answer> => askClamd({ address, command, ...LIMITS });
  expect(await ask('PING')).toEqual({ kind: 'reply', text: 'PONG', isEarly: false });
  expect(await ask('VERSION')).toMatchObject({ text: 'ClamAV 9.9.9/27450/Sat Nov 15 08:23:12 2025' });
});

test.each([
  ['a newline ends it too', 'COMMAND READ TIMED OUT\n', { kind: 'reply', text: 'COMMAND READ TIMED OUT' }],
  ['nothing', '', { kind: 'failed', why: 'it closed without an answer' }],
  ['half of it', 'stream: O', { kind: 'failed', why: 'it closed in the middle of an answer: "stream: O"' }],
  ['all but the NUL', 'stream: OK', { kind: 'failed', why: 'it closed in the middle of an answer: "stream: OK"' }],
  ['two answers', 'stream: OK\0stream: X FOUND\0', { kind: 'failed', why: 'it said more after "stream: OK"' }],
  ['far too much', 'x'.repeat(MAX_REPLY_BYTES + 1), { kind: 'failed', why: 'it answered more than 1024 bytes' }],
  ['far too much, at once', `${'x'.repeat(MAX_REPLY_BYTES)}\0`, { kind: 'failed', why: 'it answered more than 1024 bytes' }],
])('%s', async (_name, text, answer) => {
  says(text);
  expect(await scan()).toMatchObject(answer);
});

test('an answer that comes byte by byte', async () => {
  async function dribble(socket: Socket): Promise<void> {
    for (const letter of 'stream: OK\0') {
      socket.write(letter);
      await sleep(2);
    }
  }
  scanner.onStream = ({ socket }) => void dribble(socket);
  expect(await scan()).toMatchObject({ kind: 'reply', text: 'stream: OK' });
});

test('an answer before the end of the content is told as such', async () => {
  scanner.interruption = { atByte: 100_000, act: (socket) => socket.write('stream: OK\0') };
  expect(await scan(Buffer.alloc(5_000_000, 'x'))).toEqual({ kind: 'reply', text: 'stream: OK', isEarly: true });
});

test('an answer wins over the reset that comes with it', async () => {
  const act = (socket: Socket): void => {
    socket.write('INSTREAM size limit exceeded. ERROR\0', () => socket.destroy());
  };
  for (const atByte of [1, 64 * 1024, 100_000, 1_000_000, 2_000_000]) {
    scanner.interruption = { atByte, act };
    expect(await scan(Buffer.alloc(5_000_000, 'x'))).toMatchObject({ kind: 'reply', text: 'INSTREAM size limit exceeded. ERROR' });
  }
});

test('a reset without an answer is a failure', async () => {
  scanner.interruption = { atByte: 100_000, act: (socket) => socket.destroy() };
  expect(await scan(Buffer.alloc(5_000_000, 'x'))).toMatchObject({ kind: 'failed', why: expect.stringMatching(/^connection lost|closed without/u) as string });
});

test('a scanner that reads no more: the content waits where it is, and not for ever', async () => {
  let readBytes = 0;
  async function* content(): AsyncGenerator<Buffer, void> {
    for (let sent = 0; sent < 500; sent += 1) {
      readBytes += 64 * 1024;
      yield Buffer.alloc(64 * 1024, 'x');
    }
  }
  scanner.interruption = { atByte: 100_000, act: (socket) => socket.pause() };
  const started = performance.now();
  const answer = await scan('', { content: content(), stallMs: 100 });
  expect(answer).toEqual({ kind: 'failed', why: 'it took nothing for 100 ms' });
  expect(performance.now() - started).toBeLessThan(1500);
  expect(readBytes).toBeLessThan(2_000_000);
});

test('nobody there: at once; nobody answers: when the time is up', async () => {
  const hole = await startBlackHole();
  const tcp = { host: hole.address, port: hole.port };
  expect(await scan(CONTENT, { address: tcp, connectMs: 100 })).toEqual({ kind: 'failed', why: 'no connection in 100 ms' });
  await hole.stop();
  expect(await scan(CONTENT, { address: tcp })).toEqual({ kind: 'failed', why: 'no connection: ECONNREFUSED' });
  expect(await scan(CONTENT, { address: { path: '/nowhere/clamd.ctl' } })).toEqual({ kind: 'failed', why: 'no connection: ENOENT' });
  scanner.onStream = () => undefined;
  expect(await scan(CONTENT, { timeoutMs: 50 })).toEqual({ kind: 'failed', why: 'no answer in 50 ms' });
});

test('nobody waits any more: the connection is closed', async () => {
  const abort = new AbortController();
  scanner.onStream = () => abort.abort();
  expect(await scan(CONTENT, { signal: abort.signal })).toEqual({ kind: 'failed', why: 'nobody waits for it any more' });
  await expect.poll(() => scanner.streams.size).toBe(0);
  expect(await scan(CONTENT, { signal: abort.signal })).toMatchObject({ kind: 'failed' });
  expect(scanner.contents.length).toBe(1);
});

test('content that cannot be read is not the scanner\'s fault, and no message that ends there', async () => {
  async function* content(): AsyncGenerator<Buffer, void> {
    yield Buffer.from(CONTENT);
    throw new Error('EIO: the disk is gone');
  }
  expect(await scan('', { content: content() })).toEqual({ kind: 'unreadable', why: 'EIO: the disk is gone' });
  await expect.poll(() => scanner.streams.size).toBe(0);
  expect(scanner.contents).toEqual([]);
});
