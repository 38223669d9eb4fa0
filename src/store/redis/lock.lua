-- KEYS: lock, last owner. ARGV: owner, lease in milliseconds
-- A client that has lost the reply may run it again: the lock is then its own.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[2], ARGV[1])
    return {'acquired'}
end
return {'held'}
