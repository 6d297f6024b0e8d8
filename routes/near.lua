-- near: a near cache. The values of hot keys are kept in a store of the proxy's own, for a moment, and answered from there.
--
-- A key is hot from `promote` reads a second on, or where promote, as a function of the key and its rate, says so; only rates are kept of
-- keys that are not, in fixed memory. All workers have one store. With a name it outlives a reload that names it too.
--
-- get, gets, and mg with v and without N R T E t h l, of a hot key: a copy that is there is answered, at most ttl seconds after it was read
-- from the child, and never past its own TTL. Else the child is asked (mg, so it must know the meta protocol), and a hit is kept: not an empty
-- value, nor one that is stale or has a lease. Everything else goes to the child as it is.
--
-- hit: kept, or as the child answers. miss, error, timeout: as the child answers; the child is always asked.
-- Whatever writes, deletes or touches a key through this proxy drops the copy before it is sent and after it is answered, and no read that was
-- sent before or meanwhile is kept. After a write without an answer nothing is kept for 10 seconds, whatever is written after. What other proxies
-- write is seen after ttl seconds. Keys are compared as the child has them: base64 decoded. Nothing goes on after the answer.
--
-- stale_sets = "delete": a plain set of a client that has read an older copy than the child now holds, since that client last set the key or
-- read it from the child, becomes a delete; it is answered as if it had been stored. (Clients are told apart by their connections.)
--
-- counters: near_hits, near_kept, near_refused (reads that were not kept because of a write), near_stale_sets

local handler = require "routes.handler"
local commands = require "routes.commands"
local keys = require "routes.keys"

-- HOLD is for how many seconds nothing is kept after a write that may still be done, and for how long a read may take to be kept.
local HOLD = 10

-- UNSURE begins the key of a mark in the store: a write of the key was not answered. It is apart from what blocks the key, which a later write drops.
local UNSURE = "tidepool:unsure:"

-- MOST is how many reads of clients are remembered, for stale_sets.
local MOST = 20000

local hits, kept = mcp.counter("near_hits"), mcp.counter("near_kept")
local refused, turned = mcp.counter("near_refused"), mcp.counter("near_stale_sets")

-- remembers makes what stale_sets = "delete" knows: CAS numbers of copies that clients have read.
local function remembers()
    local seen, n = {}, 0
    return {
        read = function(client, key, cas)
            if not client then -- it is many
                return
            elseif cas then
                n = n + 1
                if n > MOST then
                    seen, n = {}, 1
                end
            end
            local id = client .. " " .. key
            seen[id] = cas
        end,
        had = function(client, key)
            return client and seen[client .. " " .. key]
        end,
    }
end

