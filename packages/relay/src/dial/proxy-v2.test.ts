import { expect, test } from 'vitest';
import { type Endpoint, parseEndpoint } from './client-address.ts';
import { encodeProxyV2 } from './proxy-v2.ts';

const at = (text: string): Endpoint => parseEndpoint(text)!;
const ID = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const SIGNATURE = '0d0a0d0a000d0a515549540a';

test.each([
  [
    'IPv4',
    '192.0.2.7:50123',
    '198.51.100.25:25',
    `${SIGNATURE} 21 11 001f c0000207 c6336419 c3cb 0019 05 0010 000102030405060708090a0b0c0d0e0f`,
  ],
  [
    'IPv6',
    '[2001:db8::7]:1',
    '[2001:db8::25]:587',
    `${SIGNATURE} 21 21 0037 20010db8000000000000000000000007 20010db8000000000000000000000025 0001 024b 05 0010 000102030405060708090a0b0c0d0e0f`,
  ],
  [
    'an IPv4 client at an IPv6 destination',
    '192.0.2.7:65535',
    '[2001:db8::25]:993',
    `${SIGNATURE} 21 21 0037 00000000000000000000ffffc0000207 20010db8000000000000000000000025 ffff 03e1 05 0010 000102030405060708090a0b0c0d0e0f`,
  ],
])('%s', (_name, client, destination, hex) => {
  const header = encodeProxyV2({ client: at(client), destination: at(destination), uniqueId: ID });
  expect(header.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

test('a client that is not known: LOCAL, so that the destination trusts nothing', () => {
  const header = encodeProxyV2({ client: undefined, destination: at('198.51.100.25:25'), uniqueId: ID });
  expect(header.toString('hex')).toBe(`${SIGNATURE}20000013050010000102030405060708090a0b0c0d0e0f`);
});

test.each(['', '192.0.2.7', '192.0.2.7:', '192.0.2.7:65536', '192.0.2.7:01', '2001:db8::1:25', '[192.0.2.7]:25', '[::1%lo]:1', 'x:1', '192.0.2.7:25\r\n'])(
  '%j is no endpoint',
  (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  },
);
