import { Redis, type RedisOptions } from 'ioredis';
import type { Backoff } from './backoff.ts';

/** Certificates for `rediss:`, in PEM. Without `ca` the system's authorities are trusted. */
export interface RedisTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name the server's certificate carries, if not the host of the url. */
  readonly serverName?: string | undefined;
}

/** Where a Redis is and who we are there. */
export interface RedisEndpoint {
  readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly database: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: RedisTls | undefined;
}

/**
 * An ioredis client that never holds a command back for later: what cannot be sent now fails now, and what was under
 * way when the connection broke fails once. Connecting goes on for ever with the backoff's pauses.
 */
export function createRedisClient(
  components: { readonly backoff: Backoff },
  init: RedisEndpoint & { readonly connectTimeoutMs: number },
): Redis {
  const options: RedisOptions = {
    ...init.at,
    db: init.database,
    connectTimeout: init.connectTimeoutMs,
    retryStrategy: () => components.backoff.nextMs(),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // INFO and CLIENT need rights that the ACL of a store should not give; RedisConnection pings instead.
    enableReadyCheck: false,
    disableClientInfo: true,
    keepAlive: 10_000,
  };
  if (init.username !== undefined) options.username = init.username;
  if (init.password !== undefined) options.password = init.password;
  if (init.tls !== undefined) options.tls = tlsOptions(init.tls);
  return new Redis(options);
}

function tlsOptions({ ca, cert, key, serverName }: RedisTls): NonNullable<RedisOptions['tls']> {
  return {
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
