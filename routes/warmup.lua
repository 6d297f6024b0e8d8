-- warmup: a new pool that is empty is filled from an old one as it is read.
--
--   route_warmup{ cold = "new", warm = "old" }
--
-- Everything goes to cold. A hit, an error or a timeout of cold is the answer. A plain read that misses there asks warm; a hit of warm is the answer,
-- and is added to cold with its flags and with what remains of its TTL, at most ttl, after the answer. Reads that also do something (gat, gats, gets,
-- touch, mg with T or c) and miss wait until the item is in cold and are sent to cold once more, so that CAS values and TTLs are cold's. Items that
-- are marked stale or being filled are answered and not added. When warm misses or fails, cold's miss is the answer.
--
-- Sets and read-modify-write go to cold alone: what is only in warm is not there for incr, append or add. So warm keeps what it had, and that comes
-- back when cold loses the item; with invalidate = true what cold has stored or changed is deleted from warm, before the answer.
--
-- Deletes go to both, and are answered with the error if one of them fails. What a read took from warm just before must not be added after, so
-- for hold seconds (2) after a delete nothing is added: the delete first leaves a mark in cold, under a key of its own that all proxies see, which is
-- looked for before the add and once more after it, and then the item is deleted again. A delete that could not leave its mark is done, but answered
-- with the error. hold = 0 does without.

local handler = require "routes.handler"
local answers = require "routes.answers"
local compare = require "routes.compare"
local commands = require "routes.commands"
local copies = require "routes.copies"
local keys = require "routes.keys"
local requests = require "routes.requests"

local MARK = "tidepool:deleted:"

local SUCCESS, MISS = compare.SUCCESS, compare.MISS

-- filler makes what adds an item to cold: a route for the add.
local function filler(f)
    local gen = mcp.funcgen_new()
    local held, add, again, undo = gen:new_handle(f.cold), gen:new_handle(f.cold), gen:new_handle(f.cold), gen:new_handle(f.cold)
    gen:ready{ n = "warmup fill", u = 1, ranked = true, f = function(rctx)
        local nothing = answers.nothing(rctx)
        return function(r)
            if f.hold == 0 then
                return rctx:enqueue_and_wait(r, add)
            end
            local mark = mcp.request("mg " .. keys.derived(MARK, r) .. "\r\n")
            if not compare.missed(rctx:enqueue_and_wait(mark, held)) then
                return nothing(r)
            end
            local res = rctx:enqueue_and_wait(r, add)
            if res:rank() ~= SUCCESS or compare.missed(rctx:enqueue_and_wait(mark, again)) then
                return res
            end
            rctx:enqueue_and_wait(requests.delete(r), undo)
            return nothing(r)
        end
    end }
    return gen
end

return handler.define{
    name = "warmup",
    doc = "Reads the cold pool, and on a miss the warm one, and fills the cold one with what it found.",
    fields = {
        { "cold", "child", required = true, doc = "the new pool" },
        { "warm", "child", required = true, doc = "the pool that has the items" },
        { "ttl", "integer", min = 1, max = requests.MONTH, doc = "seconds that an added item lives at most; without it as long as in warm" },
        { "hold", "integer", default = 2, min = 0, max = 86400, doc = "seconds after a delete in which the key is not added" },
        { "invalidate", "boolean", default = false, doc = "whether what is stored in cold is deleted from warm" },
        { "stats", "boolean", default = false, doc = "whether hits of warm are counted, as NAME_warm" },
        { "stats_name", "string", doc = "NAME; else the prefix that is routed" },
    },
    example = [[route_warmup{ cold = "a", warm = "b" }]],
    make = function(f)
        local ttl, hold = f.ttl, f.hold
        local c = copies.new()
        local changed = requests.changer()
        local hits = f.stats and mcp.counter((f.stats_name or handler.label(f)) .. "_warm")

        return handler.route(f, function(rctx, h)
            local new = rctx:response_new()

            -- warm asks warm for r's item, and gives the answer and the request that adds it to cold.
            local function warm(r, full)
                local res = rctx:enqueue_and_wait(full, h.warm)
                if res:rank() == SUCCESS and hits then
                    hits:add(1)
                end
                return res, c.add(r, res, ttl)
            end

            local function read(r)
                local res = rctx:enqueue_and_wait(r, h.cold)
                local full = compare.missed(res) and c.read(r)
                if not full then
                    return res
                end
                local found, add = warm(r, full)
                if found:rank() ~= SUCCESS then
                    return res
                end
                if add then
                    rctx:enqueue(add, h.fill)
                    rctx:wait_cond(0)
                end
                return c.answer(new, r, found)
            end

            -- again is for reads that only cold can answer.
            local function again(r)
                local res = rctx:enqueue_and_wait(r, h.cold)
                if res:rank() ~= MISS then
                    return res
                end
                local _, add = warm(r, c.copy(r))
                if not add or compare.failed(rctx:enqueue_and_wait(add, h.fill)) then
                    return res
                end
                return compare.best{ rctx:enqueue_and_wait(r, h.again), res }
            end

            local function everywhere(r)
                if not r:has_flag("C") then
                    rctx:enqueue(r, { h.cold, h.warm })
                    rctx:wait_cond(2)
                    return compare.both{ rctx:res_any(h.cold), rctx:res_any(h.warm) }
                end
                local res = rctx:enqueue_and_wait(r, h.cold)
                return changed(r, res) and compare.both{ res, rctx:enqueue_and_wait(requests.everywhere(r), h.warm) } or res
            end

            local function delete(r)
                if hold == 0 then
                    return everywhere(r)
                end
                local note = mcp.request("ms " .. keys.derived(MARK, r) .. " 0 T" .. hold + 1 .. "\r\n", "\r\n")
                local mark = rctx:enqueue_and_wait(note, h.mark)
                local res = everywhere(r)
                return compare.failed(mark) and compare.both{ res, mark } or res
            end

            return function(r)
                if r:pure() then
                    return read(r)
                end
                local class = commands.class(r)
                if class == "delete" then
                    return delete(r)
                elseif class == "touch" or class == "read" then
                    return again(r)
                end
                local res = rctx:enqueue_and_wait(r, h.cold)
                if f.invalidate and changed(r, res) then
                    rctx:enqueue_and_wait(requests.delete(r), h.warm)
                end
                return res
            end
        end, { objects = 1, more = { again = f.cold, mark = f.cold, fill = filler(f) } })
    end,
}
