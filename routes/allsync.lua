-- allsync: every request to every child, and the worst answer: all have taken it, or the client is told.
--
-- It waits for all answers, a timeout's too; nothing goes on after that. Reads, writes and deletes alike. The worst is the last in the
-- order hit or success, miss, error line, timeout, not sent: so a read is a hit if all children have the key. Of answers that are
-- equally bad it is the first listed child's, of hits and misses the last one's.

local handler = require "routes.handler"

return handler.define{
    name = "allsync",
    doc = "Sends every request to all children, waits for all, and answers the worst.",
    fields = {
        { "children", "children", required = true, map = true, doc = "who is asked" },
    },
    example = [[route_allsync{ children = { "a", "b" } }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            local n = #children
            return function(r)
                rctx:enqueue(r, children)
                rctx:wait_cond(n)
                return (rctx:worst_result(children))
            end
        end)
    end,
}
