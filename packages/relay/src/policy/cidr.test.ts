import * as fc from 'fast-check';
import { BlockList } from 'node:net';
import { expect, test } from 'vitest';
import { cidrContains, parseCidr } from './cidr.ts';
import { formatAddress, parseAddress } from './ip-address.ts';

test.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.1.2.3/8', '10.9.9.9', true],
  ['192.168.7.128/25', '192.168.7.129', true],
  ['192.168.7.128/25', '192.168.7.127', false],
  ['127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '127.0.0.2', false],
  ['0.0.0.0/0', '8.8.8.8', true],
  ['0.0.0.0/0', '::', false],
  ['::/0', '1.2.3.4', false],
  ['2001:db8::/33', '2001:db8:7fff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
])('%s and %s: %s', (block, address, expected) => {
  expect(cidrContains(parseCidr(block), parseAddress(address)!)).toBe(expected);
});

test.each(['', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8', '::/129', 'x', '10/8'])(
  '%j is no block',
  (text) => {
    expect(() => parseCidr(text)).toThrow(RangeError);
  },
);

test('agrees with BlockList of Node', () => {
  const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  fc.assert(
    fc.property(octets, octets, fc.integer({ min: 1, max: 32 }), fc.boolean(), (block, other, bits, near) => {
      const mask = (0xffff_ffff << (32 - bits)) >>> 0;
      const value = Buffer.from(block).readUInt32BE(0);
      const prefix = dotted((value & mask) >>> 0);
      const address = near ? dotted(((value & mask) | (Buffer.from(other).readUInt32BE(0) & ~mask)) >>> 0) : other.join('.');
      const list = new BlockList();
      list.addSubnet(prefix, bits);
      expect(cidrContains(parseCidr(`${prefix}/${bits}`), parseAddress(address)!)).toBe(list.check(address));
    }),
  );
});

function dotted(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return formatAddress({ family: 4, bytes });
}
