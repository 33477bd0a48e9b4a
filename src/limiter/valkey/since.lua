-- Since when the server has remembered, and what its clock says: the first who asked wrote
-- that into KEYS[1]. It is written each time, so that a server that takes nothing says so here.
local since = tonumber(redis.call('GET', KEYS[1]))
if not since or since > clock then
  since = clock
end
redis.call('SET', KEYS[1], string.format('%.0f', since))
return { since, clock }
