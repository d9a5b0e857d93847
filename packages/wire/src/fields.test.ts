import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFields, encodeFields, type Fields } from './fields.ts';
import { WireError } from './wire-error.ts';

const FIELDS = {
  small: { tag: 1, kind: 'u8' },
  medium: { tag: 2, kind: 'u16' },
  large: { tag: 3, kind: 'u32' },
  huge: { tag: 4, kind: 'u64' },
  text: { tag: 5, kind: 'text', maxBytes: 16 },
  list: { tag: 6, kind: 'texts', maxBytes: 8, maxCount: 3 },
  raw: { tag: 7, kind: 'bytes', minBytes: 2, maxBytes: 4 },
  inner: { tag: 8, kind: 'record', fields: { one: { tag: 1, kind: 'u8' } }, optional: true },
  inners: { tag: 9, kind: 'records', fields: { two: { tag: 2, kind: 'u16' } }, maxCount: 2 },
} as const satisfies Fields;

const SAMPLE = {
  small: 1,
  medium: 2,
  large: 3,
  huge: Number.MAX_SAFE_INTEGER,
  text: 'größe',
  list: ['a', ''],
  raw: Buffer.from('beef', 'hex'),
  inner: { one: 9 },
  inners: [{ two: 1 }, { two: 2 }],
};

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/gu, ''), 'hex');
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'none';
};

test('a record has exactly these bytes', () => {
  expect(encodeFields(FIELDS, SAMPLE).toString('hex')).toBe(
    hex(`01 0001 01  02 0002 0002  03 0004 00000003  04 0008 001fffffffffffff  05 0007 6772c3b6c39f65
         06 0001 61  06 0000  07 0002 beef  08 0004 01000109  09 0005 0200020001  09 0005 0200020002`).toString('hex'),
  );
});

test('decoding gives back what was encoded', () => {
  expect(decodeFields(FIELDS, encodeFields(FIELDS, SAMPLE))).toEqual(SAMPLE);
});

test('lists may be left out and optional fields are then not there', () => {
  const { inner: _, ...rest } = SAMPLE;
  const decoded = decodeFields(FIELDS, encodeFields(FIELDS, { ...rest, list: [], inners: [] }));
  expect(decoded.list).toEqual([]);
  expect('inner' in decoded).toBe(false);
});

test('an unknown tag is skipped', () => {
  const bytes = Buffer.concat([hex('fe 0003 616263'), encodeFields(FIELDS, SAMPLE), hex('ff 0000')]);
  expect(decodeFields(FIELDS, bytes)).toEqual(SAMPLE);
});

const whole = encodeFields(FIELDS, SAMPLE);

describe('malformed', () => {
  test.each<[string, Buffer, string]>([
    ['a header cut off', Buffer.concat([whole, hex('01')]), 'TRUNCATED'],
    ['a value cut off', Buffer.concat([whole, hex('fe 0005 00')]), 'TRUNCATED'],
    ['a doubled field', Buffer.concat([whole, hex('01 0001 02')]), 'DUPLICATE'],
    ['a missing field', hex('01 0001 02'), 'MISSING'],
    ['an integer too short', hex('02 0001 00'), 'RANGE'],
    ['an integer too long', hex('01 0002 0000'), 'RANGE'],
    ['an integer above 2^53 - 1', hex('04 0008 0020000000000000'), 'RANGE'],
    ['bytes too few', hex('07 0001 00'), 'RANGE'],
    ['bytes too many', hex('07 0005 0000000000'), 'RANGE'],
    ['text too long', hex(`05 0011 ${'61'.repeat(17)}`), 'TOO_LONG'],
    ['text that is not UTF-8', hex('05 0001 ff'), 'TEXT'],
    ['text with an overlong form', hex('05 0002 c080'), 'TEXT'],
    ['text with a line feed', hex('05 0001 0a'), 'TEXT'],
    ['text with ESC', hex('05 0001 1b'), 'TEXT'],
    ['text with a C1 control', hex('05 0002 c29b'), 'TEXT'],
    ['a list too long', hex('06 0000 06 0000 06 0000 06 0000'), 'TOO_LONG'],
    ['an error within a record', hex('08 0004 01 0001 00 08 0003 01 0000'), 'DUPLICATE'],
  ])('%s', (_, bytes, code) => {
    expect(codeOf(() => decodeFields(FIELDS, bytes))).toBe(code);
  });
});

describe('a value of ours that does not fit is an error too', () => {
  test.each<[string, object, string]>([
    ['negative', { ...SAMPLE, small: -1 }, 'RANGE'],
    ['too big', { ...SAMPLE, small: 256 }, 'RANGE'],
    ['a fraction', { ...SAMPLE, large: 1.5 }, 'RANGE'],
    ['above 2^53 - 1', { ...SAMPLE, huge: 2 ** 53 }, 'RANGE'],
    ['a text', { ...SAMPLE, text: 'x'.repeat(17) }, 'TOO_LONG'],
    ['a list', { ...SAMPLE, list: ['', '', '', ''] }, 'TOO_LONG'],
    ['bytes', { ...SAMPLE, raw: Buffer.alloc(1) }, 'TOO_LONG'],
    ['missing', { ...SAMPLE, raw: undefined }, 'MISSING'],
  ])('%s', (_, value, code) => {
    expect(codeOf(() => encodeFields(FIELDS, value as typeof SAMPLE))).toBe(code);
  });
});

test('any bytes: a record or a WireError, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      codeOf(() => decodeFields(FIELDS, Buffer.from(bytes)));
    }),
    { numRuns: 2000 },
  );
});

test('any change to one byte of a valid record: a record or a WireError', () => {
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const bytes = Buffer.from(whole);
      bytes[at] = value;
      codeOf(() => decodeFields(FIELDS, bytes));
    }),
    { numRuns: 2000 },
  );
});
