import { describe, expect, it } from 'vitest';
import { parseStoreUrl } from './store-url.ts';

describe('parseStoreUrl', () => {
  it.each<[string, object]>([
    ['sqlite:/var/lib/sekisho/store.db', { kind: 'sqlite', path: '/var/lib/sekisho/store.db' }],
    ['sqlite:///a%20b.db', { kind: 'sqlite', path: '/a b.db' }],
    ['sqlite:./store.db', { kind: 'sqlite', path: './store.db' }],
    ['redis://redis.example', { kind: 'redis', at: { host: 'redis.example', port: 6379 }, database: 0, tls: false }],
    ['redis://:p%40ss%23@127.0.0.1:7000/3', { kind: 'redis', at: { host: '127.0.0.1', port: 7000 }, database: 3, tls: false, password: 'p@ss#' }],
    [
      'rediss://sekisho:secret@[2001:db8::1]/',
      {
        kind: 'redis',
        at: { host: '2001:db8::1', port: 6379 },
        database: 0,
        tls: true,
        username: 'sekisho',
        password: 'secret',
      },
    ],
    ['redis+unix:/run/redis/redis.sock', { kind: 'redis', at: { path: '/run/redis/redis.sock' }, database: 0, tls: false }],
    ['redis+unix:/run/redis.sock?db=2', { kind: 'redis', at: { path: '/run/redis.sock' }, database: 2, tls: false }],
  ])('reads %s', (url, address) => {
    expect(parseStoreUrl(url)).toEqual(address);
  });

  it.each([
    'secret',
    'sqlite:',
    'sqlite:/',
    'sqlite::memory:',
    'sqlite:file:secret?mode=memory',
    'sqlite://secret/store.db',
    'sqlite:/store.db?secret=1',
    'sqlite:/a%00secret',
    'redis:',
    'redis://:secret@',
    'redis://:secret@host:0',
    'redis://:secret@host:99999',
    'redis://:secret@host/one',
    'redis://:secret@host/1/2',
    'redis://:secret@host?db=1',
    'redis://:secret%@host',
    'redis://:secret@host#1',
    'redis+unix:',
    'redis+unix:/secret?db=-1',
    'redis+unix:/secret?user=secret',
    `redis+unix:/secret${'x'.repeat(101)}`,
    'http://secret/',
  ])('refuses %s without repeating it', (url) => {
    const refusal = (): unknown => parseStoreUrl(url);
    expect(refusal).toThrow(expect.objectContaining({ name: 'StoreError', code: 'INVALID' }));
    expect(refusal).not.toThrow(/secret/u);
  });
});
