-- Decides about a request, by the steps that counterfoil_core::limit has: ARGV[1] is the most
-- that may be in flight, or nothing; ARGV[2] the slot; ARGV[3] how long that lasts; ARGV[4] the
-- rates, each as seconds, requests, tick, length and part; ARGV[5] the longest memory of them.
-- Answers 0, and of each rate what remains and when it is reset; or 1, when to try again, and
-- the same; or 2, where too many are in flight.
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local PARTS = '<' .. string.rep('I4I2I2', 15)
local most, lasts = tonumber(ARGV[1]), tonumber(ARGV[3])

-- Of a part, `granted` is in this place of a window's parts, then `last`, then `lag`.
local function place(part)
  return part % 15 * 3 + 1
end

local known = {}
for from = 17, counters and #counters or 0, 136 do
  known[struct.unpack('<I4', counters, from)] = from
end

-- In which tick the nth of a part is given back, counted from none.
local function given_back(window, part, nth)
  local here = place(part)
  local lag = window.parts[here + 2] + floor(nth * window.length / window.requests)
  return part * window.size + window.length + min(window.parts[here + 1], lag)
end

local windows, wait = {}, 0
for from = 1, #ARGV[4], 20 do
  local seconds, requests, tick, length, size = struct.unpack('<I4I4I4I4I4', ARGV[4], from)
  local window = { seconds = seconds, requests = requests, tick = tick, length = length, size = size }
  local newest, parts = floor(floor(now / tick) / size), {}
  local found = known[seconds]
  if found then
    local _, before
    _, before, newest = struct.unpack('<I4I4d', counters, found)
    parts = { struct.unpack(PARTS, counters, found + 16) }
    -- The same span for another number: whatever its pace, none of a part came after the last.
    for here = 1, before ~= requests and 45 or 0, 3 do
      parts[here + 2] = parts[here + 1]
    end
  else
    for here = 1, 45 do
      parts[here] = 0
    end
  end
  -- 2
  local at = max(floor(now / tick), newest * size + parts[place(newest) + 1])
  local current = floor(at / size)
  for part = max(newest + 1, current - 14), current do
    local here = place(part)
    parts[here], parts[here + 1], parts[here + 2] = 0, 0, 0
  end
  window.newest, window.parts, window.at = current, parts, at
  -- 3
  local all, held = 0, {}
  for part = current - 14, current do
    local here = place(part)
    local granted, ticks = parts[here], at - part * size - length
    if ticks >= parts[here + 1] then
      granted = 0
    elseif ticks >= parts[here + 2] then
      granted = max(granted - ceil((ticks - parts[here + 2] + 1) * requests / length), 0)
    end
    held[part] = granted
    if granted > 0 and not window.first then
      window.first, window.gone = part, parts[here] - granted
    end
    all = all + granted
  end
  window.held = all
  -- 4
  local over = all + 1 - requests
  if over > 0 then
    for part = current - 14, current do
      if over <= held[part] then
        local nth = parts[place(part)] - held[part] + over - 1
        wait = max(wait, given_back(window, part, nth) * tick - now, 1)
        break
      end
      over = over - held[part]
    end
  end
  windows[#windows + 1] = window
end

local code, memory = 0, tonumber(ARGV[5])
if wait > 0 then
  code, memory = 1, 0
elseif most then
  -- 5
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= most then
    code, memory = 2, 0
  else
    redis.call('ZADD', KEYS[2], now + lasts, ARGV[2])
    keep_slots(lasts)
    memory = max(memory, lasts)
  end
end

local answer, written = { code, max(ceil(wait / 1000), 1) }, ''
for _, window in ipairs(windows) do
  local parts = window.parts
  -- 6
  if code == 0 then
    local here, offset = place(window.newest), window.at - window.newest * window.size
    local pace = floor(parts[here] * window.length / window.requests)
    parts[here + 2] = max(parts[here + 2], offset - pace)
    parts[here + 1] = max(parts[here + 1], offset)
    parts[here] = parts[here] + 1
    window.held = window.held + 1
    if not window.first then
      window.first, window.gone = window.newest, 0
    end
  end
  local reset = window.seconds
  if window.first then
    local tick = given_back(window, window.first, window.gone)
    reset = max(ceil((tick * window.tick - now) / 1000), 1)
  end
  answer[#answer + 1] = max(window.requests - window.held, 0)
  answer[#answer + 1] = reset
  written = written .. struct.pack('<I4I4d', window.seconds, window.requests, window.newest)
    .. struct.pack(PARTS, unpack(parts, 1, 45))
end
save(written, memory)
return answer
