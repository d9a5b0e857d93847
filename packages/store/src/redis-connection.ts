import type { Redis } from 'ioredis';
import { Availability, type OnStateChange } from './availability.ts';
import type { Backoff } from './backoff.ts';
import { fromRedisError } from './redis-error.ts';
import { StoreError } from './store-error.ts';

/** Operations that may wait for a reply at once; more means that callers do not wait for each other's failures. */
export const MAX_REDIS_OPERATIONS = 1000;

export interface RedisConnectionComponents {
  readonly client: Redis;
  /** Reset when Redis has answered. */
  readonly backoff?: Backoff | undefined;
  readonly onStateChange?: OnStateChange | undefined;
}

export interface RedisConnectionInit {
  readonly operationTimeoutMs: number;
}

/**
 * Deadlines and state over one ioredis client. Redis counts as reached when it has answered a ping on the present
 * connection, and as lost when a connection ends or a reply is late; in between, operations fail at once.
 */
export class RedisConnection {
  readonly #client: Redis;
  readonly #backoff: Backoff | undefined;
  readonly #availability: Availability;
  readonly #operationTimeoutMs: number;
  readonly #firstOutcome = Promise.withResolvers<void>();
  #reached = false;
  /** The present connection's failure is known already; what follows from it says less. */
  #explained = false;
  #closed = false;
  #waiting = 0;
  #lastFailure = new StoreError('UNAVAILABLE', 'Redis: not connected yet');

  constructor(components: RedisConnectionComponents, init: RedisConnectionInit) {
    this.#client = components.client;
    this.#backoff = components.backoff;
    this.#availability = new Availability(components.onStateChange);
    this.#operationTimeoutMs = init.operationTimeoutMs;
    this.#client.on('error', (error: unknown) => this.#lost(fromRedisError(error)));
    this.#client.on('connect', () => {
      this.#explained = false;
    });
    this.#client.on('close', () => this.#lostIfUnexplained(new StoreError('UNAVAILABLE', 'Redis: the connection ended')));
    this.#client.on('ready', () => void this.#verify());
  }

  /** Resolves when the first attempt to connect has succeeded or failed. */
  firstOutcome(): Promise<void> {
    return this.#firstOutcome.promise;
  }

  /** Runs one operation. Throws StoreError only. */
  async run<T>(operation: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    if (!this.#reached) throw this.#lastFailure;
    return this.#withinDeadline(operation);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reached = false;
    this.#firstOutcome.resolve();
    this.#client.disconnect();
    this.#destroySocket();
  }

  async #verify(): Promise<void> {
    try {
      await this.#withinDeadline((client) => client.ping());
    } catch (error) {
      this.#lostIfUnexplained(fromRedisError(error));
      // Makes the client connect again, with its backoff: it takes an open connection for a good one.
      this.#destroySocket();
      return;
    }
    if (this.#closed) return;
    this.#reached = true;
    this.#explained = false;
    this.#backoff?.reset();
    this.#availability.up();
    this.#firstOutcome.resolve();
  }

  async #withinDeadline<T>(operation: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_REDIS_OPERATIONS) throw new StoreError('UNAVAILABLE', 'Redis: too many operations wait');
    const late = Promise.withResolvers<never>();
    let settled = false;
    const expire = (): void => {
      if (!settled) late.reject(this.#giveUp());
    };
    // A reply that came while this process itself was busy is still read before setImmediate's turn.
    const timer = setTimeout(() => setImmediate(expire), this.#operationTimeoutMs);
    this.#waiting += 1;
    try {
      return await Promise.race([operation(this.#client), late.promise]);
    } catch (error) {
      throw this.#failure(error);
    } finally {
      settled = true;
      this.#waiting -= 1;
      clearTimeout(timer);
    }
  }

  #failure(error: unknown): StoreError {
    if (this.#closed) return closedError();
    const failure = fromRedisError(error);
    // A connection that cannot be used says so in its own event; this failure only repeats it in other words.
    return failure.code === 'UNAVAILABLE' && !this.#reached ? this.#lastFailure : failure;
  }

  #giveUp(): StoreError {
    const failure = new StoreError('UNAVAILABLE', `Redis: no answer within ${this.#operationTimeoutMs} ms`);
    this.#lost(failure);
    // A graceful end would wait for the silent server, and each late command would stay in memory until it answers.
    this.#destroySocket();
    return failure;
  }

  #lost(failure: StoreError): void {
    if (this.#closed) return;
    this.#reached = false;
    this.#explained = true;
    this.#lastFailure = failure;
    this.#availability.down(failure.message);
    this.#firstOutcome.resolve();
  }

  #lostIfUnexplained(failure: StoreError): void {
    if (!this.#explained) this.#lost(failure);
  }

  #destroySocket(): void {
    // Absent before the first attempt, and in a client without a network.
    const socket: { destroy(): unknown } | undefined = this.#client.stream;
    socket?.destroy();
  }
}

function closedError(): StoreError {
  return new StoreError('CLOSED', 'the store is closed');
}
