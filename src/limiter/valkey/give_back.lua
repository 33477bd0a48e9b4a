-- Gives back the slot ARGV[1]; answers whether it was there.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
return redis.call('ZREM', KEYS[2], ARGV[1])
