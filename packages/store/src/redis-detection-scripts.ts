/*
 * KEYS[1], the log, is a sorted set of "<number>:<key>:<body>", all with score 0, so that they are in the order of
 * their texts. KEYS[2], the index, is a hash with a field for each key in the log and two of the store itself. Only
 * commands that the other scripts use as well: an ACL of before lets these through.
 */

/** Field of the index: the name of this content. */
const EPOCH_FIELD = '@epoch';
/** Field of the index: the last number that was given. */
const LAST_FIELD = '@last';

/**
 * ARGV epoch, least number, number (padded) below which entries go, most entries, most to clear away, then key and body
 * of each. Returns how many were new.
 */
export const RECORD_DETECTIONS = `
local function drop(entries)
  for _, entry in ipairs(entries) do
    redis.call('ZREM', KEYS[1], entry)
    redis.call('HDEL', KEYS[2], string.match(entry, '^%d+:([^:]*):') or '')
  end
end
-- Redis was told to evict keys and took one of the two: the other alone is worth nothing.
if redis.call('EXISTS', KEYS[1]) ~= redis.call('EXISTS', KEYS[2]) then
  redis.call('DEL', KEYS[1])
  redis.call('DEL', KEYS[2])
end
drop(redis.call('ZRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[3], 'LIMIT', 0, ARGV[5]))
local last = tonumber(redis.call('HGET', KEYS[2], '${LAST_FIELD}') or '') or 0
local recorded = 0
for i = 6, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[2], ARGV[i], '') == 1 then
    last = math.max(last + 1, tonumber(ARGV[2]))
    local digits = string.format('%.0f', last)
    redis.call('ZADD', KEYS[1], 0, string.rep('0', 16 - #digits) .. digits .. ':' .. ARGV[i] .. ':' .. ARGV[i + 1])
    recorded = recorded + 1
  end
end
redis.call('HSETNX', KEYS[2], '${EPOCH_FIELD}', ARGV[1])
redis.call('HSET', KEYS[2], '${LAST_FIELD}', string.format('%.0f', last))
local over = redis.call('HLEN', KEYS[2]) - 2 - tonumber(ARGV[4])
if over > 0 then drop(redis.call('ZRANGEBYLEX', KEYS[1], '-', '+', 'LIMIT', 0, over)) end
return recorded`;

/** ARGV epoch and number (padded) of the last entry seen, most entries. Returns the epoch, or '', and the entries. */
export const DETECTIONS_AFTER = `
local epoch = redis.call('HGET', KEYS[2], '${EPOCH_FIELD}')
if not epoch then return {''} end
local from = '-'
-- ";" is the character after ":".
if epoch == ARGV[1] then from = '(' .. ARGV[2] .. ';' end
local reply = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, ARGV[3])
table.insert(reply, 1, epoch)
return reply`;