local function make(f)
    -- Requests. Arguments: request, whether its key is base64, and what is named.
    local KEY, B64 = { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }
    local function of(cmd, ...)
        return mcp.req_mutator_new({ t = "cmdset", cmd = cmd }, KEY, ...)
    end
    local claim = of("mg", B64, { t = "flagset", flag = "N", val = HOLD }, { t = "flagset", flag = "c" })
    local ask = of("mg", B64, { t = "flagset", flag = "v" }, { t = "flagset", flag = "f" }, { t = "flagset", flag = "c" },
        { t = "flagset", flag = "t" })
    local keep = of("ms", { t = "valcopy", idx = 3 }, B64, { t = "flagcopy", flag = "C", idx = 4 }, { t = "flagcopy", flag = "T", idx = 5 },
        { t = "flagcopy", flag = "F", idx = 6 }, { t = "flagcopy", flag = "E", idx = 7 }) -- a response, claimed CAS, TTL, flags, CAS
    local block = of("ms", { t = "valcopy", idx = 3 }, B64, { t = "flagcopy", flag = "T", idx = 4 }) -- "\r\n", TTL
    local look = of("mg", { t = "flagset", flag = "t" })
    local drop = of("md", B64)
    local checked = of("ms", { t = "valcopy", idx = 1 }, B64, { t = "flagcopy", flag = "C", idx = 3 }, { t = "flagcopy", flag = "T", idx = 4 },
        { t = "flagcopy", flag = "F", idx = 5 }) -- CAS, TTL, flags

    -- shape says which flags a mg that only reads has that matter: v; those that no copy can answer; k, b.
    local shape = mcp.req_inspector_new({ t = "hasflag", flag = "v" }, { t = "hasflag", flag = "E" }, { t = "hasflag", flag = "t" },
        { t = "hasflag", flag = "h" }, { t = "hasflag", flag = "l" }, { t = "hasflag", flag = "k" }, { t = "hasflag", flag = "b" })

    local left = mcp.res_inspector_new({ t = "flagint", flag = "t" })
    local claimed = mcp.res_inspector_new({ t = "hasflag", flag = "W" }, { t = "flagtoken", flag = "c" })
    local item = mcp.res_inspector_new({ t = "hasflag", flag = "X" }, { t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" },
        { t = "flagtoken", flag = "f" }, { t = "flagtoken", flag = "c" }, { t = "flagint", flag = "t" })

    -- fits is whether a copy can answer r, and whether r has a base64 key.
    local function fits(r)
        local cmd = r:command()
        if cmd == mcp.CMD_GET or cmd == mcp.CMD_GETS then
            return true, false
        end
        local v, E, t, h, l, k, b = shape(r)
        return v and not (E or t or h or l or k and b), b -- me has no v
    end

    local store = mcp.store{ name = f.name, memory = f.size }
    local hot = mcp.hotkeys{ name = f.name, window = 2 }
    local promote = f.promote
    if type(promote) ~= "function" then
        promote = function(_, rate)
            return rate >= f.promote
        end
    end
    local memory = f.stale_sets == "delete" and remembers()
    local gen = mcp.funcgen_new()
    local child, again = gen:new_handle(f.child), gen:new_handle(f.child)

    gen:ready{ n = "near", u = 6, f = function(rctx)
        local first, second, third, own = rctx:request_new(), rctx:request_new(), rctx:request_new(), rctx:request_new()
        local mark, anew = rctx:request_new(), rctx:request_new()

        -- copy gives the answer of a copy, if there is one.
        local function copy(r, b)
            if not memory then
                local res = store(r)
                return res:vlen() > 0 and res
            end
            ask(first, r, b)
            local res = store(first)
            if res:vlen() == 0 then
                return false
            end
            local _, _, _, _, _, _, cas = item(res)
            memory.read(rctx:client(), r:decoded_key(), cas)
            return rctx:answer(r, res)
        end

        -- fetch asks the child and keeps what it answers, if nothing has been written since.
        local function fetch(r, b)
            claim(second, r, b)
            local won, _, token = claimed(store(second))
            if not won then
                return rctx:enqueue_and_wait(r, child)
            end
            ask(third, r, b)
            local res = rctx:enqueue_and_wait(third, child)
            local keeps
            if res:vlen() > 0 then
                local stale, lease, filled, _, flags, _, cas, _, ttl = item(res)
                keeps = ttl ~= 0 and not (stale or lease or filled)
                if keeps then
                    ttl = ttl and ttl > 0 and math.min(ttl, f.ttl) or f.ttl
                    keep(own, r, b, res, token, tostring(ttl), flags, cas)
                    if store(own):rank() == 4 then
                        kept:add(1)
                    else
                        refused:add(1)
                    end
                end
            end
            if not keeps then
                keep(own, r, b, "\r\n", token, "-1")
                store(own)
            end
            return rctx:answer(r, res)
        end

        local function read(r)
            local fit, b = fits(r)
            if not fit then
                return rctx:enqueue_and_wait(r, child)
            end
            local rate = hot(r)
            local res = copy(r, b)
            if res then
                hits:add(1)
                return res
            end
            local key
            if memory then
                key = r:decoded_key()
                memory.read(rctx:client(), key, nil)
            end
            if not promote(key or r:decoded_key(), rate) or b and not r:decoded_key():find("[%z\1-\32\127]") then
                return rctx:enqueue_and_wait(r, child)
            end
            return fetch(r, b)
        end

        -- set sends a plain set of a client that has read a copy: it must not replace what is newer.
        local function set(r, b, cas)
            local res
            if r:command() == mcp.CMD_SET then
                checked(own, r, b, cas, r:token(4), r:token(3))
                res = rctx:enqueue_and_wait(own, child)
            else
                own:copy(r) -- r is for others as it is
                own:flag_add("C", cas)
                res = rctx:enqueue_and_wait(own, child)
            end
            if res:rank() ~= 3 then
                return rctx:answer(r, res)
            end
            turned:add(1)
            drop(third, r, b)
            res = rctx:enqueue_and_wait(third, again)
            return res:rank() >= 3 and rctx:answer(r, true) or res
        end

        local function write(r, class)
            local b = r:has_flag("b")
            block(first, r, b, "\r\n", tostring(HOLD))
            store(first)
            local cas
            if memory then
                local client, key = rctx:client(), r:decoded_key()
                cas = class == "store" and memory.had(client, key)
                memory.read(client, key, nil)
            end
            local res = cas and set(r, b, cas) or rctx:enqueue_and_wait(r, child)
            local unsure = keys.derived(UNSURE, r)
            if res:rank() < 3 then
                if res:rank() == 1 then -- before the block, for who answers a write drops that first, and then looks for the mark
                    block(mark, unsure, nil, "\r\n", tostring(HOLD))
                    store(mark)
                end
                block(second, r, b, "\r\n", tostring(HOLD))
                store(second)
                return res
            end
            drop(second, r, b)
            store(second)
            look(mark, unsure)
            local there, t = left(store(mark))
            if there then
                block(anew, r, b, "\r\n", tostring(t + 1)) -- of the last second less than one is left
                store(anew)
            end
            return res
        end

        return function(r)
            local class = commands.class(r)
            if class == "read" then
                return read(r)
            elseif class == "other" or class == "modify" and r:command() == mcp.CMD_MG then
                return rctx:enqueue_and_wait(r, child)
            end
            return write(r, class)
        end
    end }
    return gen
end

return handler.define{
    name = "near",
    doc = "Keeps the values of hot keys in the proxy for a moment and answers reads with them.",
    fields = {
        { "child", "child", required = true, doc = "where requests go; it must know the meta protocol" },
        { "ttl", "integer", min = 1, max = 3600, default = 1, doc = "seconds for which a copy is answered" },
        { "size", "integer", min = 2097152, default = 67108864, doc = "bytes of memory for copies" },
        { "promote", "any", default = 10, check = function(v)
            if type(v) ~= "function" and not (type(v) == "number" and v >= 0) then
                return "want a number, or a function of key and rate, got a " .. type(v)
            end
        end, doc = "reads a second from which on a key is kept, or a function of the key and that rate that says whether it is" },
        { "stale_sets", "enum", values = { "pass", "delete" }, default = "pass",
            doc = "what becomes of a set whose client has read an older copy than the child holds" },
        { "name", "string", doc = "of the store; with one, copies outlive a reload, and writes that began before it drop them" },
    },
    example = [[route_near{ child = "a", ttl = 2, promote = 50 }]],
    make = make,
}
