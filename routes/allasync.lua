-- allasync: every request to every child, and an answer at once: "stored", "deleted", "touched", whatever becomes of it.
--
-- Nothing is waited for: all children's requests go on after the answer. A read is answered with a miss, and so is what answers with a
-- value (incr, decr, ma with v). NAME_failed counts the children's errors and timeouts, which change nothing.

local handler = require "routes.handler"
local answers = require "routes.answers"

local ERROR = 2 -- res:rank() of an error line; less is a timeout, or what could not be sent

return handler.define{
    name = "allasync",
    doc = "Sends every request to all children and answers success at once.",
    fields = {
        { "children", "children", required = true, map = true, doc = "who is sent to" },
        { "name", "string", doc = "what the counter's name begins with; otherwise that of the route" },
    },
    example = [[route_allasync{ children = { "a", "b" } }]],
    make = function(f)
        local failures = mcp.counter((f.name or handler.label(f)) .. "_failed")
        local function count(res)
            if res:rank() <= ERROR then
                failures:add(1)
            end
        end
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            local success = answers.success(rctx)
            for _, child in ipairs(children) do
                rctx:handle_set_cb(child, count)
            end
            return function(r)
                rctx:enqueue(r, children)
                rctx:wait_cond(0)
                return success(r)
            end
        end, { objects = 1 })
    end,
}
