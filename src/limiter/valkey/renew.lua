-- Has slots of one token last for ARGV[1] from now on: ARGV[3] and all after it. Where ARGV[2]
-- is nothing, those that are not there are taken, whatever the limit: they are held already.
-- Answers how many were there.
local lasts, found = tonumber(ARGV[1]), 0
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
for at = 3, #ARGV do
  local is_there = redis.call('ZSCORE', KEYS[2], ARGV[at])
  if is_there then
    found = found + 1
  end
  if is_there or ARGV[2] == '' then
    redis.call('ZADD', KEYS[2], now + lasts, ARGV[at])
  end
end
if found > 0 or ARGV[2] == '' then
  keep_slots(lasts)
elseif counters then
  lasts = 0
else
  return 0
end
save(counters and string.sub(counters, 17) or '', lasts)
return found
