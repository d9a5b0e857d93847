import { describe, expect, it } from 'vitest';
import { parseDnsName } from './dns-name.ts';

describe('parseDnsName', () => {
  it.each([
    ['manager.example.com', 'manager.example.com'],
    ['Manager.Example.COM.', 'manager.example.com'],
    ['localhost', 'localhost'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ])('takes %s', (text, name) => {
    expect(parseDnsName(text)).toBe(name);
  });

  it.each([
    '',
    '.',
    '*.example.com',
    '192.0.2.1',
    '2001:db8::1',
    'a..b',
    '-a.example',
    'a_b.example',
    'bücher.example',
    'a b',
    'a.example\n',
    `${'a'.repeat(64)}.example`,
    'a.'.repeat(127).concat('a'),
  ])('refuses %.40j', (text) => {
    expect(() => parseDnsName(text)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }));
  });
});
