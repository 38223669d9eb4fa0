-- What is under the key of a record: a word, and for 'stored' also the fields.
local VERSION = '1'

local function current(key)
    local kind = redis.call('TYPE', key).ok
    if kind == 'none' then return 'none' end
    if kind ~= 'hash' then return 'damaged' end
    local version, revision, at, record =
        unpack(redis.call('HMGET', key, 'version', 'revision', 'at', 'record'))
    if version and version ~= VERSION then return 'other version' end
    local is_whole = version and revision and at and record
    if not is_whole or #revision ~= 32 or not at:match('^%d+$') or #at > 15 or #record > 65536 then
        return 'damaged'
    end
    return 'stored', revision, tonumber(at), record
end

-- Milliseconds since 1970, by the clock of Redis.
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
