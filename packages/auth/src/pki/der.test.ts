import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentOf, decodeUnsigned, encodeUnsigned, splitSequence } from './der.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('splitSequence', () => {
  it('gives the elements with their headers', () => {
    expect(splitSequence(hex('3007 020105 0402abcd'), 2)).toEqual([hex('020105'), hex('0402abcd')]);
    const long = Buffer.concat([hex('04820100'), Buffer.alloc(256)]);
    expect(splitSequence(Buffer.concat([hex('30820104'), long]), 1)).toEqual([long]);
  });

  it.each([
    ['nothing', ''],
    ['a header alone', '30'],
    ['too few elements', '3003020105'],
    ['too many elements', '3009020105020105020105'],
    ['another tag', '3106020105020105'],
    ['bytes after it', '300602010502010500'],
    ['fewer bytes than it says', '3007020105020105'],
    ['an element longer than the sequence', '3006020105020205'],
    ['an indefinite length', '30800201050201050000'],
    ['an indefinite length that could be 128', `3080047c${'00'.repeat(124)}0400`],
    ['a length in more bytes than needed', '308106020105020105'],
    ['a length with a leading zero', `30820080${'0400'.repeat(64)}`],
    ['an impossible length', '30ffffffffffffffffff'],
  ])('refuses %s', (_name, text) => {
    expect(splitSequence(hex(text), 2)).toBeUndefined();
  });

  it('never throws', () => {
    const nearly = fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.from([0x30, bytes.length, ...bytes]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), nearly), fc.nat(3), (bytes, count) => {
        const parts = splitSequence(Buffer.from(bytes), count);
        if (parts !== undefined) expect(Buffer.concat(parts)).toEqual(contentOf(Buffer.from(bytes), 0x30));
      }),
    );
  });
});

describe('integers', () => {
  it('are written as DER', () => {
    expect(encodeUnsigned(0n)).toEqual(hex('020100'));
    expect(encodeUnsigned(127n)).toEqual(hex('02017f'));
    expect(encodeUnsigned(128n)).toEqual(hex('02020080'));
    expect(encodeUnsigned(65_536n)).toEqual(hex('0203010000'));
  });

  it('come back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 159n - 1n }), (value) => {
        expect(decodeUnsigned(encodeUnsigned(value), 20)).toBe(value);
      }),
    );
  });

  it('are refused when negative, empty, too long or something else', () => {
    for (const text of ['0201ff', '0200', `0215${'01'.repeat(21)}`, '040101', '']) {
      expect(decodeUnsigned(hex(text), 20)).toBeUndefined();
    }
  });
});
