-- allfastest: every request to every child, and the first good answer. For replicas of which any one will do.
--
-- A hit or success is answered at once, and the other requests go on after that. A miss ("not found", "not stored") is answered when
-- nothing better can come any more; an error when all have failed, a timeout waits for its end. With miss = false a miss is as good as a hit
-- (so in memcached's routelib, where that is the default: a replica that has just restarted then answers for all).
--
-- wait bounds what slow children can cost: after so many seconds the best answer of those that have come is given, and if none has come
-- the first that does.
--
-- Reads, writes and deletes alike. A write is a success when one child has taken it: what the others make of it nobody learns.

local handler = require "routes.handler"

return handler.define{
    name = "allfastest",
    doc = "Sends every request to all children and answers with the first good answer.",
    fields = {
        { "children", "children", required = true, map = true, doc = "who is asked" },
        { "miss", "boolean", default = true, doc = "a miss is not good: a later hit is waited for" },
        { "wait", "seconds", doc = "how long a good answer is waited for at most" },
    },
    example = [[route_allfastest{ children = { "a", "b" } }]],
    make = function(f)
        local mode = f.miss and mcp.WAIT_GOOD or mcp.WAIT_OK
        local wait = f.wait
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            return function(r)
                rctx:enqueue(r, children)
                if wait then
                    rctx:wait_cond(1, mode, wait)
                else
                    rctx:wait_cond(1, mode)
                end
                local res = rctx:best_result(children)
                if res == nil then
                    rctx:wait_cond(1)
                    res = rctx:best_result(children)
                end
                return res
            end
        end)
    end,
}
