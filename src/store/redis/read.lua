
-- KEYS: record
local found, revision, at, record = current(KEYS[1])
if found ~= 'stored' then return {found} end
-- The clock may have been set back.
local age = math.max(now() - at, 0)
return {found, revision, string.format('%.0f', age), record}
