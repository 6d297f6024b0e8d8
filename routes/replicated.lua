-- replicated: several children that hold the same items. Reads are answered by one of them, writes go to all.
--
--   route_replicated{ children = { "a", "b", "c" }, read = "spread" }
--   route_replicated{ children = "set_main", read = "near" }             -- set_main is a set of pools by zone
--
-- Which child a plain read (get, mg that changes nothing) asks, read says: "spread", each in turn; "near", that of the proxy's zone, else the first;
-- "fastest", all at once, and the first hit wins; "hedged", one in turn, and the next besides when its answer is late, as
-- route_hedged does. An error or a timeout is followed by the next child, if the limit allows. A miss is followed by the first child, unless that
-- has been asked already: it alone has what was changed by a read-modify-write. With miss = true a miss is followed by
-- all others in turn, which helps replicas that have restarted. The best answer of those asked is given; of "fastest" a miss is one only when all
-- have answered.
--
-- Plain sets and deletes go to all children at once. write says when they are answered: "all", when all have answered, with the worst answer, so
-- that a success means that every child has it; "majority", when more than half agree (success, miss, error line, timeout or unsent), or all have
-- answered: the most common class, of equals the worse; "async", with the first child's answer. Failures of children are counted (NAME_behind).
--
-- Read-modify-write (add, replace, cas, append, prepend, incr, decr, ma, gat, gats, touch, md with C, ms and mg that do likewise) and reads of CAS
-- values (gets, mg with c) go to the first child alone. When it has done it, or may have (a timeout, an error of ms), the others are sent a delete
-- and waited for; then it is answered with the first child's answer. A delete that another child fails to do is counted (NAME_behind): that child
-- may serve the old item when it is back, until it is written again. So may one that missed a plain delete; then, with "all", the client has been
-- told.
--
-- What is still under way when the answer is given goes on and is dropped.

local handler = require "routes.handler"
local compare = require "routes.compare"
local commands = require "routes.commands"
local hedging = require "routes.hedging"
local limit = require "routes.limit"
local requests = require "routes.requests"

