-- hedged: reads replicas, and asks a second one when the first takes longer than it usually does. One that is slow now and then (garbage, a full
-- disk, a noisy neighbour) no longer makes its readers wait.
--
-- Only what reads and nothing more is hedged: get, and mg without c, E, N, R or T. It goes to one child (order). If there is no answer after the
-- delay, the next in the list is asked besides, up to max of them, each after another delay. A hit by anyone is the answer, or CLIENT_ERROR, which
-- all would say; so is what the first says, hit or miss, as it would be without hedging. A miss of another may be that of a replica that has just
-- been restarted: it is the answer only when nobody else has any. When all that were asked have failed, the next is asked at once, and so on to
-- the last, as route_failover does: such a read would fail otherwise, so neither budget nor max count it, but the limit if there is one. If all
-- fail, the best of their errors is the answer. Whoever loses is not waited for: its answer is dropped when it comes.
--
-- Writes, deletes and other reads (gets, gat, me) go to `write` if that is given, else to the first child.
--
-- The delay is twice the time within which the child has answered 95 % of its reads of late, at least a millisecond; a child that has not
-- answered 20 is not hedged. What goes to others besides is paid from a budget: at first nothing, each read adds 0.05, and one more request takes
-- 1; 50 are saved at most. So never more is sent than that part of the reads, also when everybody is slow. Nor is anybody asked besides
--
--   who has more requests from here unanswered than twice as many as usual, and 8: a queue grows there, and one more makes it longer;
--   while less than a tenth of those who were asked besides answered first; less than half, if more than a quarter of the reads are late: then
--   all are slow alike. A tenth of the budget is spent meanwhile, to see when it pays again.
--
-- All of this is seen by each worker for itself. Counters: NAME_sent, NAME_won (they answered first), NAME_poor (the budget was empty),
-- NAME_saturated (it was of no use, or a queue grew), NAME_retried (asked because all others had failed).

local handler = require "routes.handler"
local hedging = require "routes.hedging"
local limit = require "routes.limit"

return handler.define{
    name = "hedged",
    doc = "Reads a replica, and asks another besides if that takes longer than usual.",
    fields = {
        { "children", "children", required = true, min = 2, doc = "replicas" },
        { "delay", "any", check = hedging.check_delay,
            doc = "after how long the next is asked: seconds, or { quantile = 0.95, factor = 2, min = 0.001 } of the child's latency (as without)" },
        { "budget", "number", default = 0.05, min = 0, max = 1, doc = "most requests besides, as a part of all reads" },
        { "max", "integer", default = 1, min = 1, doc = "most children that are asked besides, for one read" },
        limit.field,
        { "order", "enum", values = { "listed", "spread" }, default = "listed", doc = "who is asked first: the first child, or each in turn" },
        { "write", "child", doc = "where all that is not hedged goes; the first child without it" },
        { "name", "string", doc = "what the counters' names begin with; otherwise that of the route" },
    },
    example = [[route_hedged{ children = { "a", "b" } }]],
    make = function(f)
        local n = #f.children
        if f.max > n - 1 then
            handler.fail(f, "max", "want at most " .. n - 1 .. ", for there are " .. n .. " children; got " .. f.max)
        end
        local bucket = limit.new(f.limit)
        local bind = hedging.new{ n = n, delay = f.delay, budget = f.budget, most = f.max, spread = f.order == "spread", retry = bucket.take,
            name = f.name or handler.label(f) }
        -- The first child's other requests have a handle of their own: reads alone are measured.
        return handler.route(f, function(rctx, h)
            local read, write = bind(rctx, h.children), h.write or h.first
            return function(r)
                if not r:pure() then
                    return rctx:enqueue_and_wait(r, write)
                end
                bucket.request()
                return read(r)
            end
        end, { more = { first = not f.write and f.children[1] or nil } })
    end,
}
