-- migrate: moves the keys from one pool to another over some time, so that the new one fills slowly.
--
--   route_migrate{ from = "old", to = "new", start = 1767225600, interval = 3600 }
--
-- Each key has a moment of its own in the interval, by its hash. Until then everything about it goes to from, afterwards to to: reads, writes and
-- read-modify-write, and the answer is that pool's, whatever it is. Before the interval that is from for all keys, after it to. Nothing is copied: a
-- key that has moved misses until it is set again, some with every second; with a route_warmup as to, it is fetched.
--
-- Deletes go to both pools meanwhile, and skew seconds before and after, as proxies' clocks may differ: the copy that is left behind must not be
-- served if the migration is turned back. They are answered when both have: with the error if one failed, else with the better answer. A delete
-- that compares a CAS value goes to the key's pool, and when that has done it to the other, without the value.
--
-- A request that is under way when its key moves ends where it began. Nothing goes on after the answer.

local handler = require "routes.handler"
local compare = require "routes.compare"
local commands = require "routes.commands"
local keys = require "routes.keys"
local requests = require "routes.requests"

return handler.define{
    name = "migrate",
    doc = "Moves each key from one pool to another at its own moment within an interval.",
    fields = {
        { "from", "child", required = true, doc = "where keys are before" },
        { "to", "child", required = true, doc = "where they are afterwards" },
        { "start", "seconds", required = true, doc = "when the first key moves, in seconds since 1970" },
        { "interval", "seconds", default = 3600, above = 0, doc = "until when the last has moved, in seconds after start" },
        { "skew", "seconds", default = 10, doc = "how far clocks of proxies may be apart: deletes go to both pools for so much longer at each end" },
    },
    example = [[route_migrate{ from = "a", to = "b", start = 1767225600, interval = 3600 }]],
    make = function(f)
        local start, interval, skew = f.start, f.interval, f.skew
        local now = mcp.time_real_millis
        local changed = requests.changer()

        return handler.route(f, function(rctx, h)
            -- delete sends r to the key's pool and to the other.
            local function delete(r, here, other)
                if not r:has_flag("C") then
                    rctx:enqueue(r, { here, other })
                    rctx:wait_cond(2)
                    return compare.both{ rctx:res_any(here), rctx:res_any(other) }
                end
                local res = rctx:enqueue_and_wait(r, here)
                return changed(r, res) and compare.both{ res, rctx:enqueue_and_wait(requests.everywhere(r), other) } or res
            end

            return function(r)
                local since = now() / 1000 - start
                local here, other = h.from, h.to
                if since >= interval or since >= 0 and since >= keys.hash((keys.plain(r))) / keys.HASHES * interval then
                    here, other = other, here
                end
                if since >= -skew and since < interval + skew and commands.class(r) == "delete" then
                    return delete(r, here, other)
                end
                return rctx:enqueue_and_wait(r, here)
            end
        end)
    end,
}
