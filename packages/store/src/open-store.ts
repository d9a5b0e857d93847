import type { OnStateChange } from './availability.ts';
import { Backoff } from './backoff.ts';
import type { DetectionLimits } from './detection.ts';
import { createRedisClient, type RedisTls } from './redis-client.ts';
import { RedisConnection } from './redis-connection.ts';
import { checkSite, RedisStore } from './redis-store.ts';
import { SqliteStore } from './sqlite-store.ts';
import { StoreError } from './store-error.ts';
import { parseStoreUrl, type StoreAddress } from './store-url.ts';
import type { Store } from './store.ts';

export const DEFAULT_OPERATION_TIMEOUT_MS = 1000;
/** Pauses between attempts to reach Redis again. */
const RECONNECT = { firstMs: 50, maxMs: 5000 } as const;

export interface StoreComponents {
  readonly onStateChange?: OnStateChange | undefined;
  /** Milliseconds since 1970. */
  readonly clock?: { now(): number } | undefined;
}

/** Which store, whose, and how to prove ourselves to it. */
export interface StoreSpec {
  /** See {@link parseStoreUrl}. */
  readonly url: string;
  /** Begins the keys in a Redis, which several sites may share. */
  readonly site: string;
  /** Instead of those in the url: of a Redis ACL user. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** For `rediss:` only. */
  readonly tls?: RedisTls | undefined;
  /** Longest time an operation takes, in milliseconds. */
  readonly operationTimeoutMs?: number | undefined;
  /** Instead of the usual ones. */
  readonly detectionLimits?: DetectionLimits | undefined;
}

/**
 * Opens the store of a site. A Redis that is not there yet is no error: the store is returned in the state `down` and
 * connects in the background. Throws StoreError INVALID, and for SQLite also DENIED, CORRUPT or INCOMPATIBLE.
 */
export async function openStore(components: StoreComponents, spec: StoreSpec): Promise<Store> {
  const operationTimeoutMs = spec.operationTimeoutMs ?? DEFAULT_OPERATION_TIMEOUT_MS;
  if (!Number.isInteger(operationTimeoutMs) || operationTimeoutMs < 1)
    throw new StoreError('INVALID', 'operationTimeoutMs is a whole number of milliseconds above 0');
  const address = parseStoreUrl(spec.url);
  const { detectionLimits } = spec;
  if (address.kind === 'sqlite') return SqliteStore.open(components, { path: address.path, operationTimeoutMs, detectionLimits });
  return openRedis(components, spec, address, operationTimeoutMs);
}

async function openRedis(
  components: StoreComponents,
  spec: StoreSpec,
  address: Extract<StoreAddress, { kind: 'redis' }>,
  operationTimeoutMs: number,
): Promise<Store> {
  if (spec.tls !== undefined && !address.tls) throw new StoreError('INVALID', 'tls is for a store at rediss: only');
  const site = checkSite(spec.site);
  const backoff = new Backoff({ random: Math.random }, RECONNECT);
  const client = createRedisClient(
    { backoff },
    {
      at: address.at,
      database: address.database,
      username: spec.username ?? address.username,
      password: spec.password ?? address.password,
      tls: address.tls ? (spec.tls ?? {}) : undefined,
      connectTimeoutMs: operationTimeoutMs,
    },
  );
  const connection = new RedisConnection({ client, backoff, ...components }, { operationTimeoutMs });
  const store = new RedisStore({ connection, clock: components.clock }, { site, detectionLimits: spec.detectionLimits });
  await connection.firstOutcome();
  return store;
}
