import { isIP } from 'node:net';
import { Refusal } from '@sekisho/wire';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { carriedIpv4, classify, unmapped } from './address.ts';
import { parseHost } from './host.ts';
import { formatAddress, type IpAddress, parseAddress } from './ip-address.ts';

/** Every spelling a destination might be dialled in, and what it is; `name` goes to DNS, `refused` is no destination. */
const SPELLINGS: readonly (readonly [string, string])[] = [
  // IPv4: public, and the edges of every special range
  ['8.8.8.8', 'public'],
  ['1.0.0.0', 'public'],
  ['9.255.255.255', 'public'],
  ['11.0.0.0', 'public'],
  ['223.255.255.255', 'public'],
  ['0.0.0.0', 'unspecified'],
  ['0.0.0.1', 'reserved'],
  ['0.255.255.255', 'reserved'],
  ['10.0.0.0', 'private'],
  ['10.255.255.255', 'private'],
  ['100.63.255.255', 'public'],
  ['100.64.0.0', 'cgnat'],
  ['100.127.255.255', 'cgnat'],
  ['100.128.0.0', 'public'],
  ['100.100.100.200', 'metadata'],
  ['126.255.255.255', 'public'],
  ['127.0.0.1', 'loopback'],
  ['127.1.2.3', 'loopback'],
  ['127.255.255.255', 'loopback'],
  ['128.0.0.0', 'public'],
  ['169.253.255.255', 'public'],
  ['169.254.0.0', 'link-local'],
  ['169.254.169.254', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['169.254.255.255', 'link-local'],
  ['169.255.0.0', 'public'],
  ['168.63.129.16', 'metadata'],
  ['172.15.255.255', 'public'],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.0', 'public'],
  ['192.0.0.1', 'reserved'],
  ['192.0.0.192', 'metadata'],
  ['192.0.1.0', 'public'],
  ['192.0.2.1', 'documentation'],
  ['192.88.99.1', 'transition'],
  ['192.167.255.255', 'public'],
  ['192.168.0.1', 'private'],
  ['192.169.0.0', 'public'],
  ['198.17.255.255', 'public'],
  ['198.18.0.1', 'reserved'],
  ['198.19.255.255', 'reserved'],
  ['198.20.0.0', 'public'],
  ['198.51.100.7', 'documentation'],
  ['203.0.113.9', 'documentation'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.255', 'multicast'],
  ['240.0.0.1', 'reserved'],
  ['255.255.255.254', 'reserved'],
  ['255.255.255.255', 'broadcast'],
  // IPv6
  ['2606:4700::1111', 'public'],
  ['2A00:1450:4001:81B::200E', 'public'],
  ['2400:cb00:2048:1:0:0:c629:d7a2', 'public'],
  ['::', 'unspecified'],
  ['0:0:0:0:0:0:0:0', 'unspecified'],
  ['0::0', 'unspecified'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['0000:0000:0000:0000:0000:0000:0000:0001', 'loopback'],
  ['::0001', 'loopback'],
  ['::0.0.0.1', 'loopback'],
  ['fc00::1', 'private'],
  ['fdff:ffff::1', 'private'],
  ['FD00:EC2::254', 'metadata'],
  ['fd20:ce::254', 'metadata'],
  ['fe80::1', 'link-local'],
  ['febf::1', 'link-local'],
  ['fec0::1', 'private'],
  ['ff02::1', 'multicast'],
  ['ff0e::101', 'multicast'],
  ['100::1', 'reserved'],
  ['100:0:0:1::1', 'reserved'],
  ['2001:db8::1', 'documentation'],
  ['3fff::1', 'documentation'],
  ['2001:2::1', 'reserved'],
  ['2001:10::1', 'reserved'],
  ['2001:20::1', 'reserved'],
  ['2001:200::1', 'public'],
  ['4000::1', 'reserved'],
  ['5f00::1', 'reserved'],
  ['1fff:ffff::1', 'reserved'],
  ['3ffe:ffff::1', 'public'],
  // IPv4 inside IPv6
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['::FFFF:7F00:0001', 'loopback'],
  ['0:0:0:0:0:ffff:127.0.0.1', 'loopback'],
  ['0:0:0:0:0:ffff:7f00:1', 'loopback'],
  ['::ffff:10.1.2.3', 'private'],
  ['::ffff:a9fe:a9fe', 'metadata'],
  ['::ffff:169.254.169.254', 'metadata'],
  ['::ffff:0.0.0.0', 'unspecified'],
  ['::ffff:100.64.0.1', 'cgnat'],
  ['::ffff:8.8.8.8', 'public'],
  ['::127.0.0.1', 'loopback'],
  ['::7f00:1', 'loopback'],
  ['::10.0.0.1', 'private'],
  ['::8.8.8.8', 'transition'],
  ['::ffff:0:127.0.0.1', 'loopback'],
  ['::ffff:0:8.8.8.8', 'transition'],
  ['64:ff9b::127.0.0.1', 'loopback'],
  ['64:ff9b::7f00:1', 'loopback'],
  ['64:ff9b::10.0.0.1', 'private'],
  ['64:ff9b::169.254.169.254', 'metadata'],
  ['64:ff9b::a9fe:a9fe', 'metadata'],
  ['0064:ff9b:0000:0000:0000:0000:c0a8:0001', 'private'],
  ['64:ff9b::8.8.8.8', 'public'],
  ['64:ff9b:1::127.0.0.1', 'loopback'],
  ['64:ff9b:1::8.8.8.8', 'transition'],
  ['64:ff9b:1:7f00:0:100::', 'unspecified'],
  ['64:ff9b:2::8.8.8.8', 'reserved'],
  ['2002:7f00:1::', 'loopback'],
  ['2002:7f00:0001:0:0:0:0:1', 'loopback'],
  ['2002:a00:1::1', 'private'],
  ['2002:a9fe:a9fe::', 'metadata'],
  ['2002:c0a8:101::1', 'private'],
  ['2002:808:808::1', 'transition'],
  ['2001:0:7f00:1:0:0:f7f7:f7f7', 'loopback'],
  ['2001:0:808:808:0:0:80ff:fffe', 'loopback'],
  ['2001::808:808:0:0:f5ff:fffe', 'private'],
  ['2001:0:808:808:0:0:f7f7:f7f7', 'transition'],
  ['2606:4700::5efe:127.0.0.1', 'loopback'],
  ['2606:4700::200:5efe:10.0.0.1', 'private'],
  ['fe80::5efe:192.168.0.1', 'link-local'],
  // Names
  ['mail.example.com', 'name'],
  ['MAIL.Example.COM.', 'name'],
  ['xn--bcher-kva.example', 'name'],
  ['_smtp.example.com', 'name'],
  ['mailhost', 'name'],
  ['1.2.3.4.example', 'name'],
  ['127.0.0.1.nip.io', 'name'],
  ['0x7f.0.0.1.example', 'name'],
  // Neither
  ['', 'refused'],
  ['.', 'refused'],
  ['..', 'refused'],
  ['mail..example.com', 'refused'],
  ['.mail.example.com', 'refused'],
  ['-mail.example.com', 'refused'],
  ['mail-.example.com', 'refused'],
  ['mail example.com', 'refused'],
  ['mail@example.com', 'refused'],
  ['mail.example.com:25', 'refused'],
  ['mail.example.com/', 'refused'],
  ['bücher.example', 'refused'],
  ['１２７.0.0.1', 'refused'],
  ['127。0。0。1', 'refused'],
  ['①②⑦.0.0.1', 'refused'],
  ['127.1', 'refused'],
  ['127.0.1', 'refused'],
  ['127', 'refused'],
  ['0', 'refused'],
  ['2130706433', 'refused'],
  ['017700000001', 'refused'],
  ['0x7f000001', 'refused'],
  ['0X7F000001', 'refused'],
  ['0x7f.1', 'refused'],
  ['0x7f.0.0.1', 'refused'],
  ['0x7f.0x0.0x0.0x1', 'refused'],
  ['0177.0.0.1', 'refused'],
  ['0177.0.0.01', 'refused'],
  ['127.0.0.01', 'refused'],
  ['127.000.000.001', 'refused'],
  ['00127.0.0.1', 'refused'],
  ['127.0.0.1.', 'refused'],
  ['127.0.0.256', 'refused'],
  ['127.0.0.0x1', 'refused'],
  ['256.0.0.1', 'refused'],
  ['1.2.3', 'refused'],
  ['1.2.3.4.5', 'refused'],
  ['1..2.3', 'refused'],
  ['+127.0.0.1', 'refused'],
  ['-1', 'refused'],
  [' 127.0.0.1', 'refused'],
  ['127.0.0.1 ', 'refused'],
  ['127.0.0.1%25', 'refused'],
  ['example.0x', 'refused'],
  ['example.7', 'refused'],
  ['[::1]', 'refused'],
  ['::1%lo', 'refused'],
  ['fe80::1%eth0', 'refused'],
  ['fe80::1%25eth0', 'refused'],
  ['::1/128', 'refused'],
  [':::1', 'refused'],
  [':1', 'refused'],
  ['1:', 'refused'],
  ['1::2::3', 'refused'],
  ['::ffff:127.1', 'refused'],
  ['::ffff:0x7f.0.0.1', 'refused'],
  ['::ffff:0177.0.0.1', 'refused'],
  ['::ffff:127.0.0.1.', 'refused'],
  ['::127.0.0.1:1', 'refused'],
  ['127.0.0.1::', 'refused'],
  ['1:2:3:4:5:6:7', 'refused'],
  ['1:2:3:4:5:6:7:8:9', 'refused'],
  ['1:2:3:4:5:6:7::8', 'refused'],
  ['1:2:3:4:5:6:7:1.2.3.4', 'refused'],
  ['00001::1', 'refused'],
  ['g::1', 'refused'],
  ['0x7f::1', 'refused'],
];

function seen(text: string): string {
  try {
    const host = parseHost(text);
    return host.kind === 'name' ? 'name' : classify(host.address);
  } catch (error) {
    if (error instanceof Refusal && error.code === 'DESTINATION_NAME') return 'refused';
    throw error;
  }
}

test.each(SPELLINGS)('%j is %s', (text, expected) => {
  expect(seen(text)).toBe(expected);
});

test('the table has the spellings it promises', () => {
  expect(new Set(SPELLINGS.map(([text]) => text)).size).toBeGreaterThanOrEqual(120);
});

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const ipv6Bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
const v4 = (bytes: readonly number[]): IpAddress => ({ family: 4, bytes: Uint8Array.from(bytes) });
const v6 = (bytes: readonly number[]): IpAddress => ({ family: 6, bytes: Uint8Array.from(bytes) });

/** Each way to put an IPv4 address into an IPv6 address, with whatever else the format has. */
const EMBEDDINGS: Readonly<Record<string, (v4: readonly number[], rest: readonly number[]) => readonly number[]>> = {
  mapped: (ip) => [...zeros(10), 0xff, 0xff, ...ip],
  compatible: (ip) => [...zeros(12), ...ip],
  translated: (ip) => [...zeros(8), 0xff, 0xff, 0, 0, ...ip],
  nat64: (ip) => [0, 0x64, 0xff, 0x9b, ...zeros(8), ...ip],
  'local nat64 /96': (ip, rest) => [0, 0x64, 0xff, 0x9b, 0, 1, ...rest.slice(0, 6), ...ip],
  'local nat64 /48': (ip, rest) => [0, 0x64, 0xff, 0x9b, 0, 1, ip[0]!, ip[1]!, 0, ip[2]!, ip[3]!, ...rest.slice(0, 5)],
  '6to4': (ip, rest) => [0x20, 0x02, ...ip, ...rest.slice(0, 10)],
  'Teredo server': (ip, rest) => [0x20, 0x01, 0, 0, ...ip, ...rest.slice(0, 8)],
  'Teredo client': (ip, rest) => [0x20, 0x01, 0, 0, ...rest.slice(0, 8), ...ip.map((byte) => byte ^ 0xff)],
  ISATAP: (ip, rest) => [0x26, 0x06, ...rest.slice(0, 6), 0, 0, 0x5e, 0xfe, ...ip],
};
const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);

describe('embeddings', () => {
  test.each(Object.entries(EMBEDDINGS))('%s: what is refused as IPv4 is refused inside IPv6', (_name, embed) => {
    const refused = octets.filter((ip) => classify(v4(ip)) !== 'public');
    fc.assert(
      fc.property(refused, ipv6Bytes, (ip, rest) => {
        const outer = v6(embed(ip, [...rest]));
        expect(classify(outer)).not.toBe('public');
        // However it is written, it is the same place.
        expect(seen(formatAddress(outer))).toBe(classify(outer));
      }),
      { numRuns: 300 },
    );
  });

  test('a mapped address is that IPv4 address', () => {
    fc.assert(
      fc.property(octets, (ip) => {
        const mapped = v6(EMBEDDINGS['mapped']!(ip, []));
        expect(unmapped(mapped)).toEqual(v4(ip));
        expect(carriedIpv4(mapped)).toEqual([v4(ip)]);
        expect(classify(mapped)).toBe(classify(v4(ip)));
      }),
    );
  });
});

describe('spelling', () => {
  test('an address is read as it was written', () => {
    fc.assert(
      fc.property(octets, (ip) => {
        expect(parseAddress(ip.join('.'))).toEqual(v4(ip));
      }),
    );
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const address = v6([...bytes]);
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  test('nothing is an address that Node does not take for one', () => {
    const pieces = fc.constantFrom('::', ':', '.', '0', '1', '7f', '127', 'ffff', '255', '%', '0x', '01', '1.2.3.4');
    const text = fc.oneof(fc.array(pieces, { maxLength: 14 }).map((parts) => parts.join('')), fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(text, (candidate) => {
        const expected = candidate.includes('%') ? 0 : isIP(candidate);
        expect(parseAddress(candidate)?.family ?? 0).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  test('any text is a host or a refusal, never an exception of another kind', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(seen(text)).toBeTypeOf('string');
      }),
    );
  });
});
