-- hedged: reads replicas, and asks a second one when the first takes longer than it usually does. One that is slow now and then (garbage, a full
-- disk, a noisy neighbour) no longer makes its readers wait.
--
-- Only what reads and nothing more is hedged: get, and mg without c, E, N, R or T. It goes to one child (order). If there is no answer after the
-- delay, the next in the list is asked besides, up to max of them, each after another delay. A hit by anyone is the answer; so is what the
-- first says, hit or miss, as it would be without hedging. A miss of another may be that of a replica that has just been restarted: it is
-- the answer only when nobody else has any. After an error the next is asked at once; when all that were asked have failed, the best
-- of their errors is the answer. Whoever loses is not waited for: its answer is dropped when it comes.
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
-- NAME_saturated (it was of no use, or a queue grew).

local handler = require "routes.handler"
local best = require "routes.best"

local HIT, MISS = 4, 3 -- res:rank()
local SAVED = 50 -- most tokens
local ONE = 1 - 1e-6 -- twenty twentieths are a little less than one
local OPEN = 8 -- unanswered requests that are no queue
local WEIGHT, USELESS, TRY = 1 / 32, 0.1, 0.1 -- of one hedge in the share that won; the least share that is of use; what is tried without
local LATE, MANY, USELESS_THEN = 1 / 64, 0.25, 0.5 -- of one read in the share that is late; the share that is much, and the least that is of use then

local DELAY = { quantile = 0.95, factor = 2, min = 0.001 }

local function check_delay(v)
    if type(v) == "number" then
        return v < 0 and "want a number of seconds, got " .. v or nil
    elseif type(v) ~= "table" then
        return "want a number of seconds, or { quantile =, factor =, min = }, got a " .. type(v)
    end
    for _, k in ipairs(handler.sorted(v)) do
        if DELAY[k] == nil then
            return handler.unknown("there is no field", tostring(k), { "quantile", "factor", "min" })
        elseif type(v[k]) ~= "number" or v[k] < 0 or k == "quantile" and v[k] > 1 then
            return k .. ": want a number" .. (k == "quantile" and " from 0 to 1" or " that is not negative") .. ", got " .. tostring(v[k])
        end
    end
end

-- delays gives a function from a child's meter to its delay; nil if that is not known yet.
local function delays(spec)
    if type(spec) == "number" then
        return function() return spec end
    end
    spec = spec or DELAY
    local quantile, factor, least = spec.quantile or DELAY.quantile, spec.factor or DELAY.factor, spec.min or DELAY.min
    return function(meter)
        local usual = meter:quantile(quantile)
        return usual and math.max(usual * factor, least)
    end
end

-- budget decides what may be sent besides. All slots of a worker have the same one.
local function budget(f, meters)
    local name = f.name or handler.label(f)
    local sent, won = mcp.counter(name .. "_sent"), mcp.counter(name .. "_won")
    local poor, saturated = mcp.counter(name .. "_poor"), mcp.counter(name .. "_saturated")
    local share, tokens, use, late_share, tries = f.budget, 0, 0.75, 0, 0
    local M = {}

    -- request notes a read, late that it has become late.
    function M.request()
        tokens, tries = math.min(tokens + share, SAVED), math.min(tries + share * TRY, 1)
        late_share = late_share * (1 - LATE)
    end
    function M.late()
        late_share = late_share + LATE
    end

    -- take is whether child i may be asked besides; late: because another is slow, not because it has failed.
    function M.take(i, late)
        local meter = meters[i]
        if tokens < ONE then
            poor:add(1)
            return false
        elseif meter:open() > 2 * meter:usual() + OPEN then
            saturated:add(1)
            return false
        elseif late and use < (late_share > MANY and USELESS_THEN or USELESS) then
            if tries < ONE then
                saturated:add(1)
                return false
            end
            tries = tries - 1
        end
        tokens = tokens - 1
        sent:add(1)
        return true
    end

    -- settle notes who was first.
    function M.settle(besides, late)
        if besides then
            won:add(1)
        end
        if late then
            use = use + ((besides and 1 or 0) - use) * WEIGHT
        end
    end
    return M
end

return handler.define{
    name = "hedged",
    doc = "Reads a replica, and asks another besides if that takes longer than usual.",
    fields = {
        { "children", "children", required = true, min = 2, doc = "replicas" },
        { "delay", "any", check = check_delay,
            doc = "after how long the next is asked: seconds, or { quantile = 0.95, factor = 2, min = 0.001 } of the child's latency (as without)" },
        { "budget", "number", default = 0.05, min = 0, max = 1, doc = "most requests besides, as a part of all reads" },
        { "max", "integer", default = 1, min = 1, doc = "most children that are asked besides, for one read" },
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
        local meters = {}
        for i = 1, n do
            meters[i] = mcp.meter()
        end
        local delay, purse = delays(f.delay), budget(f, meters)
        local spread, most, turn = f.order == "spread", f.max, 0

        return handler.route(f, function(rctx, h)
            local children = h.children
            for i = 1, n do
                rctx:measure(children[i], meters[i])
            end
            local write = h.write or children[1]

            -- more asks others besides child number `first`, which is late, or has failed with res.
            local function more(r, first, res)
                local late = res == nil
                local asked, seen, besides, last = { children[first] }, { not late }, 0, first
                local wanted, denied = true, false
                if late then
                    purse.late()
                end
                while true do
                    if wanted and not denied and besides < most and purse.take(last % n + 1, late) then
                        last, besides = last % n + 1, besides + 1
                        asked[besides + 1] = children[last]
                        rctx:enqueue(r, children[last])
                    elseif wanted then
                        denied = true
                    end
                    local wait = not denied and besides < most and delay(meters[last])
                    local came
                    if wait then
                        came, wanted = rctx:wait_cond(1, mcp.WAIT_ANY, wait)
                    else
                        came, wanted = rctx:wait_cond(1)
                    end
                    if came == 0 and not wanted then
                        return res -- nobody is left
                    end
                    for i = 1, #asked do
                        local x = not seen[i] and rctx:res_any(asked[i])
                        if x then
                            seen[i] = true
                            local rank = x:rank()
                            if rank == HIT or i == 1 and rank == MISS then
                                if #asked > 1 then
                                    purse.settle(i > 1, late)
                                end
                                return x
                            end
                            res, wanted = best({ x }, res), wanted or rank < MISS
                        end
                    end
                end
            end

            return function(r)
                if not r:pure() then
                    return rctx:enqueue_and_wait(r, write)
                end
                purse.request()
                local first = 1
                if spread then
                    first = turn % n + 1
                    turn = first
                end
                local wait = delay(meters[first])
                local res
                if wait then
                    res = rctx:enqueue_and_wait(r, children[first], wait)
                else
                    res = rctx:enqueue_and_wait(r, children[first])
                end
                if res and res:rank() >= MISS then
                    return res
                end
                return more(r, first, res)
            end
        end)
    end,
}
