-- bigvalue: values above a threshold are cut into chunks, each an item of its own, with an index in their place; so values may be larger than
-- the child's items, and their parts lie on different backends. (The proxy's own limit is --max-item;
-- values of 16 MB have been tried, and are enough: all chunks are sent at once.)
--
-- A value above threshold bytes is stored as up to max_chunks items KEY#ID#1 ..., and then the index at the key, with the value's flags and TTL. ID
-- is new each time. So a reader has the old index or the new: if chunks of the old are gone when it comes to them, it looks at the key again. If a
-- chunk of the index that is there is gone (evicted), the value is: a miss, and what is left of it is deleted.
--
-- hit: whole, or as the child answers. miss: as the child. error, timeout: as the child, or as the first chunk that has one; a set that fails
-- deletes the chunks that it has stored.
-- get, gets and mg cost nothing more for values that are not cut. set, add, replace, cas, append, prepend, ms and delete, md first ask what is
-- there, and then change that and nothing newer (by its CAS), so that the chunks of what is replaced or deleted are known: they are deleted before
-- the answer (but not if the child does not answer; then they stay until they expire or are evicted). touch, gat and mg with T touch the chunks too.
-- A cut value cannot be appended to or prepended: SERVER_ERROR. ms with I is refused. md with I only marks the index.
-- The child must know the meta protocol. Nothing goes on after the answer.
--
-- counters: bigvalue_cut, bigvalue_lost (values of which a chunk was gone), bigvalue_left (chunks that could not be deleted)

local handler = require "routes.handler"
local commands = require "routes.commands"

-- TRIES is how often a change of a key, or a read, begins anew because another has changed the key meanwhile.
local TRIES = 4

-- The index: MAGIC, ID, how many chunks, size of the value. A value that looks like one is cut, whatever its size.
local MAGIC = "\1tidepool chunks "
local INDEX = MAGIC .. "%s %05d %012d"
local LENGTH = #string.format(INDEX, ("0"):rep(27), 0, 0)

local cut, lost, left = mcp.counter("bigvalue_cut"), mcp.counter("bigvalue_lost"), mcp.counter("bigvalue_left")

-- MODES are ms's modes by their first letters, which are all that servers look at, and by text commands.
local MODES = { S = "S", E = "E", R = "R", A = "A", P = "P", [mcp.CMD_SET] = "S", [mcp.CMD_ADD] = "E", [mcp.CMD_REPLACE] = "R",
    [mcp.CMD_CAS] = "S", [mcp.CMD_APPEND] = "A", [mcp.CMD_PREPEND] = "P" }

local function newid()
    return string.format("%011x%08x%08x", mcp.time_real_millis(), math.random(0, 0xffffffff), math.random(0, 0xffffffff))
end

-- parse reads the index in a response; nil if it has none.
local function parse(res)
    if res:vlen() ~= LENGTH then
        return nil
    end
    local raw = res:raw_string()
    local _, at = raw:find("\r\n", 1, true)
    local id, n, size = raw:match("^\1tidepool chunks (%x+) (%d+) (%d+)\r\n", at + 1)
    return id and { id = id, n = tonumber(n), size = tonumber(size) }
end

-- written is what a storage request says: mode, CAS that is wanted, TTL, client flags, E's CAS, size.
local function written(r)
    local cmd = r:command()
    if cmd ~= mcp.CMD_MS then
        return MODES[cmd], cmd == mcp.CMD_CAS and r:token(6) or nil, r:token(4), r:token(3), nil, r:token_int(5)
    end
    local there, mode = r:flag_token("M")
    local _, cas = r:flag_token("C")
    local _, ttl = r:flag_token("T")
    local _, flags = r:flag_token("F")
    local _, new = r:flag_token("E")
    return there and (MODES[string.sub(mode or "", 1, 1)] or "") or "S", cas, ttl, flags, new, r:token_int(3)
end

