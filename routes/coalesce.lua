-- coalesce: those who read the same key at the same time share one request, and its answer: a thousand clients that miss a key when it expires ask
-- the child once.
--
-- Shared is what reads and nothing more: get, and mg without c, E, N, R or T; of all workers and client connections, as long as their lines are the
-- same letter by letter (mg with other flags or opaques are not). A hit, a miss, an error or a timeout is everyone's. Nothing is kept once the answer
-- is there. If the request that was sent is given up (its client's configuration has gone), the next who waits sends its own.
--
-- No read is told less than it would be alone: it shares only a request that was sent when no write of the key was under way here, and since which
-- none has begun. While one is, from its sending until its answer, reads of the key are sent one by one. So a client finds what it has written, and
-- everyone finds what this proxy has said was written. Writes, deletes and touches have to go through this handler for that, too; what goes past
-- it, or through another proxy, is not seen: a reader may then be given the answer to what another sent before that.
--
-- All else (gets, gat, me, writes and deletes) goes to the child as it is. NAME_shared counts reads that were not sent.

local handler = require "routes.handler"
local commands = require "routes.commands"

local WRITES = { touch = true, store = true, modify = true, delete = true }

return handler.define{
    name = "coalesce",
    doc = "Sends one request for all who read the same key at the same time.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "name", "string", doc = "what the counter's name begins with; otherwise that of the route" },
    },
    example = [[route_coalesce{ child = "a" }]],
    make = function(f)
        local flights, class = mcp.flights(), commands.class
        local shared = mcp.counter((f.name or handler.label(f)) .. "_shared")

        return handler.route(f, function(rctx, h)
            return function(r)
                if r:pure() then
                    local res = flights:join(r)
                    if res then
                        shared:add(1)
                        return res
                    end
                    res = rctx:enqueue_and_wait(r, h.child)
                    flights:land(res)
                    return res
                elseif WRITES[class(r)] then
                    flights:write(r)
                end
                return rctx:enqueue_and_wait(r, h.child)
            end
        end)
    end,
}
