-- zoned: one pool of replicas in each zone. Reads ask the near zone first and the others on a miss or an error;
-- everything that changes an item goes to every zone.
--
-- A read (get, gets, gat, gats, mg, me) is answered with the near zone's hit, else with the first hit of another zone, else with the best
-- answer of all. Once it is answered, slower zones' answers are dropped. A write or delete waits for every zone and is answered with the
-- best answer: one zone that took it is enough. NAME_failovers counts reads that the near zone could not answer.

local handler = require "routes.handler"

local READS = {
    [mcp.CMD_GET] = true, [mcp.CMD_GETS] = true, [mcp.CMD_GAT] = true, [mcp.CMD_GATS] = true, [mcp.CMD_MG] = true, [mcp.CMD_ME] = true,
}
local HIT = 4 -- res:rank() of a hit

return handler.define{
    name = "zoned",
    doc = "Reads from the near zone, then from the others; writes to every zone.",
    fields = {
        { "zones", "children", required = true, map = "only", doc = "replicas by zone" },
        { "near", "string", doc = "the zone that is asked first; that of local_zone() without it" },
        { "name", "string", doc = "what the counter's name begins with; otherwise that of the route" },
    },
    example = [[route_zoned{ zones = { z1 = "a", z2 = "b" }, near = "z1" }]],
    make = function(f)
        local zone = f.near or handler.zone
        if zone == nil then
            handler.fail(f, "near", "is missing: want the zone of this proxy, which local_zone() does not say either")
        elseif f.zones[zone] == nil then
            handler.fail(f, "near", handler.unknown("there is no zone", zone, handler.sorted(f.zones)))
        end
        local failovers = mcp.counter((f.name or handler.label(f)) .. "_failovers")
        return handler.route(f, function(rctx, h)
            local near = h.zones[zone]
            local all, far = { near }, {} -- the near one first: of equal answers it is taken
            for _, child in ipairs(handler.listed(h.zones)) do
                if child ~= near then
                    all[#all + 1], far[#far + 1] = child, child
                end
            end
            local zones = #all
            return function(r)
                if not READS[r:command()] then
                    rctx:enqueue(r, all)
                    rctx:wait_cond(zones)
                    return (rctx:best_result(all))
                end
                local res = rctx:enqueue_and_wait(r, near)
                if zones == 1 or res:rank() == HIT then
                    return res
                end
                failovers:add(1)
                rctx:enqueue(r, far)
                rctx:wait_cond(1, mcp.WAIT_GOOD)
                return (rctx:best_result(all))
            end
        end)
    end,
}
