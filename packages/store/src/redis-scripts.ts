/*
 * Each change of a RedisStore is one script, because Redis runs a script as a whole: no reader sees half of it and no
 * other writer comes between. KEYS[1] is always the table, a hash with one register per relay and two fields of the
 * store itself. These stand in the same hash as the registers on purpose: whatever loses one loses the other, so the
 * loss shows as a missing or different @epoch.
 */

/** Field of the table: the name of this content. */
export const EPOCH_FIELD = '@epoch';
/** Field of the table: number of changes. */
export const CHANGES_FIELD = '@changes';

const BUMP = `
local function bump(epoch)
  redis.call('HSETNX', KEYS[1], '${EPOCH_FIELD}', epoch)
  redis.call('HINCRBY', KEYS[1], '${CHANGES_FIELD}', 1)
end`;

const SEE = `
local function see(device, at, from)
  local seen = tonumber(redis.call('HGET', device, 'seenAt') or '')
  if not seen or tonumber(at) >= seen then
    redis.call('HSET', device, 'seenAt', at, 'seenFrom', from)
  end
end`;

/** KEYS table, devices, device; ARGV epoch, mac, body, seenAt or '', seenFrom. */
export const PUT_DEVICE = `${BUMP}${SEE}
redis.call('HSET', KEYS[3], 'body', ARGV[3])
if ARGV[4] ~= '' then see(KEYS[3], ARGV[4], ARGV[5]) end
redis.call('ZADD', KEYS[2], 0, ARGV[2])
bump(ARGV[1])`;

/** KEYS table, devices, device; ARGV epoch, mac. Returns the number of devices deleted. */
export const DELETE_DEVICE = `${BUMP}
local deleted = redis.call('DEL', KEYS[3])
if redis.call('ZREM', KEYS[2], ARGV[2]) + deleted > 0 then bump(ARGV[1]) end
return deleted`;

/** KEYS device; ARGV at, from. Returns 1 if the device is registered. */
export const TOUCH_DEVICE = `${SEE}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
see(KEYS[1], ARGV[1], ARGV[2])
return 1`;

/*
 * A register is "<at>:<kind>:<body>", kind s (set) or c (cleared).
 */
const REGISTERS = `${BUMP}
local function changedAt(register)
  return register and tonumber(string.match(register, '^(%d+):') or '')
end
local function hasRoom(max)
  return redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '${EPOCH_FIELD}')
    - redis.call('HEXISTS', KEYS[1], '${CHANGES_FIELD}') < tonumber(max)
end`;

/**
 * KEYS table; ARGV epoch, relay, at, kind and body ("s:{...}"), most registers. Moves `at` past the previous change.
 * Returns 0 if there is no room, not even in place of the oldest cleared register.
 */
export const PUT_REGISTER = `${REGISTERS}
local function makeRoom()
  local oldest, oldestAt
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local at = tonumber(string.match(all[i + 1], '^(%d+):c:') or '')
    if at and (not oldestAt or at < oldestAt or (at == oldestAt and all[i] < oldest)) then
      oldest, oldestAt = all[i], at
    end
  end
  return oldest and redis.call('HDEL', KEYS[1], oldest) == 1
end
local at = tonumber(ARGV[3])
local previous = redis.call('HGET', KEYS[1], ARGV[2])
if not previous and not hasRoom(ARGV[5]) and not makeRoom() then return 0 end
local previousAt = changedAt(previous)
if previousAt and previousAt >= at then at = previousAt + 1 end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f', at) .. ':' .. ARGV[4])
bump(ARGV[1])
return 1`;

/** KEYS table; ARGV epoch, most registers, then relay, at and register of each. Returns the table. */
export const RESTORE_REGISTERS = `${REGISTERS}
local changed = false
for i = 3, #ARGV, 3 do
  local present = redis.call('HGET', KEYS[1], ARGV[i])
  local at = changedAt(present)
  if (present and (not at or at < tonumber(ARGV[i + 1]))) or (not present and hasRoom(ARGV[2])) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    changed = true
  end
end
if changed then bump(ARGV[1]) end
return redis.call('HGETALL', KEYS[1])`;

/** KEYS table, revocations; ARGV epoch, number (padded), pem, fetchedAt. Returns 1 if the list was kept. */
export const PUT_REVOCATIONS = `${BUMP}
local present = redis.call('HGET', KEYS[2], 'number')
if present and #present == #ARGV[2] and present >= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'number', ARGV[2], 'pem', ARGV[3], 'fetchedAt', ARGV[4])
bump(ARGV[1])
return 1`;
