-- The server's own clock, in milliseconds, and the least time that anything is kept for.
local time = redis.call('TIME')
local clock, least = time[1] * 1000 + math.floor(time[2] / 1000), 1
