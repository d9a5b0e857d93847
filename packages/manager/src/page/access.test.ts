import { describe, expect, test } from 'vitest';
import { isPrivateWay, requireOwnHost, requireOwnOrigin, type RequestSigns } from './access.ts';

const HOSTS = ['status.example.com', '192.0.2.80:7080'];
const signs = (changes: Partial<RequestSigns>): RequestSigns => ({
  host: '127.0.0.1:7080',
  origin: 'http://127.0.0.1:7080',
  fetchSite: 'same-origin',
  marker: '1',
  localAddress: '127.0.0.1',
  remoteAddress: '127.0.0.1',
  ...changes,
});

describe('the page is called by its own names only', () => {
  const accepts = (host: string | undefined, localAddress = '127.0.0.1') => () => requireOwnHost(signs({ host, localAddress }), HOSTS);

  test.each([
    'localhost', 'LocalHost:7080', '127.0.0.1', '127.0.0.1:80', '[::1]:7080', '[::1]', 'status.example.com', 'STATUS.example.com:8443', '192.0.2.80',
  ])('%s', (host) => expect(accepts(host)).not.toThrow());

  test('the address where it was called, also where the socket takes both families', () => {
    expect(accepts('192.0.2.11:7080', '192.0.2.11')).not.toThrow();
    expect(accepts('192.0.2.11:7080', '::ffff:192.0.2.11')).not.toThrow();
    expect(accepts('[2001:db8::1]:7080', '2001:db8::1')).not.toThrow();
    expect(accepts('192.0.2.12:7080', '192.0.2.11')).toThrow('page.hosts');
  });

  test.each([
    undefined, '', 'evil.example', 'localhost.evil.example', '127.0.0.1.nip.io', 'status.example.com.evil.example', 'user@localhost', 'localhost/', 'localhost:7080:1',
    'localhost, evil.example', '[::2]', 'evil.example#localhost', '2130706433x',
  ])('not %s', (host) => expect(accepts(host)).toThrow('page.hosts'));
});

describe('an order comes from the page itself', () => {
  const accepts = (changes: Partial<RequestSigns>) => () => requireOwnOrigin(signs(changes), HOSTS);

  test('from it, with a browser that says so and with one that does not', () => {
    expect(accepts({})).not.toThrow();
    expect(accepts({ fetchSite: undefined })).not.toThrow();
    expect(accepts({ origin: 'https://status.example.com', host: 'status.example.com' })).not.toThrow();
  });

  test('through a proxy that calls us by another name', () => {
    expect(accepts({ origin: 'https://status.example.com' })).not.toThrow();
    expect(accepts({ origin: 'https://192.0.2.80:7080' })).not.toThrow();
  });

  test.each<[string, Partial<RequestSigns>]>([
    ['no origin', { origin: undefined }],
    ['a file or a sandbox', { origin: 'null' }],
    ['another page', { origin: 'https://evil.example' }],
    ['another port of the same machine', { origin: 'http://127.0.0.1:8080' }],
    ['another name of the same machine', { origin: 'http://localhost:7080' }],
    ['a listed name in the clear', { origin: 'http://status.example.com' }],
    ['a listed name at another port', { origin: 'https://status.example.com:8443' }],
    ['a name that begins like ours', { origin: 'http://127.0.0.1:7080.evil.example' }],
    ['an extension', { origin: 'chrome-extension://127.0.0.1:7080' }],
    ['a browser that says: cross-site', { fetchSite: 'cross-site' }],
    ['a browser that says: same-site', { fetchSite: 'same-site' }],
    ['a form, which cannot send our header', { marker: undefined }],
  ])('not from %s', (_, changes) => expect(accepts(changes)).toThrow('orders are taken from the status page itself only'));
});

test('a token goes over loopback, or comes over TLS', () => {
  const way = (remoteAddress: string, origin?: string, host = 'localhost:7080') => isPrivateWay({ remoteAddress, origin, host });
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) expect(way(address), address).toBe(true);
  for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', '', '1127.0.0.1'])
    expect([way(address), way(address, 'http://status.example.com'), way(address, 'https://status.example.com')], address).toEqual([false, false, true]);
});

test('a token that a proxy without TLS forwards from this machine came in the clear', () => {
  const way = (host: string | undefined, origin?: string) => isPrivateWay({ remoteAddress: '127.0.0.1', origin, host });
  for (const host of ['localhost', '127.0.0.1:7080', '127.0.0.5', '[::1]:7080']) expect(way(host), host).toBe(true);
  for (const host of ['status.example.com', '192.0.2.11:7080', '127.evil.example', '[2001:db8::1]', '', undefined])
    expect([way(host), way(host, 'http://status.example.com'), way(host, 'https://status.example.com')], host).toEqual([false, false, true]);
});
