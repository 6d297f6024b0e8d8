-- failover: asks its children one after the other until one compare. Beside routelib's fields it has an order, a limit and deletes that go to all.
--
--   route_failover{ children = { "a", "b", "c" }, miss = true, limit = { rate = 100 } }
--
-- Every command is sent to the first child. A hit, a success, a miss or "not stored" is the answer; with miss = true a read that misses goes on to
-- the next child, all other commands do not (an add that one child refuses must not succeed at another). An error, a timeout, or what could not be
-- sent goes on to the next child; CLIENT_ERROR does not, for it is the client's. When there is no next child, or the limit is reached, the best
-- answer of all is given: a hit that came late, else a miss, else the error that a child gave, else a timeout. With wait, a child that has not
-- answered after so many seconds counts as failed for the moment; its answer is still taken if it comes before the end. Nothing is sent after the
-- answer, and what comes later is dropped.
--
-- A timeout does not tell whether the command was done: an incr may have been counted at a child that timed out and again at the next. A delete
-- that fails over is done at one child, and the first may serve the item again when it is back; deletes = "all" sends deletes to every child,
-- waits for all, and answers the worst if one of them failed.
--
-- The order: "listed"; "shuffle", one order for each worker; "least_failures", which puts children that have failed lately behind the others, until
-- some ten seconds without a failure have passed, half a minute after many; "rendezvous", by the key, so that what one child loses is spread over all
-- others. Children with names (zones) are taken by name, the proxy's own zone (or local_zone) first, in every order but rendezvous.
--
-- Other than routelib's: shuffle leaves the zone's child in front; the best answer is given, not the last error; failover_count counts children, as
-- in its code, not failovers, as in its text.

local handler = require "routes.handler"
local answers = require "routes.answers"
local compare = require "routes.compare"
local commands = require "routes.commands"
local keys = require "routes.keys"
local limit = require "routes.limit"

-- least_failures: failures count half after HALF milliseconds; fewer than WELL are none, and no more than MOST are counted.
local HALF, WELL, MOST = 10000, 0.6, 8

