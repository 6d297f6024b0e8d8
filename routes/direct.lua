-- direct: the child as it is, under a name of its own in stats and traces.

local handler = require "routes.handler"

return handler.define{
    name = "direct",
    doc = "Sends every request to its child and answers what the child answers.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
    },
    example = [[route_direct{ child = "a" }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            return function(r)
                return rctx:enqueue_and_wait(r, h.child)
            end
        end)
    end,
}