local function make(f)
    local threshold, most = f.threshold, f.max_chunks
    local gen = mcp.funcgen_new()
    local keys, parts, drops = {}, {}, {}
    for i = 1, 3 * TRIES do
        keys[i] = gen:new_handle(f.child)
    end
    for i = 1, most * 2 do
        parts[i] = gen:new_handle(f.child)
    end
    for i = 1, most do
        drops[i] = gen:new_handle(f.child)
    end

    -- Requests. Arguments: request, whether its key is base64, and what is named.
    local KEY, B64 = { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }
    local function of(cmd, ...)
        return mcp.req_mutator_new({ t = "cmdset", cmd = cmd }, KEY, ...)
    end
    local S, C, V = { t = "flagset", flag = "s" }, { t = "flagset", flag = "c" }, { t = "flagset", flag = "v" }
    local F, T = { t = "flagset", flag = "f" }, { t = "flagset", flag = "t" }
    local look = of("mg", B64, S, C)
    local stretch = of("mg", B64, S, C, { t = "flagcopy", flag = "T", idx = 3 }) -- TTL
    local ask = of("mg", B64, V, C, F, T)
    local swap = of("ms", { t = "valcopy", idx = 3 }, B64, C, { t = "flagcopy", flag = "C", idx = 4 }, { t = "flagcopy", flag = "T", idx = 5 },
        { t = "flagcopy", flag = "F", idx = 6 }, { t = "flagcopy", flag = "E", idx = 7 }, { t = "flagcopy", flag = "M", idx = 8 },
        { t = "flagcopy", flag = "N", idx = 9 }) -- value, CAS, TTL, flags, E, mode, N
    local drop = of("md", B64, { t = "flagcopy", flag = "C", idx = 3 }) -- CAS
    local large = mcp.res_mutator_new({ t = "reserr", code = "server", msg = "object too large for cache" })
    local busy = mcp.res_mutator_new({ t = "reserr", code = "server", msg = "too many clients change this value" })
    local whole = mcp.res_mutator_new({ t = "reserr", code = "server", msg = "this value is cut into chunks and cannot be changed in place" })
    local refuse = mcp.res_mutator_new({ t = "reserr", code = "client", msg = "ms with I is not for values that may be cut into chunks" })

    -- sized of an answer: s (there, number), CAS (there, token).
    local sized = mcp.res_inspector_new({ t = "flagint", flag = "s" }, { t = "flagtoken", flag = "c" })

    gen:ready{ n = "bigvalue", u = 3 * TRIES + 1, f = function(rctx)
        local own, failure = {}, rctx:response_new()
        for i = 1, 3 * TRIES do
            own[i] = rctx:request_new()
        end
        local used -- of own and keys

        local function fail(how)
            how(failure)
            return failure
        end

        -- send has make fill a request, and sends it for the key.
        local function send(fills, ...)
            used = used + 1
            fills(own[used], ...)
            return rctx:enqueue_and_wait(own[used], keys[used])
        end

        -- guarded is for r, an md, as long as the item is this one; r is for others as it is.
        local function guarded(to, r, cas)
            to:copy(r)
            to:flag_set("C", cas)
        end

        -- pass sends r itself for the key.
        local function pass(r)
            used = used + 1
            return rctx:enqueue_and_wait(r, keys[used])
        end

        -- base is what the keys of chunks begin with: the key, so that routes that go by it take them along, if it can be that.
        local function base(r, id)
            local key = r:decoded_key()
            if #key + #id + 7 > 250 or key:find("[%z\1-\32\127]") then
                key = "chunk"
            end
            return key .. "#" .. id .. "#"
        end

        -- discard deletes chunks.
        local function discard(r, id, n)
            local name = base(r, id)
            if n > most then -- max_chunks has been lowered since
                left:add(n - most)
                n = most
            end
            for i = 1, n do
                rctx:enqueue(mcp.request("md " .. name .. i .. "\r\n"), drops[i])
            end
            for i = 1, n do
                if rctx:wait_handle(drops[i]):rank() < 3 then
                    left:add(1)
                end
            end
        end

        -- collect reads the chunks of an index, as the try-th: a list of answers; or nil, and an error if there was one. With a TTL it touches them.
        local function collect(r, index, try, ttl)
            local name, tail, from = base(r, index.id), ttl and " T" .. ttl or "", (try - 1) * most
            if index.n > most then
                return nil, fail(large)
            end
            for i = 1, index.n do
                rctx:enqueue(mcp.request("mg " .. name .. i .. " v" .. tail .. "\r\n"), parts[from + i])
            end
            local list, size, problem = {}, 0, nil
            for i = 1, index.n do
                local res = rctx:wait_handle(parts[from + i])
                if res:rank() < 3 then
                    problem = problem or res
                end
                list[i], size = res, size + res:vlen()
            end
            if problem or size ~= index.size then -- of what is gone there are no bytes
                return nil, problem
            end
            return list
        end

        -- assemble gives the answer to r: the value whose index is in res.
        local function assemble(r, res, index, ttl)
            local b = r:has_flag("b")
            for try = 1, 2 do
                local list, problem = collect(r, index, try, ttl)
                if list then
                    return rctx:answer(r, list, { like = res })
                elseif problem then
                    return rctx:answer(r, problem)
                end
                res = send(ask, r, b)
                local now = parse(res)
                if not now then -- an error, a miss, or a value that is not cut
                    return rctx:answer(r, res)
                elseif now.id == index.id then
                    lost:add(1)
                    local _, _, _, cas = sized(res)
                    if send(drop, r, b, cas):rank() == 4 then
                        discard(r, index.id, index.n)
                    end
                    return rctx:answer(r, false)
                end
                index = now
            end
            return fail(busy)
        end

        local function read(r)
            local ttl
            if r:command() == mcp.CMD_MG then
                local _, token = r:flag_token("T")
                ttl = token
            elseif r:command() ~= mcp.CMD_GET and r:command() ~= mcp.CMD_GETS then
                ttl = r:token(2)
            end
            local res = pass(r)
            if res:vlen() == LENGTH then
                local index = parse(res)
                return index and assemble(r, res, index, ttl) or res
            elseif res:rank() < 4 or r:command() ~= mcp.CMD_MG or r:has_flag("v") or not (ttl or r:has_flag("s")) then
                return res
            end
            local tells, length = sized(res)
            if tells and length ~= LENGTH then
                return res
            end
            local b = r:has_flag("b") -- mg without v, that tells the size or touches
            local there = send(ask, r, b)
            local index = parse(there)
            if not index then
                return res
            elseif ttl then
                collect(r, index, 1, ttl)
            end
            return rctx:answer(r, true, { like = res, size = index.size })
        end

        local function touch(r)
            local b, ttl = r:has_flag("b"), r:token(3)
            local res = send(stretch, r, b, ttl)
            if res:rank() < 4 then
                return rctx:answer(r, res)
            end
            local _, size = sized(res)
            if size == LENGTH then
                local index = parse(send(ask, r, b))
                if index then
                    collect(r, index, 1, ttl)
                end
            end
            return rctx:answer(r, true)
        end

        -- current gives what is there: its CAS (nil: nothing), and its index if it is cut; or nil, nil and an error.
        local function current(r, b)
            local res = send(look, r, b)
            if res:rank() < 3 then
                return nil, nil, res
            end
            local _, size, _, cas = sized(res)
            if size ~= LENGTH then
                return cas
            end
            res = send(ask, r, b)
            if res:rank() < 3 then
                return nil, nil, res
            end
            _, _, _, cas = sized(res)
            return cas, parse(res)
        end

        -- chunk stores the chunks of r's value: an index; or nil and an error.
        local function chunk(r, size, ttl)
            local index = { id = newid(), n = math.ceil(size / threshold), size = size }
            if index.n > most then
                return nil, fail(large)
            end
            cut:add(1)
            local name, tail = base(r, index.id), ttl and " T" .. ttl or ""
            for i = 1, index.n do
                local from, to = (i - 1) * threshold + 1, math.min(i * threshold, size)
                rctx:enqueue(mcp.request("ms " .. name .. i .. " " .. to - from + 1 .. tail .. "\r\n", r, from, to), parts[i])
            end
            local problem
            for i = 1, index.n do
                local res = rctx:wait_handle(parts[i])
                if res:rank() < 4 then
                    problem = problem or res
                end
            end
            if problem then
                discard(r, index.id, index.n)
                return nil, problem
            end
            return index
        end

        -- change stores r's value, or its index, over what is there, until it has replaced what it has looked at. It gives the answer, whether r's
        -- value is there now, and the index that it has replaced.
        local function change(r, b, value)
            local mode, want, ttl, flags, new = written(r)
            if mode == "E" then
                want = nil
            end
            local joins = mode == "A" or mode == "P"
            local _, vivify = r:flag_token("N")
            for _ = 1, TRIES do -- of at most three requests each
                local cas, old, problem = current(r, b)
                if problem then
                    return problem, false
                elseif want and want ~= cas then -- the child says what is wrong
                    return send(swap, r, b, value, want, ttl, flags), false
                elseif cas and mode == "E" or not cas and (mode == "R" or joins and not vivify) then
                    return rctx:answer(r, false), false
                elseif joins and old then
                    return fail(whole), false
                end
                local how = joins and mode or nil
                if not cas and not joins then
                    how = "E"
                end
                local res = send(swap, r, b, value, cas, ttl, flags, new, how, vivify)
                if res:rank() ~= 3 then
                    return res, res:rank() == 4, old
                elseif want then
                    return res, false
                end
            end
            return fail(busy), false
        end

        local function store(r)
            if r:has_flag("I") then
                return fail(refuse)
            end
            local mode, _, ttl, _, _, size = written(r)
            if not MODES[mode] or not size then
                return pass(r)
            end
            local b, value, index = r:has_flag("b"), r, nil
            if mode ~= "A" and mode ~= "P" and (size > threshold or size == LENGTH and r:raw_value():sub(1, #MAGIC) == MAGIC) then
                local problem
                index, problem = chunk(r, size, ttl)
                if problem then
                    return rctx:answer(r, problem)
                end
                value = string.format(INDEX, index.id, index.n, index.size) .. "\r\n"
            end
            local res, done, old = change(r, b, value)
            if index and not done then
                discard(r, index.id, index.n)
            elseif done and old then
                discard(r, old.id, old.n)
            end
            return rctx:answer(r, res, { size = size })
        end

        local function delete(r)
            local b, meta = r:has_flag("b"), r:command() == mcp.CMD_MD
            local want, which = r:flag_token("C")
            if meta and r:has_flag("I") then
                return pass(r)
            end
            for _ = 1, TRIES do
                local cas, old, problem = current(r, b)
                if problem then
                    return rctx:answer(r, problem)
                elseif not cas then
                    return rctx:answer(r, false)
                end
                local res
                if not meta then
                    res = send(drop, r, b, cas)
                elseif want then
                    res = pass(r)
                else
                    res = send(guarded, r, cas)
                end
                if res:rank() == 4 and old and (not want or which == cas) then
                    discard(r, old.id, old.n)
                end
                if res:code() ~= mcp.MCMC_CODE_EXISTS or want then
                    return rctx:answer(r, res)
                end
            end
            return fail(busy)
        end

        return function(r)
            used = 0
            local class, cmd = commands.class(r), r:command()
            if cmd == mcp.CMD_TOUCH then
                return touch(r)
            elseif class == "read" and cmd ~= mcp.CMD_ME or class == "touch" or cmd == mcp.CMD_MG then
                return read(r)
            elseif class == "delete" then
                return delete(r)
            elseif cmd == mcp.CMD_MS or MODES[cmd] then
                return store(r)
            end
            return pass(r)
        end
    end }
    return gen
end

return handler.define{
    name = "bigvalue",
    doc = "Cuts values above a threshold into chunks, and puts them together again.",
    fields = {
        { "child", "child", required = true, doc = "where requests go; it must know the meta protocol" },
        { "threshold", "integer", min = 100, default = 500000, doc = "bytes above which a value is cut, and of a chunk" },
        { "max_chunks", "integer", min = 2, max = 100, default = 16, doc = "of a value; larger ones are refused" },
    },
    example = [[route_bigvalue{ child = "a", threshold = 900000 }]],
    make = make,
}
