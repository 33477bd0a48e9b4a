-- KEYS[1] has the counters of one token, KEYS[2] its slots, each by its end. Counters are
-- `latest` and `back`, then each window: seconds, requests, newest, and 15 parts.
local counters = redis.call('GET', KEYS[1])
local latest, back = 0, 0
if counters then
  latest, back = struct.unpack('<dd', counters)
end
-- 1
local now = clock + back
if latest - now > 60000 then
  back = back + latest - now
end
now = math.max(now, latest)

-- Writes the counters, to be kept for so long at least.
local function save(windows, millis)
  local left = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], struct.pack('<dd', now, back) .. windows,
    'PX', math.ceil(math.max(left, millis, least)))
end

-- Has the slots kept for so long at least.
local function keep_slots(millis)
  if redis.call('PTTL', KEYS[2]) < math.max(millis, least) then
    redis.call('PEXPIRE', KEYS[2], math.ceil(math.max(millis, least)))
  end
end
