-- fill: a read-through cache. What the child does not have is loaded, once for all who wait for it, stored with a TTL, and answered.
--
-- Where from is one of three:
--   url     fetched by HTTP, %k in it standing for the key: 200 is the value, 404 that there is none; max-age bounds the TTL (mcp.http)
--   origin  a pool or route, asked with mg: a hit is the value, whose TTL bounds ttl
--   getter  a function of the key and the request that gives the value and, if it likes, a TTL; or nil: there is none. It may wait, by pool(r) or
--           mcp.await; what it raises is an error
--
-- get, gets, gat, gats, and mg (without N and R):
-- hit: as the child answers. miss: one request loads; the others for the key, of all workers, wait for it and get the same. Other proxies wait
-- too, up to timeout, by a lease of the meta protocol, which the child must know. What is loaded is not stored if the key has been set or
-- deleted since the load began, and whoever asks after that is not given it; of those who waited one loads anew. Who has waited for twice the timeout
-- and a second gets an error.
-- Nothing there: a miss; with negative it is remembered in the child, as an empty item that clients do not see, for so many seconds.
-- Error or timeout of the load: all who wait get the error; the next to ask tries again. Error or timeout of the child: as the child answers,
-- without a load, which all keys would want then.
-- stale_while = seconds: the value is kept so much longer than ttl, and answered meanwhile, while one request loads it again in the background; it
-- stays if that fails. With it every read is asked as mg.
--
-- ttl is shortened by chance, by up to the jitter's share of it, so that what was loaded together does not go together; 0 is for ever, but a value
-- that comes with a TTL, however long, is kept for 2000000 seconds at most.
-- Writes and deletes go to the child; commands that change what is there first ask whether it is an item of a load, which costs a request.
-- gat and mg with T read first, then touch. After the answer goes on: a load in the background.
--
-- counters: fill_loads, fill_none, fill_failed, fill_waited, fill_stale (old values that were answered)

local handler = require "routes.handler"
local commands = require "routes.commands"
local placeholder = require "routes.placeholder"

-- LONGEST is the longest TTL in seconds, so that with stale_while it is no month: what is more is a time since 1970.
local LONGEST = 2000000

-- LOOKS is how often a load looks whether another proxy has done it.
local LOOKS = 5

local loads, none, failed = mcp.counter("fill_loads"), mcp.counter("fill_none"), mcp.counter("fill_failed")
local waited, old = mcp.counter("fill_waited"), mcp.counter("fill_stale")

