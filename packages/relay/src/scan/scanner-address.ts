import { parseHost } from '../policy/host.ts';

/** Where a scanner listens, as `net.connect` takes it. */
export type ScannerAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** unix(7): sun_path has 108 bytes, the last of them NUL. A longer path would be cut without a word. */
const MAX_SOCKET_PATH_BYTES = 107;
const TCP = /^tcp:(?:\[(?<six>[0-9a-f:.]+)\]|(?<host>[^:[\]\s]+)):(?<port>[1-9]\d{0,4})$/iu;

/**
 * Reads `unix:/run/clamav/clamd.ctl`, `tcp:10.0.0.7:3310`, `tcp:clamd.example.com:3310` or `tcp:[2001:db8::7]:3310`.
 * @throws Error that says what is wrong with it
 */
export function parseScannerAddress(text: string): ScannerAddress {
  if (text.startsWith('unix:')) return { path: socketPath(text.slice('unix:'.length)) };
  const { six, host = six, port } = TCP.exec(text)?.groups ?? {};
  if (host === undefined || Number(port) > 0xffff) throw new Error('a scanner is unix:/path or tcp:host:port, an IPv6 address in brackets');
  try {
    parseHost(host);
  } catch {
    throw new Error(`${host} is neither a host name nor an IP address`);
  }
  return { host, port: Number(port) };
}

function socketPath(path: string): string {
  if (!path.startsWith('/')) throw new Error("the path of a scanner's socket begins with a slash: unix:/run/clamav/clamd.ctl");
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) throw new Error(`the path of a scanner's socket has at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  if (path.includes('\0')) throw new Error("the path of a scanner's socket has no NUL");
  return path;
}
