-- KEYS: record, last owner. ARGV: owner, channel
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'refused'} end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], 'removed')
return {'removed'}
