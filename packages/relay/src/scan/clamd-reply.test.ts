import { expect, test } from 'vitest';
import { MAX_SIGNATURE_CHARS, parseScanReply, parseVersionReply } from './clamd-reply.ts';

test('clean, infected, too big', () => {
  expect(parseScanReply('stream: OK')).toEqual({ kind: 'clean' });
  expect(parseScanReply('stream: Win.Test.EICAR_HDB-1 FOUND')).toEqual({ kind: 'infected', signature: 'Win.Test.EICAR_HDB-1' });
  expect(parseScanReply('INSTREAM size limit exceeded. ERROR')).toMatchObject({ kind: 'unscannable', cause: 'too_big' });
});

test.each([
  ['Heuristics.Limits.Exceeded.MaxFileSize', 'limits'],
  ['Heuristics.Limits.Exceeded.MaxScanTime', 'limits'],
  ['Heuristics.Limits.Exceeded', 'limits'],
  ['Heuristics.Encrypted.Zip', 'encrypted'],
  ['Heuristics.Encrypted.PDF', 'encrypted'],
])('%s is unscannable: %s', (signature, cause) => {
  expect(parseScanReply(`stream: ${signature} FOUND`)).toEqual({ kind: 'unscannable', cause, detail: signature });
});

test.each(['Heuristics.Phishing.Email.SpoofedDomain', 'Heuristics.OLE2.ContainsMacros.VBA', 'Win.Heuristics.Encrypted.Zip', 'OK'])(
  '%s is infected',
  (signature) => {
    expect(parseScanReply(`stream: ${signature} FOUND`)).toEqual({ kind: 'infected', signature });
  },
);

test.each([
  '',
  'OK',
  'stream: OK ',
  'stream: ok',
  'stream: OKAY',
  ' stream: OK',
  'stream:  FOUND',
  'stream: FOUND',
  'stream: X FOUND now',
  'stream: Can\'t create temporary file ERROR',
  'COMMAND READ TIMED OUT',
  'UNKNOWN COMMAND',
  'INSTREAM size limit exceeded.',
])('%j is no verdict', (reply) => {
  expect(parseScanReply(reply).kind).toBe('failed');
});

test('what a scanner says is printable ASCII, and not much of it, when it leaves here', () => {
  const hostile = `a\r\n250 ok\u009b\u202e\0${'x'.repeat(500)}`;
  const infected = parseScanReply(`stream: ${hostile} FOUND`);
  expect(infected).toEqual({ kind: 'infected', signature: `a??250 ok???${'x'.repeat(MAX_SIGNATURE_CHARS - 12)}` });
  const failed = parseScanReply(hostile);
  expect(failed).toEqual({ kind: 'failed', why: `it answered "a??250 ok???${'x'.repeat(68)}"` });
});

test('the version, with and without a database of ClamAV', () => {
  expect(parseVersionReply('ClamAV 1.4.3/27450/Sat Nov 15 08:23:12 2025')).toEqual({
    engine: 'ClamAV 1.4.3',
    signatures: 27450,
    signaturesAt: new Date(2025, 10, 15, 8, 23, 12).getTime(),
  });
  expect(parseVersionReply('ClamAV 1.4.3')).toEqual({ engine: 'ClamAV 1.4.3', signatures: 0, signaturesAt: 0 });
  expect(parseVersionReply('ClamAV 1.4.3/-1/whenever')).toEqual({ engine: 'ClamAV 1.4.3', signatures: 0, signaturesAt: 0 });
});
