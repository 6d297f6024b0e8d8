-- split: every request to both children, and child_a's answer, whatever it is.
--
-- child_b is not waited for: its request goes on after the answer, and what comes of it changes nothing. Reads, writes and deletes alike.

local handler = require "routes.handler"

return handler.define{
    name = "split",
    doc = "Sends every request to both children and answers what child_a does.",
    fields = {
        { "child_a", "child", required = true, doc = "who answers" },
        { "child_b", "child", required = true, doc = "who is sent the same" },
    },
    example = [[route_split{ child_a = "a", child_b = "b" }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            local a, b = h.child_a, h.child_b
            return function(r)
                rctx:enqueue(r, a)
                rctx:enqueue(r, b)
                return rctx:wait_handle(a)
            end
        end)
    end,
}
