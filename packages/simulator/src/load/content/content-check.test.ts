import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ContentCheck, type ContentVerdict } from './content-check.ts';
import { HEADER_BYTES, type Mail, mailBytes, MailSource, MIN_MAIL_BYTES, SLICE_BYTES } from './mail.ts';

const RUN = 'c0ffee01';

function contentOf(mail: Mail, run = RUN): Buffer {
  const source = new MailSource(run, mail);
  const pieces: Buffer[] = [];
  for (let piece = source.take(); piece !== undefined; piece = source.take()) pieces.push(piece);
  return Buffer.concat(pieces);
}

const mailOf = (wanted: number, sequence = 7): Mail => ({ worker: 3, sequence, bytes: mailBytes(wanted) });

/** Pushes in pieces of these sizes, over and over; returns the verdict and how many bytes were taken. */
function check(content: Buffer, pieces: readonly number[] = [content.length], checker = new ContentCheck(RUN)): { verdict: ContentVerdict | undefined; taken: number } {
  let at = 0;
  for (let index = 0; at < content.length && checker.verdict === undefined; index += 1) {
    const end = Math.min(at + (pieces[index % pieces.length] ?? 1), content.length);
    at = checker.push(content, at, end);
  }
  return { verdict: checker.verdict, taken: at };
}

const SIZES = [0, MIN_MAIL_BYTES + 1, 4096, HEADER_BYTES + 78, HEADER_BYTES + 79, HEADER_BYTES + 80, HEADER_BYTES + 77, SLICE_BYTES, HEADER_BYTES + SLICE_BYTES, HEADER_BYTES + SLICE_BYTES + 1, HEADER_BYTES + SLICE_BYTES + 2, 300_000];

test.each(SIZES)('a mail of %i bytes is well formed, as long as it says, and intact however it is cut', (wanted) => {
  const mail = mailOf(wanted);
  const content = contentOf(mail);
  expect(content.length).toBe(mail.bytes + 3);
  expect(mail.bytes - Math.max(wanted, MIN_MAIL_BYTES)).toBeLessThanOrEqual(1);
  const text = content.toString('latin1');
  expect(text.indexOf('\r\n.\r\n')).toBe(text.length - 5);
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/u);
  expect(text.slice(0, -3)).not.toMatch(/(?:^|\n)\./u);
  for (const pieces of [[content.length], [1000, 1], [65_536], [77]])
    expect(check(content, pieces)).toEqual({ verdict: { kind: 'intact', mail }, taken: content.length });
});

test('every single byte that is changed is seen, and the end is found all the same', () => {
  const mail = mailOf(900);
  const content = contentOf(mail);
  for (let at = 0; at < content.length - 5; at += 1) {
    const altered = Buffer.from(content);
    altered[at] = (altered[at] ?? 0) ^ 1;
    const { verdict, taken } = check(altered, [200]);
    // With another digit in its marker it is another mail, which the ledger misses and finds where it should not be.
    expect(verdict, `byte ${at}`).not.toEqual({ kind: 'intact', mail });
    expect(taken).toBe(altered.length);
  }
});

test('what is missing or added anywhere is altered, and not a byte behind the final dot is taken', () => {
  const content = contentOf(mailOf(70_000));
  const next = Buffer.from('QUIT\r\n');
  fc.assert(
    fc.property(
      fc.integer({ min: HEADER_BYTES, max: content.length - 5 }),
      fc.integer({ min: 0, max: 400 }),
      fc.string({ unit: fc.constantFrom('a', '.', '\r', '\n', '.\r\n', '\r\n.\r'), maxLength: 5 }),
      fc.integer({ min: 1, max: 70_000 }),
      (at, missing, added, piece) => {
        const altered = Buffer.concat([content.subarray(0, at), Buffer.from(added), content.subarray(Math.min(at + missing, content.length - 5))]);
        fc.pre(!altered.equals(content));
        const { verdict, taken } = check(Buffer.concat([altered, next]), [piece]);
        expect(verdict).toEqual({ kind: 'altered' });
        // What was added may end it early.
        expect(taken).toBe(altered.indexOf('\r\n.\r\n') + 5);
      },
    ),
    { numRuns: 150 },
  );
});

test('a mail that ends early at a line is altered, wherever the pieces are cut', () => {
  const content = contentOf(mailOf(200_000));
  for (const lines of [0, 1, 2, 839, 840, 841, 1680]) {
    const short = Buffer.concat([content.subarray(0, HEADER_BYTES + lines * 78), Buffer.from('.\r\n')]);
    for (const pieces of [[short.length], [HEADER_BYTES, 78], [HEADER_BYTES + lines * 78, 1]])
      expect(check(short, pieces)).toEqual({ verdict: { kind: 'altered' }, taken: short.length });
  }
});

test('a dot in the middle of a line is no end, also where a piece begins with it', () => {
  const content = contentOf(mailOf(200_000));
  for (const at of [HEADER_BYTES + 10, HEADER_BYTES + 77, HEADER_BYTES + 79, HEADER_BYTES + SLICE_BYTES + 5, content.length - 10]) {
    const altered = Buffer.concat([content.subarray(0, at), Buffer.from('.\r\n'), content.subarray(at)]);
    expect(check(altered, [at, altered.length])).toEqual({ verdict: { kind: 'altered' }, taken: altered.length });
  }
});

test('mail of another run is foreign, and so is what is no mail of a run', () => {
  expect(check(contentOf(mailOf(4096), 'deadbeef')).verdict).toEqual({ kind: 'foreign' });
  expect(check(Buffer.from('hello\r\n.\r\n')).verdict).toEqual({ kind: 'foreign' });
  expect(check(Buffer.from('.\r\n')).verdict).toEqual({ kind: 'foreign' });
});

test('one checker takes one content after the other', () => {
  const checker = new ContentCheck(RUN);
  for (const sequence of [1, 2, 3]) {
    checker.reset();
    const mail = mailOf(5000, sequence);
    expect(check(contentOf(mail), [4000], checker).verdict).toEqual({ kind: 'intact', mail });
  }
});
