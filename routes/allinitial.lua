-- allinitial: every request to every child, and the first listed child's answer, whatever it is. For a main pool with followers.
--
-- Nobody waits for the others: their requests go on after the answer, and what comes of them changes nothing. Reads, writes and deletes
-- alike, reads too being sent to all: to keep those from the followers, put a route_cmd above.

local handler = require "routes.handler"

return handler.define{
    name = "allinitial",
    doc = "Sends every request to all children and answers what the first listed one does.",
    fields = {
        { "children", "children", required = true, doc = "who is sent to; the first is waited for" },
    },
    example = [[route_allinitial{ children = { "a", "b" } }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            local children = h.children
            local first = children[1]
            return function(r)
                rctx:enqueue(r, children)
                return rctx:wait_handle(first)
            end
        end)
    end,
}
