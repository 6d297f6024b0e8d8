-- canary: a request that goes to many children is tried on a few first (canary requests, 'The Tail at Scale').
--
--   route_canary{ children = "set_all", n = 1 }
--
-- Every request goes to the first n children and waits for all of them. Only if none of them fails (an error line, CLIENT_ERROR too, a timeout, or
-- not sent) is it sent to the rest; then all answers are waited for, and the worst of them all is given: a success means that every child has it, a
-- miss that one child at least has not. If a canary fails, its answer is given, and the rest is never sent a thing. So a request that kills whoever
-- gets it kills n children, not all. Reads, writes and deletes are treated alike; nothing is under way any more when the answer is given.
--
-- on is a function of the request that says whether it needs a canary; others go to all children at once.

local handler = require "routes.handler"
local compare = require "routes.compare"

return handler.define{
    name = "canary",
    doc = "Sends to a few children first, and to the rest only after a clean answer.",
    fields = {
        { "children", "children", required = true, min = 2, map = true, doc = "all of them; by name, in the order of the names" },
        { "n", "integer", default = 1, min = 1, doc = "how many are tried first", check = function(n, f)
            local most = #handler.sorted(f.children) - 1
            return n > most and "want at most " .. most .. ", for one child at least must be left, got " .. n or nil
        end },
        { "on", "function", doc = "takes the request and says whether it needs a canary; all do without it" },
    },
    example = [[route_canary{ children = { "a", "b", "c" }, n = 1 }]],
    make = function(f)
        local names = handler.sorted(f.children)
        local n, on = f.n, f.on
        return handler.route(f, function(rctx, h)
            local all, first, rest = {}, {}, {}
            for i, name in ipairs(names) do
                local list = i <= n and first or rest
                list[#list + 1] = h.children[name]
                all[i] = h.children[name]
            end

            -- ask sends r to handles, waits for all, and gives the worst answer so far, of equals the first canary's.
            local function ask(r, handles)
                rctx:enqueue(r, handles)
                rctx:wait_cond(#handles)
                local one, res = rctx:res_any(all[1]), rctx:worst_result(all)
                return one:rank() <= res:rank() and one or res
            end

            return function(r)
                if on and not on(r) then
                    return ask(r, all)
                end
                local res = ask(r, first)
                if res:rank() < compare.MISS then
                    return res
                end
                return ask(r, rest)
            end
        end)
    end,
}