-- listed gives the names or numbers of the children in order, and how many at its start keep their place.
local function listed(f)
    local zone = f.local_zone or handler.zone
    local near = zone ~= nil and f.children[zone] ~= nil
    local order = { near and zone or nil }
    for _, name in ipairs(handler.sorted(f.children)) do
        if name ~= zone then
            order[#order + 1] = name
        end
    end
    return order, near and 1 or 0
end

local function shuffle(order, kept)
    for i = #order, kept + 2, -1 do
        local j = math.random(kept + 1, i)
        order[i], order[j] = order[j], order[i]
    end
end

-- What follows makes the functions next(asked, r), which give the number of the next of n children. asked has those that have been, by number.

local function in_order()
    return function(asked)
        return #asked + 1
    end
end

-- least is for what score gives, a number for each child; of equals the first.
local function least(n, asked, score)
    local choice, lowest
    for i = 1, n do
        local this = not asked[i] and score(i)
        if this and (not choice or this < lowest) then
            choice, lowest = i, this
        end
    end
    return choice
end

-- healthiest counts failures, which are worth less as time passes: note(i) is one.
local function healthiest(n)
    local count, last, now = {}, {}, nil
    for i = 1, n do
        count[i], last[i] = 0, 0
    end
    local function score(i)
        local worth = count[i] * 0.5 ^ ((now - last[i]) / HALF)
        return worth < WELL and 0 or worth
    end
    local function next_one(asked)
        now = mcp.time_mono_millis()
        return least(n, asked, score)
    end
    local function note(i)
        now = mcp.time_mono_millis()
        count[i], last[i] = math.min(score(i) + 1, MOST), now
    end
    return next_one, note
end

-- rendezvous goes by what the key draws for each child.
local function rendezvous(n)
    local factors, hash = {}, nil
    for i = 1, n do
        factors[i] = (factors[i - 1] or 1) * 48271 % 4194301
    end
    local function score(i)
        return hash * factors[i] % keys.HASHES
    end
    return function(asked, r)
        hash = keys.hash((keys.plain(r)))
        return least(n, asked, score)
    end
end

local ORDERS = { listed = in_order, shuffle = in_order, least_failures = healthiest, rendezvous = rendezvous }

-- everywhere sends a delete to all.
local function everywhere(rctx, r, list)
    rctx:enqueue(r, list)
    rctx:wait_cond(#list)
    local res = rctx:worst_result(list)
    return res:rank() < compare.MISS and res or (rctx:best_result(list))
end

return handler.define{
    name = "failover",
    doc = "Asks its children one after the other until one gives an answer that is no error, or with miss a hit.",
    fields = {
        { "children", "children", required = true, map = true, doc = "asked in this order; by zone, the proxy's own first" },
        { "failover_count", "integer", min = 1, doc = "how many children are asked at most, the first included; all without it" },
        { "order", "enum", values = { "listed", "shuffle", "least_failures", "rendezvous" }, default = "listed",
            doc = "in which order they are asked" },
        { "shuffle", "boolean", default = false, doc = "is order = \"shuffle\"" },
        { "miss", "boolean", default = false, doc = "whether a read that misses asks the next child" },
        { "wait", "seconds", above = 0, doc = "how long one child is waited for before the next is asked; else its own timeout" },
        limit.field,
        { "deletes", "enum", values = { "one", "all" }, default = "one", doc = "\"all\": deletes go to every child" },
        { "local_zone", "string", doc = "the zone whose child is asked first, instead of the proxy's" },
        { "stats", "boolean", default = false, doc = "whether requests to other children than the first are counted, as NAME_retries" },
        { "stats_name", "string", doc = "NAME; else the prefix that is routed" },
    },
    example = [[route_failover{ children = { "a", "b" }, miss = true, limit = { rate = 100, burst = 200 } }]],
    make = function(f)
        local order, kept = listed(f)
        if f.shuffle and ORDERS[f.order] ~= in_order then
            handler.fail(f, "shuffle", "does not go with order = \"" .. f.order .. "\"")
        end
        if f.shuffle or f.order == "shuffle" then
            shuffle(order, kept)
        end
        local n = #order
        local most = math.min(f.failover_count or n, n)
        local miss, wait = f.miss, f.wait
        local bucket = limit.new(f.limit)
        local failed, missed = compare.failed, compare.missed
        local retries = f.stats and mcp.counter((f.stats_name or handler.label(f)) .. "_retries")
        local next_one, note = ORDERS[f.order](n)
        local all = f.deletes == "all"

        -- good is whether an answer ends the search.
        local function good(res)
            return not failed(res) and not (miss and missed(res))
        end

        return handler.route(f, function(rctx, h)
            local handles, asked = {}, {}
            for i, name in ipairs(order) do
                handles[i] = h.children[name]
            end
            local timeout = answers.error(rctx, "timeout")

            -- ask sends r to one child. Nil: it has not answered in time.
            local function ask(r, i)
                if wait then
                    return (rctx:enqueue_and_wait(r, handles[i], wait))
                end
                return rctx:enqueue_and_wait(r, handles[i])
            end

            return function(r)
                bucket.request()
                if all and commands.class(r) == "delete" then
                    return everywhere(rctx, r, handles)
                end
                for i = 1, n do
                    asked[i] = nil
                end
                for k = 1, most do
                    if k > 1 then
                        if not bucket.take() then
                            break
                        elseif retries then
                            retries:add(1)
                        end
                    end
                    local i = next_one(asked, r)
                    asked[i] = true
                    local res = ask(r, i)
                    if res and good(res) then
                        return res
                    elseif note and (not res or failed(res)) then
                        note(i)
                    end
                    res = wait and rctx:best_result(handles) -- an earlier child's may have come late
                    if res and good(res) then
                        return res
                    end
                end
                return (rctx:best_result(handles)) or timeout()
            end
        end, { objects = 1 })
    end,
}
