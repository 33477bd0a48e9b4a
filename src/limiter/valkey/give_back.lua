-- Gives back the slot ARGV[1]; answers whether it was there.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if counters then
  save(string.sub(counters, 17), 0)
end
return redis.call('ZREM', KEYS[2], ARGV[1])
