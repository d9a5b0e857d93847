import { createHash } from 'node:crypto';
import type { SiteConfig } from './site-schema.ts';

/**
 * Digests by which servers are compared that should have the same configuration: the first 16 hexadecimal digits of the
 * SHA-256 of the parsed configuration, defaults and environment laid over it included, as JSON with sorted keys. Of
 * files only the names are in it, never what is in them.
 */

const HEX_DIGITS = 16;

/**
 * What is a site's own: its name, machines and places, whom it tells, how its line and its networks are. All else is
 * what must be the same at every site, new keys, too.
 */
export const OWN_TO_A_SITE: readonly string[] = [
  'site',
  'servers',
  'keys',
  'stateDir',
  'store',
  'table',
  'ports.relay',
  'ports.relayControl',
  'ports.auth',
  'auth.revocations.file',
  'relay.workers',
  'relay.bytesPerSecondLimit',
  'relay.dns',
  'relay.inspect.clamd',
  'relay.inspect.spoolDir',
  'outbreak',
  'metrics',
  'page',
  'log',
];

/** What a server may have of its own, by its environment: where it serves metrics and the page, which is not always on loopback. */
const OWN_TO_A_SERVER = ['metrics.address', 'page.address'];

/** Of what site.yaml says to all servers of a site: the same at every one. */
export function configDigest(config: SiteConfig): string {
  return digest(without(config, paths(OWN_TO_A_SERVER)));
}

/** Of what must be the same at every site; see {@link OWN_TO_A_SITE}. */
export function stackDigest(config: SiteConfig): string {
  return digest(without(config, paths(OWN_TO_A_SITE)));
}

function paths(keys: readonly string[]): string[][] {
  return keys.map((key) => key.split('.'));
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(sorted(value))).digest('hex').slice(0, HEX_DIGITS);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => sorted(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sorted(item)] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function without(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (typeof value !== 'object' || value === null || paths.length === 0) return value;
  const kept = Object.entries(value).filter(([key]) => !paths.some((path) => path.length === 1 && path[0] === key));
  return Object.fromEntries(
    kept.map(([key, item]) => [key, without(item, paths.filter(([first]) => first === key).map((path) => path.slice(1)))]),
  );
}
