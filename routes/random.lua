-- random: each request to one child by chance, whatever its key. For children that all have everything.
--
-- The answer is that child's; nothing else is asked, on an error neither. A write reaches one child only: below a random route there
-- should be what is written elsewhere, or children that share a store.

local handler = require "routes.handler"

return handler.define{
    name = "random",
    doc = "Sends each request to one child by chance.",
    fields = {
        { "children", "children", required = true, map = true, doc = "who may be asked, each as often" },
    },
    example = [[route_random{ children = { "a", "b" } }]],
    make = function(f)
        local random = math.random
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            local n = #children
            return function(r)
                return rctx:enqueue_and_wait(r, children[random(n)])
            end
        end)
    end,
}
