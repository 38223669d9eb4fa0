-- KEYS: lock, last owner. ARGV: owner, channel
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.pcall('PUBLISH', ARGV[2], 'unlocked')
end
return {'unlocked'}
