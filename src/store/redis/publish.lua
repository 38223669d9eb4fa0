
-- KEYS: record, last owner. ARGV: owner, channel, new revision, record, previous revision if there is one
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'refused'} end
local found, revision = current(KEYS[1])
if found == 'other version' then return {found} end
-- A client that has lost the reply has run it again.
if revision == ARGV[3] then return {'published'} end
if revision ~= ARGV[5] then return {'refused'} end
if found == 'damaged' then redis.call('DEL', KEYS[1]) end
-- One command, since a script that fails in the middle keeps what it has done.
redis.call('HSET', KEYS[1], 'version', VERSION, 'revision', ARGV[3], 'at', now(), 'record', ARGV[4])
redis.pcall('PUBLISH', ARGV[2], 'published')
return {'published'}
