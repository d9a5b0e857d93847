import { expect, test } from 'vitest';
import { parseScannerAddress } from './scanner-address.ts';

test('a socket, an address, a name, an IPv6 address', () => {
  expect(parseScannerAddress('unix:/run/clamav/clamd.ctl')).toEqual({ path: '/run/clamav/clamd.ctl' });
  expect(parseScannerAddress('tcp:10.0.0.7:3310')).toEqual({ host: '10.0.0.7', port: 3310 });
  expect(parseScannerAddress('tcp:clamd-1.example.com:3310')).toEqual({ host: 'clamd-1.example.com', port: 3310 });
  expect(parseScannerAddress('tcp:[2001:db8::7]:3310')).toEqual({ host: '2001:db8::7', port: 3310 });
});

test.each([
  ['', 'a scanner is unix:/path or tcp:host:port'],
  ['/run/clamav/clamd.ctl', 'a scanner is unix:/path or tcp:host:port'],
  ['10.0.0.7:3310', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:10.0.0.7', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:10.0.0.7:0', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:10.0.0.7:65536', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:10.0.0.7:3310 ', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:2001:db8::7:3310', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:[2001:db8::g]:3310', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:[::ffff]:]:3310', 'a scanner is unix:/path or tcp:host:port'],
  ['tcp:127.1:3310', '127.1 is neither a host name nor an IP address'],
  ['tcp:-x:3310', '-x is neither a host name nor an IP address'],
  ['unix:clamd.ctl', 'begins with a slash'],
  ['unix:/a\0b', 'no NUL'],
  [`unix:/${'x'.repeat(107)}`, 'at most 107 bytes'],
])('%j is none', (text, words) => {
  expect(() => parseScannerAddress(text)).toThrow(words);
});
