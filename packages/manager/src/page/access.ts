import { isIP } from 'node:net';
import { PageError } from './page-error.ts';

/** What a request says of where it comes from and whom it means. */
export interface RequestSigns {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  /** The header that our own script sets, and that another page may not send without being asked. */
  readonly marker: string | undefined;
  /** Where the connection ends here, and where it comes from. */
  readonly localAddress: string;
  readonly remoteAddress: string;
}

/** The header of {@link RequestSigns.marker}. */
export const MARKER_HEADER = 'x-sekisho-page';

const LOOPBACK_NAMES: readonly string[] = ['localhost', '127.0.0.1', '::1'];

/**
 * Refuses a request that calls the page by a name other than its own: a page of somebody else whose name suddenly leads
 * here (DNS rebinding) would otherwise be allowed to read it. Throws PageError.
 *
 * @param hosts names, with a port or without, by which the page may be called besides its address and loopback
 */
export function requireOwnHost({ host, localAddress }: RequestSigns, hosts: readonly string[]): void {
  const name = host === undefined ? undefined : hostName(host);
  if (name !== undefined && [...LOOPBACK_NAMES, plainAddress(localAddress)].includes(name)) return;
  if (name !== undefined && hosts.some((known) => hostName(known) === name)) return;
  throw new PageError('HOST_REFUSED', 'this is not a name of the status page; if it should be one, add it to page.hosts in site.yaml');
}

/**
 * Refuses an order that another page may have sent in the operator's name: it must come from this page (behind a proxy
 * that ends TLS: from one of `hosts`) and carry the header that only our script sets. Throws PageError.
 */
export function requireOwnOrigin({ host, origin, fetchSite, marker }: RequestSigns, hosts: readonly string[]): void {
  const from = origin === undefined ? null : URL.parse(origin);
  const isOwn = from !== null && /^https?:$/u.test(from.protocol) && from.host === host?.toLowerCase();
  const isProxied = from !== null && from.protocol === 'https:' && hosts.includes(from.host);
  if ((isOwn || isProxied) && (fetchSite === undefined || fetchSite === 'same-origin') && marker !== undefined) return;
  throw new PageError('ORIGIN_REFUSED', 'orders are taken from the status page itself only');
}

/**
 * Whether what the browser sends cannot be read on the way: TLS is in front, or it comes from this machine and has called us
 * by a name of this machine. By another name it came through a proxy, which forwards from here what it got in the clear.
 */
export function isPrivateWay({ host, origin, remoteAddress }: Pick<RequestSigns, 'host' | 'origin' | 'remoteAddress'>): boolean {
  if (origin !== undefined && URL.parse(origin)?.protocol === 'https:') return true;
  const name = host === undefined ? undefined : hostName(host);
  return name !== undefined && isLoopback(remoteAddress) && (LOOPBACK_NAMES.includes(name) || (isIP(name) !== 0 && isLoopback(name)));
}

/** `[::1]:80`, `localhost:80` and `localhost` without the port, lower case; undefined for what is no host. */
function hostName(host: string): string | undefined {
  const bare = isIP(host) === 6 ? `[${host}]` : host;
  if (!/^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/iu.test(bare)) return undefined;
  const name = URL.parse(`http://${bare}`)?.hostname;
  return name?.replaceAll(/^\[|\]$/gu, '');
}

/** IPv4 as such, also where the socket takes both. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/iu, '');
}

function isLoopback(address: string): boolean {
  return address === '::1' || plainAddress(address).startsWith('127.');
}
