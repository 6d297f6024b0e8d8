-- A handler of one's own: reads come from a replica nearby that follows the primary by some seconds. Who has just written a key would find the old
-- value there, so for that time reads of the key go to the primary. Writes go to the primary, which copies them.
-- Costs: a look into a store of the proxy's own for each read, 4 MiB for keys just written; and it knows of the writes of this proxy only.

local handler, commands = require "routes.handler", require "routes.commands"

register_route_handlers{ handler.define{
    name = "fresh",
    fields = {
        { "primary", "child", required = true, doc = "where writes go" },
        { "replica", "child", required = true, doc = "where reads go" },
        { "lag", "integer", min = 1, default = 5, doc = "seconds after which the replica has what the primary has" },
    },
    make = function(f)
        local written = mcp.store{ memory = 4 * 1024 * 1024 }
        return handler.route(f, function(rctx, h)
            return function(r)
                if commands.class(r) ~= "read" then
                    written(mcp.request("set " .. r:key() .. " 0 " .. f.lag .. " 0\r\n", "\r\n"))
                elseif r:pure() and not written(mcp.request("get " .. r:key() .. "\r\n")):hit() then
                    return rctx:enqueue_and_wait(r, h.replica)
                end
                return rctx:enqueue_and_wait(r, h.primary)
            end
        end)
    end,
} }

pools{ primary = { backends = { "127.0.0.1:11212" } }, replica = { backends = { "127.0.0.1:11213" } } }
routes{ default = route_fresh{ primary = "primary", replica = "replica", lag = 5 } }
