import { describe, expect, it } from 'vitest';
import { formatSerial, newSerial } from './serial.ts';

describe('serial numbers', () => {
  it('are 16 bytes, positive, and never the same', () => {
    const serials = Array.from({ length: 300 }, newSerial);
    expect(new Set(serials).size).toBe(300);
    for (const serial of serials) {
      expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/u);
      expect(formatSerial(serial)).toBe(serial);
    }
  });

  it.each([
    ['0A', '0a'],
    ['a', '0a'],
    ['00:0A:ff', '0aff'],
    ['596FD9E98F8F7B610FBF2B1BF9239B6E', '596fd9e98f8f7b610fbf2b1bf9239b6e'],
  ])('%s is %s', (text, serial) => {
    expect(formatSerial(text)).toBe(serial);
  });

  it.each(['', '0', '00', 'xyz', '0x12', '-1', ' 12', '12\n', '1'.repeat(41), '0'.repeat(1_000_000)])('%.20j is none', (text) => {
    expect(() => formatSerial(text)).toThrow(expect.objectContaining({ name: 'PkiError', code: 'BAD_INPUT' }));
  });
});
