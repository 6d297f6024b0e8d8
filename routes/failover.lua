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

-- least_failures: failures count half after HALF seconds; fewer than WELL are none, and no more than MOST are counted.
local HALF, WELL, MOST = 10, 0.6, 8

-- listed gives the names or numbers of the children in order, and how many at its start keep their place.
local function listed(f)
    local order = handler.sorted(f.children)
    local zone = f.local_zone or handler.zone
    if #f.children > 0 then
        return order, 0
    elseif zone and f.children[zone] ~= nil then
        for i, name in ipairs(order) do
            if name == zone then
                table.remove(order, i)
            end
        end
        table.insert(order, 1, zone)
        return order, 1
    end
    return order, 0
end

local function shuffle(order, kept)
    for i = #order, kept + 2, -1 do
        local j = math.random(kept + 1, i)
        order[i], order[j] = order[j], order[i]
    end
end

-- failures counts those of n children, each worth less as time passes.
local function failures(n)
    local count, last = {}, {}
    for i = 1, n do
        count[i], last[i] = 0, 0
    end
    local M, sick = {}, false

    local function now(i, t)
        return count[i] == 0 and 0 or count[i] * 0.5 ^ ((t - last[i]) / (HALF * 1000))
    end

    function M.note(i)
        local t = mcp.time_mono_millis()
        count[i], last[i], sick = math.min(now(i, t) + 1, MOST), t, true
    end

    -- sort puts the children that have failed lately behind the others, those that failed most last.
    function M.sort(order)
        for i = 1, n do
            order[i] = i
        end
        if not sick then
            return
        end
        sick = false
        local t = mcp.time_mono_millis()
        local score = {}
        for i = 1, n do
            score[i] = now(i, t)
            if score[i] < WELL then
                score[i], count[i] = 0, 0
            else
                sick = true
            end
        end
        table.sort(order, function(a, b)
            if score[a] ~= score[b] then
                return score[a] < score[b]
            end
            return a < b
        end)
    end
    return M
end

-- rendezvous sorts order, numbers up to n, by what the key draws for each.
local function rendezvous(order, n, r)
    local h, score = keys.hash((keys.plain(r))), {}
    local step = 1
    for i = 1, n do
        step = step * 48271 % 2147483647
        order[i], score[i] = i, ((h % 65536) * step + math.floor(h / 65536) * 40503 + i * 7919) % 2147483647
    end
    table.sort(order, function(a, b)
        if score[a] ~= score[b] then
            return score[a] < score[b]
        end
        return a < b
    end)
end

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
        { "limit", "table", check = limit.check, doc = limit.doc },
        { "deletes", "enum", values = { "one", "all" }, default = "one", doc = "\"all\": deletes go to every child" },
        { "local_zone", "string", doc = "the zone whose child is asked first, instead of the proxy's" },
        { "stats", "boolean", default = false, doc = "whether requests to other children than the first are counted, as NAME_retries" },
        { "stats_name", "string", doc = "NAME; else the prefix that is routed" },
    },
    example = [[route_failover{ children = { "a", "b" }, miss = true, limit = { rate = 100, burst = 200 } }]],
    make = function(f)
        local order, kept = listed(f)
        if f.shuffle and f.order ~= "listed" and f.order ~= "shuffle" then
            handler.fail(f, "shuffle", "does not go with order = \"" .. f.order .. "\"")
        elseif f.shuffle or f.order == "shuffle" then
            shuffle(order, kept)
        end
        local n = #order
        local most = math.min(f.failover_count or n, n)
        local miss, wait = f.miss, f.wait
        local bucket = limit.new(f.limit)
        local failed, missed = compare.failed, compare.missed
        local retries = f.stats and mcp.counter((f.stats_name or handler.label(f)) .. "_retries")
        local sick = f.order == "least_failures" and failures(n)
        local hashed = f.order == "rendezvous"
        local all = f.deletes == "all"

        -- good is whether an answer ends the search.
        local function good(res)
            return res ~= nil and not failed(res) and not (miss and missed(res))
        end

        return handler.route(f, function(rctx, h)
            local handles, turn = {}, {}
            for i, name in ipairs(order) do
                handles[i], turn[i] = h.children[name], i
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
                elseif sick then
                    sick.sort(turn)
                elseif hashed then
                    rendezvous(turn, n, r)
                end
                for i = 1, most do
                    if i > 1 then
                        if not bucket.take() then
                            break
                        elseif retries then
                            retries:add(1)
                        end
                    end
                    local res = ask(r, turn[i])
                    if good(res) then
                        return res
                    elseif sick and (res == nil or failed(res)) then
                        sick.note(turn[i])
                    end
                    res = wait and rctx:best_result(handles)
                    if res and good(res) then
                        return res -- it came late
                    end
                end
                return (rctx:best_result(handles)) or timeout()
            end
        end, { objects = 1 })
    end,
}
