-- toy: what the tests of mutate are tried on.

local handler = require "routes.handler"

return handler.define{
    name = "toy",
    doc = "Asks its child until it has been asked often enough.",
    fields = {
        { "child", "child", required = true, doc = "who is asked" },
        { "times", "integer", default = 3, doc = "how often it counts" },
    },
    example = [[route_toy{ child = "a" }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            return function(r)
                local n, seen = 0, 0
                while n < f.times do
                    n = n + 1
                end
                if n > 5 then
                    return "SERVER_ERROR too often\r\n"
                end
                if n ~= 3 then
                    return nil
                end
                seen = n
                return rctx:enqueue_and_wait(r, h.child)
            end
        end)
    end,
}