-- majority waits until more than half of the handles have answers of one class, or all have answered.
local function majority(rctx, all)
    local need = math.floor(#all / 2) + 1
    local count, first = {}, {}
    for _ = 1, #all do
        rctx:wait_cond(1)
        for k = 0, compare.SUCCESS do
            count[k], first[k] = 0, nil
        end
        for i = 1, #all do
            local res = rctx:res_any(all[i])
            if res ~= nil then
                local k = res:rank()
                count[k], first[k] = count[k] + 1, first[k] or res
                if count[k] >= need then
                    return first[k]
                end
            end
        end
    end
    local choice = 0
    for k = 1, compare.SUCCESS do
        if count[k] > count[choice] then
            choice = k
        end
    end
    return first[choice]
end

local function worst(rctx, all)
    rctx:wait_cond(#all)
    local one, res = rctx:res_any(all[1]), rctx:worst_result(all)
    return one:rank() <= res:rank() and one or res -- the first child's CAS value is the one that counts
end

local function first(rctx, all)
    return (rctx:wait_handle(all[1]))
end

local WRITES = { all = worst, majority = majority, async = first }

return handler.define{
    name = "replicated",
    doc = "Keeps the same items in all children: reads ask one, writes go to all.",
    fields = {
        { "children", "children", required = true, map = true, doc = "replicas; the first, of zones the first by name, does read-modify-write" },
        { "read", "enum", values = { "near", "spread", "fastest", "hedged" }, default = "spread", doc = "which child a plain read asks" },
        { "write", "enum", values = { "all", "majority", "async" }, default = "all", doc = "which answers a plain set or delete waits for" },
        { "miss", "boolean", default = false, doc = "whether a read that misses asks all children" },
        limit.field,
        { "local_zone", "string", doc = "with read = \"near\": the near zone; else the proxy's, of local_zone()" },
        { "name", "string", doc = "NAME of the counters; else the prefix that is routed" },
    },
    example = [[route_replicated{ children = { "a", "b", "c" }, read = "spread", write = "all" }]],
    make = function(f)
        local names = handler.sorted(f.children) -- by name the first is the same in every zone
        local n, miss = #names, f.miss
        local zone = f.local_zone or handler.zone
        local near = 1
        for i, name in ipairs(names) do
            if f.read == "near" and name == zone then
                near = i
            end
        end
        if f.local_zone and f.children[f.local_zone] == nil then
            handler.fail(f, "local_zone", handler.unknown("there is no zone", f.local_zone, handler.sorted(f.children)))
        end
        local turn = 0 -- of read = "spread", for all slots
        local spread, fastest = f.read == "spread", f.read == "fastest"
        local changed = requests.changer()
        local bucket = limit.new(f.limit)
        local more, hedges = {}, nil
        if f.read == "hedged" then
            for i, name in ipairs(names) do
                more["read" .. i] = f.children[name] -- hedged reads are measured, by handles of their own
            end
            hedges = hedging.new{ n = n, budget = 0.05, most = 1, spread = true, retry = bucket.take,
                name = (f.name or handler.label(f)) .. "_hedged" }
        end
        local behind = mcp.counter((f.name or handler.label(f)) .. "_behind")
        local failed, missed = compare.failed, compare.missed
        local answer = WRITES[f.write]

        return handler.route(f, function(rctx, h)
            local all, others = {}, {}
            local writing -- whether failures are counted
            for i, name in ipairs(names) do
                all[i] = h.children[name]
                others[i - 1] = all[i]
                rctx:handle_set_cb(all[i], function(res)
                    if writing and failed(res) then
                        behind:add(1)
                    end
                end)
            end

            local choice, top -- the best answer so far, and its rank

            local function ask(r, i)
                local res = rctx:enqueue_and_wait(r, all[i])
                local rank = res:rank()
                if rank > top then
                    choice, top = res, rank
                end
                return res
            end

            -- read asks the children from the i-th on, one after the other.
            local function read(r, i)
                choice, top = nil, compare.UNSENT - 1
                for at = i, i + n - 1 do
                    if at > i and not bucket.take() then
                        break
                    end
                    at = (at - 1) % n + 1
                    local res = ask(r, at)
                    if missed(res) then
                        if not miss then
                            break
                        end
                    elseif not failed(res) then
                        return res
                    end
                end
                if top == compare.MISS and rctx:res_any(all[1]) == nil then
                    ask(r, 1)
                end
                return choice
            end

            local function race(r)
                rctx:enqueue(r, all)
                rctx:wait_cond(1, mcp.WAIT_GOOD)
                return (rctx:best_result(all))
            end

            local reads, hedged = {}, nil
            if hedges then
                for i = 1, n do
                    reads[i] = h["read" .. i]
                end
                hedged = hedges(rctx, reads)
            end

            -- hedge asks after a miss whom hedged has not asked, or has not waited for: the first child, or with miss all.
            local function hedge(r)
                local res = hedged(r)
                if not missed(res) then
                    return res
                end
                for i = 1, miss and n or 1 do
                    if i > 1 and rctx:res_any(reads[i]) == nil and not bucket.take() then
                        break
                    end
                    local x = rctx:enqueue_and_wait(r, reads[i]) -- once: who has been asked is waited for
                    if x:rank() > compare.MISS then
                        return x
                    end
                end
                return res
            end

            local function change(r)
                local res = rctx:enqueue_and_wait(r, all[1])
                if n > 1 and changed(r, res) then
                    writing = true
                    rctx:enqueue(requests.delete(r), others)
                    rctx:wait_cond(#others)
                end
                return res
            end

            return function(r)
                writing = false -- the slot may have written before
                bucket.request()
                if r:pure() then
                    if fastest then
                        return race(r)
                    elseif hedged then
                        return hedge(r)
                    elseif spread then
                        turn = turn % n + 1
                        return read(r, turn)
                    end
                    return read(r, near)
                end
                local class = commands.class(r)
                if class == "read" then
                    return rctx:enqueue_and_wait(r, all[1])
                elseif class == "modify" or class == "touch" or r:has_flag("C") then
                    return change(r)
                end
                writing = true
                rctx:enqueue(r, all)
                return answer(rctx, all)
            end
        end, { more = more })
    end,
}
