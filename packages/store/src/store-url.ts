import { StoreError } from './store-error.ts';

/** Where a store is, as a url says it. */
export type StoreAddress =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'redis';
      readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
      readonly database: number;
      readonly tls: boolean;
      readonly username?: string | undefined;
      readonly password?: string | undefined;
    };

const DEFAULT_REDIS_PORT = 6379;
/** `sun_path` of a UNIX socket holds 108 bytes with its final NUL (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;
const DATABASE = /^(?:0|[1-9][0-9]{0,3})$/u;

/**
 * Reads `sqlite:/path/file.db`, `redis://[user[:password]@]host[:port][/db]`, `rediss://...` or
 * `redis+unix:/path/socket[?db=N]`. Throws StoreError INVALID, whose text never repeats the url.
 */
export function parseStoreUrl(text: string): StoreAddress {
  const url = URL.parse(text);
  if (url === null) throw invalid('is not a url');
  if (url.hash !== '') throw invalid('has a fragment; write # in a password as %23');
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'db' || url.protocol !== 'redis+unix:');
  if (unknown !== undefined) throw invalid('has a parameter that is not known');
  switch (url.protocol) {
    case 'sqlite:':
      return { kind: 'sqlite', path: filePath(url) };
    case 'redis+unix:':
      return { kind: 'redis', at: { path: socketPath(url) }, database: databaseNumber(url.searchParams.get('db')), tls: false };
    case 'redis:':
    case 'rediss:':
      return redisServer(url);
    default:
      throw invalid('begins with sqlite:, redis:, rediss: or redis+unix:');
  }
}

function redisServer(url: URL): StoreAddress {
  if (url.hostname === '') throw invalid('names no host');
  const port = url.port === '' ? DEFAULT_REDIS_PORT : Number(url.port);
  if (port === 0) throw invalid('has port 0');
  return {
    kind: 'redis',
    at: { host: decode(url.hostname).replace(/^\[(.*)\]$/u, '$1'), port },
    database: databaseNumber(url.pathname.replace(/^\//u, '') || null),
    tls: url.protocol === 'rediss:',
    ...(url.username === '' ? {} : { username: decode(url.username) }),
    ...(url.password === '' ? {} : { password: decode(url.password) }),
  };
}

function filePath(url: URL): string {
  const path = decode(url.pathname);
  if (url.host !== '' || path === '' || path === '/') throw invalid('names a file like sqlite:/path/file.db');
  // ":memory:" and "file:" mean something else to SQLite; several processes share a file or nothing.
  if (path.startsWith(':') || path.startsWith('file:')) throw invalid('names a file like sqlite:/path/file.db');
  if (path.includes('\0')) throw invalid('has a NUL byte');
  return path;
}

function socketPath(url: URL): string {
  const path = filePath(url);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    throw invalid(`names a socket of more than ${MAX_SOCKET_PATH_BYTES} bytes`);
  return path;
}

function databaseNumber(text: string | null): number {
  if (text === null) return 0;
  if (!DATABASE.test(text)) throw invalid('has a database that is not a number');
  return Number(text);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid('has a % that is not followed by two hexadecimal digits');
  }
}

function invalid(what: string): StoreError {
  return new StoreError('INVALID', `the url of the store ${what}`);
}
