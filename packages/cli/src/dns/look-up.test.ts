import { expect, test } from 'vitest';
import { parseDnsServer, resolverAddress } from './look-up.ts';

test.each([
  ['192.0.2.53', '192.0.2.53', 53],
  ['192.0.2.53:5353', '192.0.2.53', 5353],
  ['2001:db8::53', '2001:db8::53', 53],
  ['[2001:db8::53]', '2001:db8::53', 53],
  ['[2001:db8::53]:5353', '2001:db8::53', 5353],
  ['ns1.example.com', 'ns1.example.com', 53],
  ['ns1.example.com:5353', 'ns1.example.com', 5353],
])('%s is a DNS server', (text, host, port) => {
  expect(parseDnsServer(text)).toEqual({ host, port });
});

test.each(['', ':53', '192.0.2.53:0', '192.0.2.53:65536', '[192.0.2.53]:53', '-k', 'a b', 'ns1\nsend', '2001:db8::53:x'])('%j is none', (text) => {
  expect(parseDnsServer(text)).toBeUndefined();
});

test('a resolver gets an address', async () => {
  expect(await resolverAddress({ host: '192.0.2.53', port: 53 })).toBe('192.0.2.53:53');
  expect(await resolverAddress({ host: '2001:db8::53', port: 5353 })).toBe('[2001:db8::53]:5353');
  expect(await resolverAddress({ host: 'localhost', port: 53 })).toMatch(/^(?:127\.0\.0\.1|\[::1\]):53$/u);
  await expect(resolverAddress({ host: 'nowhere.invalid', port: 53 })).rejects.toThrow('nowhere.invalid is not found');
});
