import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asSent, bodyHash, dotStuff, mailShapes, sha256, stuffDots, textMail, unstuffDots } from './mails.ts';

/** Bytes that matter to dot stuffing, often next to each other. */
const awkwardBytes = fc.array(fc.constantFrom(0x0d, 0x0a, 0x2e, 0x61), { maxLength: 40 }).map((bytes) => Buffer.from(bytes));

test('un-stuffing reverses stuffing, and no stuffed message holds an end of data', () => {
  fc.assert(
    fc.property(awkwardBytes, (raw) => {
      expect(unstuffDots(stuffDots(raw))).toEqual(raw);
      expect(`\r\n${stuffDots(raw).toString('latin1')}`).not.toContain('\r\n.\r\n');
      expect(dotStuff(raw).toString('latin1').endsWith('.\r\n')).toBe(true);
    }),
  );
});

test('the same seed makes the same mails, another makes others', () => {
  const hashes = (seed: number): string[] => mailShapes(seed, 200_000).map((mail) => mail.sha256);
  expect(hashes(3)).toEqual(hashes(3));
  expect(hashes(3).some((hash) => hashes(4).includes(hash))).toBe(false);
  expect(textMail(1, 5000).raw.length).toBeGreaterThanOrEqual(5000);
});

test('the shapes are what their names say', () => {
  const shapes = new Map(mailShapes(1, 300_000).map((mail) => [mail.name, mail.raw.subarray(mail.raw.indexOf('\r\n\r\n') + 4)]));
  expect(shapes.get('empty body')!.length).toBe(0);
  expect(shapes.get('8-bit')!.some((byte) => byte > 0xf0)).toBe(true);
  expect(shapes.get('line of 998')!.indexOf('\r\n')).toBe(998);
  expect(shapes.get('only dots')!.toString().replaceAll('.\r\n', '')).toBe('');
  expect(mailShapes(1, 300_000).every((mail) => mail.sha256 === sha256(mail.raw))).toBe(true);
});

test('what was sent is found again in what was delivered', () => {
  const mail = textMail(1);
  const trace = 'Return-Path: <a@example.com>\nX-Original-To: b\nReceived: from x\n\tby y\n for z\nReceived: again\n';
  const delivered = Buffer.from(trace + mail.raw.toString().replaceAll('\r\n', '\n'));
  expect(asSent(delivered)).toEqual(mail.raw);
  expect(bodyHash(delivered)).toBe(mail.sha256);
  expect(bodyHash(Buffer.concat([delivered, Buffer.from('\n')]))).not.toBe(mail.sha256);
  expect(asSent(Buffer.from(trace)).length).toBe(0);
});
