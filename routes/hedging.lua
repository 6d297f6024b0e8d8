-- hedging: how a read is asked of one child, and of others when that is late or has failed; routes/hedged.lua says by what rules. new(o) has
--
--   n        how many children there are
--   delay    the field: nil, seconds, or { quantile =, factor =, min = }
--   budget, most   of what is asked besides: the part of all reads, and how many for one
--   spread   whether each child in turn is asked first
--   retry    a function: whether one more may be asked for a read that has failed everywhere else
--   name     what the counters' names begin with
--
-- and gives bind(rctx, handles), for each slot: handles are the n children's, and serve for nothing else. That gives read(r), the answer.
-- Others that were asked may not have answered then.

local handler = require "routes.handler"
local best = require "routes.best"
local compare = require "routes.compare"

local faulty, MISS = compare.failed, compare.MISS
local SAVED = 50 -- most tokens
local ONE = 1 - 1e-6 -- twenty twentieths are a little less than one
local OPEN = 8 -- unanswered requests that are no queue
local WEIGHT, USELESS, TRY = 1 / 32, 0.1, 0.1 -- of one hedge in the share that won; the least share that is of use; what is tried without
local LATE, MANY, USELESS_THEN = 1 / 64, 0.25, 0.5 -- of one read in the share that is late; the share that is much, and the least that is of use then

local DELAY = { quantile = 0.95, factor = 2, min = 0.001 }

local M = {}

-- check_delay says what is wrong with a delay, or nothing.
function M.check_delay(v)
    if type(v) == "number" then
        return (v < 0 or v ~= v) and "want a number of seconds, got " .. v or nil
    elseif type(v) ~= "table" then
        return "want a number of seconds, or { quantile =, factor =, min = }, got a " .. type(v)
    end
    for _, k in ipairs(handler.sorted(v)) do
        if DELAY[k] == nil then
            return handler.unknown("there is no field", tostring(k), { "quantile", "factor", "min" })
        elseif type(v[k]) ~= "number" or v[k] < 0 or v[k] ~= v[k] or k == "quantile" and v[k] > 1 then
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
local function budget(name, share, meters)
    local sent, won = mcp.counter(name .. "_sent"), mcp.counter(name .. "_won")
    local poor, saturated = mcp.counter(name .. "_poor"), mcp.counter(name .. "_saturated")
    local tokens, use, late_share, tries = 0, 0.75, 0, 0
    local purse = {}

    -- request notes a read, late that it has become late.
    function purse.request()
        tokens, tries = math.min(tokens + share, SAVED), math.min(tries + share * TRY, 1)
        late_share = late_share * (1 - LATE)
    end
    function purse.late()
        late_share = late_share + LATE
    end

    -- take is whether child i may be asked besides; late: because another is slow, not because it has failed.
    function purse.take(i, late)
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

    -- settle notes who was first where others were asked besides.
    function purse.settle(besides)
        if besides then
            won:add(1)
        end
        use = use + ((besides and 1 or 0) - use) * WEIGHT
    end
    return purse
end

function M.new(o)
    local n, most, spread, retry, turn = o.n, o.most, o.spread, o.retry, 0
    local meters = {}
    for i = 1, n do
        meters[i] = mcp.meter()
    end
    local delay, purse = delays(o.delay), budget(o.name, o.budget, meters)
    local retried = mcp.counter(o.name .. "_retried")

    return function(rctx, children)
        for i = 1, n do
            rctx:measure(children[i], meters[i])
        end
        local list, paid, seen = {}, {}, {} -- who was asked, in order: by number, whether from the budget, whether the answer is in

        local function ask(r, from_budget)
            local last = list[#list] % n + 1
            list[#list + 1], paid[#list + 1] = last, from_budget
            rctx:enqueue(r, children[last])
        end

        -- more asks others besides the first, which is late, or has failed with res.
        local function more(r, res)
            local late, failed = res == nil, nil -- why another is asked
            local open, denied, besides = late and 1 or 0, false, 0
            if late then
                purse.late()
            end
            while true do
                if open == 0 then -- and nobody has more than an error
                    if #list == n or not retry() then
                        return res
                    end
                    retried:add(1)
                    ask(r, false)
                    open = 1
                elseif (late or failed) and not denied then
                    denied = #list == n or besides == most or not purse.take(list[#list] % n + 1, late)
                    if not denied then
                        ask(r, true)
                        open, besides = open + 1, besides + 1
                    end
                end
                local wait, _ = not denied and delay(meters[list[#list]]), nil
                late, failed = false, false
                if wait then
                    _, late = rctx:wait_cond(1, mcp.WAIT_ANY, wait)
                else
                    rctx:wait_cond(1)
                end
                for i = 1, #list do
                    local x = not seen[i] and rctx:res_any(children[list[i]])
                    if x then
                        seen[i], open = true, open - 1
                        local fault = faulty(x)
                        if not fault and (i == 1 or x:rank() ~= MISS) then
                            if besides > 0 then
                                purse.settle(paid[i])
                            end
                            return x
                        end
                        res, failed = best({ x }, res), failed or fault
                    end
                end
                if open == 0 and res:rank() == MISS then
                    return res
                end
            end
        end

        return function(r)
            purse.request()
            local first = 1
            if spread then
                first = turn % n + 1
                turn = first
            end
            for i = 2, n do
                list[i], paid[i], seen[i] = nil, nil, nil
            end
            list[1] = first
            local wait = delay(meters[first])
            local res
            if wait then
                res = rctx:enqueue_and_wait(r, children[first], wait)
            else
                res = rctx:enqueue_and_wait(r, children[first])
            end
            if res and not faulty(res) then
                return res
            end
            seen[1] = res ~= nil
            return more(r, res)
        end
    end
end

return M
