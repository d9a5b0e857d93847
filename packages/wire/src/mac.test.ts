import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdentityError } from './identity-error.ts';
import { formatMac, macBytes, parseMac } from './mac.ts';

const deviceMac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => bytes.with(0, bytes[0]! & 0xfe))
  .filter((bytes) => bytes.some((byte) => byte !== 0));

describe('parseMac', () => {
  it.each(['02:00:5e:10:00:01', '02:00:5E:10:00:01', '02-00-5e-10-00-01', '02-00-5E-10-00-01', '0200.5e10.0001', '0200.5E10.0001'])(
    'reads %s',
    (text) => {
      expect(parseMac(text)).toBe('02:00:5e:10:00:01');
    },
  );

  it.each([
    '',
    '02005e100001',
    '02:00:5e:10:00',
    '02:00:5e:10:00:01:02',
    '02:00-5e:10:00:01',
    '2:0:5e:10:0:1',
    '02:00:5e:10:00:0g',
    ' 02:00:5e:10:00:01',
    '02:00:5e:10:00:01\n',
    '0200:5e10:0001',
    '0200.5e10.001',
    '02.00.5e.10.00.01',
    '０2:00:5e:10:00:01',
  ])('refuses %j', (text) => {
    expect(() => parseMac(text)).toThrow(expect.objectContaining({ code: 'BAD_MAC' }));
  });

  it.each(['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '33:33:00:00:00:01', '0300.0000.0000'])(
    'refuses %s, which no device owns',
    (text) => {
      expect(() => parseMac(text)).toThrow(IdentityError);
    },
  );

  it('throws nothing but IdentityError, whatever the text', () => {
    const nearly = fc.stringMatching(/^[0-9a-fA-F:.\- ]{0,20}$/u);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), nearly), (text) => {
        try {
          expect(parseMac(text)).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/u);
        } catch (error) {
          if (!(error instanceof IdentityError)) throw error;
        }
      }),
    );
  });

  it('comes back from bytes and from every spelling', () => {
    fc.assert(
      fc.property(deviceMac, (bytes) => {
        const mac = formatMac(bytes);
        const hex = Buffer.from(bytes).toString('hex');
        expect(macBytes(mac)).toEqual(Buffer.from(bytes));
        expect(parseMac(mac.replaceAll(':', '-').toUpperCase())).toBe(mac);
        expect(parseMac(`${hex.slice(0, 4)}.${hex.slice(4, 8)}.${hex.slice(8)}`)).toBe(mac);
      }),
    );
  });

  it('refuses bytes of another length', () => {
    for (const length of [0, 5, 7]) expect(() => formatMac(new Uint8Array(length).fill(2))).toThrow(IdentityError);
  });
});
