import { type Alarm, type AlarmChange, checkAlarm, MAX_ALARMS, tooManyAlarms } from './alarm.ts';
import type { RedisConnection } from './redis-connection.ts';
import { StoreError } from './store-error.ts';

/** Field of the hash: how many versions were given. An alarm's field is its name behind a colon. */
const VERSIONS_FIELD = '@versions';
const NAME_PREFIX = ':';
const ALARM = /^([0-9]{1,16}):(.*)$/su;

/**
 * KEYS alarms; ARGV field, expected version, most alarms, and the body unless it is to be deleted. Returns 1 when it
 * was done, 0 when another version is there, -1 when there is no room.
 */
const PUT_ALARM = `
local present = redis.call('HGET', KEYS[1], ARGV[1])
if (present and string.match(present, '^(%d+):') or '0') ~= ARGV[2] then return 0 end
if #ARGV < 4 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
if not present and redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '${VERSIONS_FIELD}') >= tonumber(ARGV[3]) then
  return -1
end
local version = redis.call('HINCRBY', KEYS[1], '${VERSIONS_FIELD}', 1)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', version) .. ':' .. ARGV[4])
return 1`;

/** The alarms of a RedisStore. */
export class RedisAlarms {
  readonly #connection: RedisConnection;
  readonly #key: string;

  constructor(components: { readonly connection: RedisConnection }, init: { readonly prefix: string }) {
    this.#connection = components.connection;
    this.#key = `${init.prefix}alarms`;
  }

  async all(): Promise<Map<string, Alarm>> {
    const fields = await this.#connection.run((client) => client.hgetall(this.#key));
    const names = Object.keys(fields).filter((field) => field.startsWith(NAME_PREFIX));
    return new Map(names.toSorted().map((field) => [field.slice(NAME_PREFIX.length), readAlarm(fields[field] ?? '')]));
  }

  async put(name: string, change: AlarmChange): Promise<boolean> {
    checkAlarm(name, change);
    const values = [NAME_PREFIX + name, change.expected, MAX_ALARMS, ...(change.body === null ? [] : [change.body])];
    const done = await this.#connection.run((client) => client.eval(PUT_ALARM, 1, this.#key, ...values));
    if (done === -1) throw tooManyAlarms();
    return done === 1;
  }
}

function readAlarm(text: string): Alarm {
  const [, version, body] = ALARM.exec(text) ?? [];
  if (version === undefined || body === undefined) throw new StoreError('CORRUPT', 'a stored alarm is none');
  return { version: Number(version), body };
}