-- tools makes what all generators of a handler use.
local function tools()
    local KEY, B64 = { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }
    local V, F = { t = "flagset", flag = "v" }, { t = "flagset", flag = "f" }
    local C, T = { t = "flagset", flag = "c" }, { t = "flagset", flag = "t" }
    local token = { t = "flagcopy", flag = "C", idx = 3 }
    return {
        -- Requests. Arguments: request, whether its key is base64, and what is named.
        ask = mcp.req_mutator_new({ t = "cmdset", cmd = "mg" }, KEY, B64, V, F, C, T),
        claim = mcp.req_mutator_new({ t = "cmdset", cmd = "mg" }, KEY, B64, V, F, C, T, { t = "flagcopy", flag = "N", idx = 3 }), -- TTL
        origin = mcp.req_mutator_new({ t = "cmdset", cmd = "mg" }, KEY, B64, V, F, T),
        store = mcp.req_mutator_new({ t = "cmdset", cmd = "ms" }, KEY, { t = "valcopy", idx = 4 }, B64, token,
            { t = "flagcopy", flag = "T", idx = 5 }, { t = "flagcopy", flag = "F", idx = 6 }, C), -- CAS, response or text, TTL, flags
        drop = mcp.req_mutator_new({ t = "cmdset", cmd = "md" }, KEY, B64, token), -- CAS
        failure = mcp.res_mutator_new({ t = "reserr", code = "server", msg = "the value is still being loaded" }),

        -- stored is the CAS that ms tells (there, token).
        stored = mcp.res_inspector_new({ t = "flagtoken", flag = "c" }),

        -- item of an answer: X, W, Z, flags (there, token), CAS (there, token), TTL (there, number).
        item = mcp.res_inspector_new({ t = "hasflag", flag = "X" }, { t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" },
            { t = "flagtoken", flag = "f" }, { t = "flagtoken", flag = "c" }, { t = "flagint", flag = "t" }),
    }
end

local NONE = tostring(placeholder.NONE)

-- getting makes a target of a function that gives values.
local function getting(getter)
    local gen = mcp.funcgen_new()
    gen:ready{ n = "fill getter", f = function(rctx)
        return function(r)
            local value, ttl = getter(r:decoded_key(), r)
            if value == nil then
                return rctx:answer(r, false)
            end
            return rctx:answer(r, value, { ttl = ttl })
        end
    end }
    return gen
end

-- loading makes the generator that loads a key and gives an answer to mg with v f c t, or an error. background: it replaces an old value.
local function loading(f, t, gate, source, background)
    local gen = mcp.funcgen_new()
    local load, put = gen:new_handle(source), gen:new_handle(f.child)
    local looks = {}
    for i = 1, LOOKS do
        looks[i] = gen:new_handle(f.child)
    end
    local hold = tostring(math.ceil(f.timeout) + 2)

    -- lifetime is for how long what was loaded is kept: a TTL, as text.
    local function lifetime(given)
        local ttl = f.ttl
        if given and given > 0 and (ttl == 0 or given < ttl) then
            ttl = math.min(given, LONGEST)
        end
        if ttl == 0 then
            return "0"
        end
        ttl = math.floor(ttl * (1 - f.jitter * math.random()) + 0.5)
        return tostring(math.max(ttl, 1) + f.stale_while)
    end

    gen:ready{ n = background and "fill again" or "fill load", u = 4, f = function(rctx)
        local look, want, change, failure = rctx:request_new(), rctx:request_new(), rctx:request_new(), rctx:response_new()

        -- fetch loads, and does to the item with this CAS what follows; nil: there is none that may be changed.
        local function fetch(r, b, cas)
            loads:add(1)
            t.origin(want, r, b)
            local res, late = rctx:enqueue_and_wait(want, load, f.timeout)
            if late then
                t.failure(failure)
                res = failure
            end
            local rank = res:rank()
            if rank < 3 then
                failed:add(1)
            elseif rank == 3 then
                none:add(1)
            end
            if cas and (rank >= 3 or not background) then
                if rank == 4 then
                    local _, _, _, _, flags, _, _, _, ttl = t.item(res)
                    t.store(change, r, b, cas, res, lifetime(ttl), flags)
                elseif rank == 3 and f.negative > 0 then
                    t.store(change, r, b, cas, "\r\n", tostring(f.negative), NONE)
                else
                    t.drop(change, r, b, cas)
                end
                local _, now = t.stored(rctx:enqueue_and_wait(change, put))
                return rctx:answer(look, res, { cas = now })
            end
            return res
        end

        -- first asks the child once more, for another may have loaded meanwhile, and loads if it is to.
        local function first(r, b)
            if background then
                t.ask(look, r, b)
            else
                t.claim(look, r, b, hold)
            end
            local pause = f.timeout / (2 ^ (LOOKS - 1) - 1) -- each is twice the one before; all together, timeout
            for i = 1, LOOKS do
                local res = rctx:enqueue_and_wait(look, looks[i])
                if res:rank() < 3 then
                    return res
                elseif res:rank() == 3 then -- it has no room, or the old value has gone
                    return background and res or fetch(r, b)
                end
                local _, won, sent, _, flags, _, cas, _, ttl = t.item(res)
                if background then
                    if ttl == -1 or ttl > f.stale_while then
                        return res
                    end
                    return fetch(r, b, cas)
                elseif won then
                    return fetch(r, b, cas)
                elseif not sent or res:vlen() > 0 then
                    return flags == NONE and res:vlen() == 0 and rctx:answer(r, false) or res
                end
                if i < LOOKS then
                    rctx:sleep(pause)
                    pause = pause * 2
                end
            end
            return fetch(r, b) -- another proxy should have by now
        end

        return function(r)
            local b = r:has_flag("b")
            local patience = background and 0 or 2 * f.timeout + 1
            local since = mcp.time_mono_millis()
            while true do -- every write of the key opens the gate, and who is let go without an answer may be next to load
                local leads, res = rctx:lead(gate, r, math.max(0, patience - (mcp.time_mono_millis() - since) / 1000))
                if leads == true then
                    res = first(r, b)
                    rctx:unlead(gate, r, res)
                    return res
                elseif leads == nil then
                    break
                end
                waited:add(1)
                if res then
                    return res
                end
            end
            t.failure(failure)
            return failure
        end
    end }
    return gen
end

local function make(f)
    local source = f.origin
    if f.url then
        source = mcp.http{ url = f.url, timeout = f.timeout, max = f.max }
    elseif f.getter then
        source = getting(f.getter)
    end
    local t, gate, holder = tools(), mcp.gate(), placeholder.new()
    local gen = mcp.funcgen_new()
    local h = { gen:new_handle(f.child), gen:new_handle(f.child), gen:new_handle(f.child) }
    local load = gen:new_handle(loading(f, t, gate, source, false))
    local again = f.stale_while > 0 and gen:new_handle(loading(f, t, gate, source, true))

    gen:ready{ n = "fill", u = placeholder.OBJECTS + 1, f = function(rctx)
        local own = rctx:request_new()
        local writer = holder.writer(rctx, h)

        -- read gives the answer. plain: r itself may be sent; else also whether it is a value of the child's.
        local function read(r, plain)
            local res
            if plain and not again and (r:command() ~= mcp.CMD_MG or r:has_flag("v")) then
                res = rctx:enqueue_and_wait(r, h[1])
                if res:rank() < 3 or res:vlen() > 0 then
                    return res
                end
            else
                t.ask(own, r, r:has_flag("b"))
                res = rctx:enqueue_and_wait(own, h[1])
                if res:rank() < 3 then
                    return res, false
                elseif res:vlen() > 0 then
                    local _, _, _, _, _, _, _, _, ttl = t.item(res)
                    if again and ttl ~= -1 and ttl <= f.stale_while then
                        old:add(1)
                        rctx:enqueue(r, again)
                        rctx:wait_cond(0)
                    end
                    return rctx:answer(r, res), true
                end
            end
            return rctx:answer(r, rctx:enqueue_and_wait(r, load)), false
        end

        -- touch reads, and touches what it has read if the child has it.
        local function touch(r)
            local res, there = read(r, false)
            if there then
                return rctx:enqueue_and_wait(r, h[2])
            end
            return res
        end

        return function(r)
            local class, cmd = commands.class(r), r:command()
            if class == "read" and cmd ~= mcp.CMD_ME then
                return (read(r, true))
            elseif class == "touch" and cmd ~= mcp.CMD_TOUCH then
                return touch(r)
            end
            local res
            if class == "touch" or class == "modify" and cmd ~= mcp.CMD_MG then
                res = writer(r, class)
            else
                res = rctx:enqueue_and_wait(r, h[1])
                if class ~= "store" and class ~= "delete" then
                    return res
                end
            end
            gate(r) -- what is being loaded is older than this
            return res
        end
    end }
    return gen
end

-- one checks that there is exactly one source.
local function one(_, f)
    local n = (f.url and 1 or 0) + (f.origin and 1 or 0) + (f.getter and 1 or 0)
    if n ~= 1 then
        return "want one of url, origin and getter, got " .. n
    end
end

return handler.define{
    name = "fill",
    doc = "Loads what its child does not have, once for all who wait, stores it and answers it.",
    fields = {
        { "child", "child", required = true, check = one, doc = "the cache; it must know the meta protocol" },
        { "url", "string", doc = "where values are fetched by HTTP; %k stands for the key" },
        { "origin", "child", doc = "a pool or route that has the values" },
        { "getter", "function", doc = "a function of key and request that gives a value and a TTL, or nil" },
        { "ttl", "integer", min = 0, max = LONGEST, default = 60, doc = "seconds for which a value is kept; 0: for ever" },
        { "jitter", "number", min = 0, max = 0.9, default = 0.1, doc = "the share of ttl by which it is shortened at most, by chance" },
        { "negative", "integer", min = 0, max = LONGEST, default = 0, doc = "seconds for which it is remembered that there is no value" },
        { "stale_while", "integer", min = 0, max = 500000, default = 0,
            doc = "seconds after ttl in which the old value is answered while it is loaded again" },
        { "timeout", "seconds", above = 0, max = 3600, default = 1, doc = "how long a load may take" },
        { "max", "integer", min = 1, default = 1048576, doc = "bytes of a value that is fetched by HTTP" },
    },
    example = [[route_fill{ child = "a", origin = "b", ttl = 300, negative = 10, stale_while = 60 }]],
    make = make,
}
