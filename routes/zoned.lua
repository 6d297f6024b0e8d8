-- zoned: one pool of replicas in each zone. Reads ask the near zone first and the others on a miss or an error;
-- everything that changes an item goes to every zone.
--
--   local zoned = require "routes.zoned"
--   mcp.attach(mcp.CMD_ANY_STORAGE, zoned{ zones = { z1 = pool1, z2 = pool2 }, near = "z1" })
--
-- fields:
--   zones  pools by zone
--   near   the zone whose pool is asked first
--   stat   number of a counter (mcp.add_stat) of the reads that the near zone could not answer; optional
--
-- A read is answered with the near zone's hit, else with the first hit of another zone, else with the best answer of
-- all. A write waits for every zone and is answered with the best answer: one zone that took it is enough. Once a read is
-- answered, nothing is sent any more; slower zones' answers are dropped.

local best = require "routes.best"

local READS = { mcp.CMD_GET, mcp.CMD_GETS, mcp.CMD_GAT, mcp.CMD_GATS, mcp.CMD_MG, mcp.CMD_ME }
local HIT = 4 -- res:rank() of a hit

return function(fields)
    local near = fields.zones[fields.near]
    if near == nil then
        error("zoned: near: there is no zone '" .. tostring(fields.near) .. "'", 2)
    end
    local all, far = {}, {}
    for zone, pool in pairs(fields.zones) do
        all[#all + 1] = pool
        if zone ~= fields.near then
            far[#far + 1] = pool
        end
    end
    local reads = {}
    for _, cmd in ipairs(READS) do
        reads[cmd] = true
    end
    local await, count, stat, alone = mcp.await, mcp.stat, fields.stat, #far == 0

    return function(r)
        if not reads[r:command()] then
            return best(await(r, all))
        end
        local res = near(r)
        if alone or res:rank() == HIT then
            return res
        end
        if stat then
            count(stat, 1)
        end
        return best(await(r, far, 1), res)
    end
end
