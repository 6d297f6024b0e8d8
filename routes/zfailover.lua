-- zfailover: one child in each zone. The proxy's own zone is asked first, then all others at once.
--
--   local_zone("west")
--   route_zfailover{ children = "set_main", stats = true }     -- set_main is a set of pools by zone
--
-- Every command is sent to the near child. A hit, a success, "not stored" or CLIENT_ERROR is the answer, and nothing else is sent; so is a miss with
-- miss = false. A read that misses, an error, a timeout, or what could not be sent goes to all other zones at once; the first hit or success of
-- theirs is the answer, and without one the best of all, the near child's included: a miss is better than an error. Writes and deletes are treated
-- alike: they are done in the near zone, or, if that fails, in all others. Zones that are slower than the answer go on, and what they say is dropped.
--
-- A delete that the near zone did not take is answered by the others, and the near zone may serve the item again when it is back: route_replicated
-- or route_delete_all keep zones equal.
--
-- Other than routelib's: the near child's miss or error is among the answers that the best is chosen of; failover_count, which has no effect there,
-- bounds how many other zones are asked (by name); miss is true unless it is said to be false, as in its code, not false, as in its text. A limit
-- holds back the far requests; over it the near child's answer is given.

local handler = require "routes.handler"
local answers = require "routes.answers"
local compare = require "routes.compare"
local limit = require "routes.limit"

return handler.define{
    name = "zfailover",
    doc = "Asks the child of the proxy's zone, and on a miss or an error those of all other zones at once.",
    fields = {
        { "children", "children", required = true, map = "only", doc = "by zone" },
        { "local_zone", "string", doc = "the near zone; else the proxy's, of local_zone()" },
        { "miss", "boolean", default = true, doc = "whether a read that misses asks the other zones" },
        { "failover_count", "integer", min = 0, doc = "how many other zones are asked at most; all without it" },
        { "wait", "seconds", above = 0, doc = "how long the near child is waited for before the others are asked; else its own timeout" },
        limit.field,
        { "stat", "integer", min = 1, doc = "number of a counter (mcp.add_stat) of the requests that the near zone could not answer" },
        { "stats", "boolean", default = false, doc = "whether these are counted as NAME_retries" },
        { "stats_name", "string", doc = "NAME; else the prefix that is routed" },
    },
    example = [[route_zfailover{ children = { z1 = "a", z2 = "b" }, local_zone = "z1" }]],
    make = function(f)
        local zone = f.local_zone or handler.zone
        if not zone then
            handler.fail(f, "local_zone", "is missing: the proxy has no zone of its own either")
        elseif f.children[zone] == nil then
            handler.fail(f, "children", handler.unknown("there is no zone", zone, handler.sorted(f.children)))
        end
        local names = {}
        for _, name in ipairs(handler.sorted(f.children)) do
            if name ~= zone and (not f.failover_count or #names < f.failover_count) then
                names[#names + 1] = name
            end
        end
        local miss, wait, stat = f.miss, f.wait, f.stat
        local bucket = limit.new(f.limit)
        local failed, missed = compare.failed, compare.missed
        local retries = f.stats and mcp.counter((f.stats_name or handler.label(f)) .. "_retries")

        -- count counts a request that the near zone could not answer. Whether there is such a counter shows only now, when one is needed.
        local function count()
            local ok, problem = pcall(mcp.stat, stat, 1)
            if not ok then
                mcp.log("route_zfailover: stat = " .. stat .. ": " .. problem)
                stat = nil
            end
        end

        return handler.route(f, function(rctx, h)
            local near, far = h.children[zone], {}
            local all = { near } -- of equal answers the near child's is given
            for i, name in ipairs(names) do
                far[i], all[i + 1] = h.children[name], h.children[name]
            end
            local timeout = answers.error(rctx, "timeout")

            local function ask(r)
                if wait then
                    return (rctx:enqueue_and_wait(r, near, wait))
                end
                return rctx:enqueue_and_wait(r, near)
            end

            return function(r)
                bucket.request()
                local res = ask(r)
                if res ~= nil and not failed(res) and not (miss and missed(res)) then
                    return res
                end
                if #far > 0 and bucket.take() then
                    if stat then
                        count()
                    end
                    if retries then
                        retries:add(1)
                    end
                    rctx:enqueue(r, far)
                    rctx:wait_cond(1, mcp.WAIT_GOOD)
                end
                return (rctx:best_result(all)) or timeout()
            end
        end, { objects = 1 })
    end,
}
