-- hotkey: a key that is read more than its backend should bear is read from several copies of it in turn, each under a key of its own, so
-- that they lie on different backends.
--
-- Above threshold reads a second in this proxy, get, and mg with v and without c N R T E t h l, go in turn to the key itself and to
-- replicas - 1 copies (KEY#hot1 ...). A copy that is missing is made of the key's own value by who reads it, with a lease of the meta protocol,
-- which the child must know, and lives for at most ttl seconds. Everything else, and every other read, goes to the key itself.
--
-- hit: as the key itself would be answered. miss of a copy: the key itself is asked. error or timeout of a copy: the key itself is asked.
-- Writes, deletes and touches go to the key; when that is answered, whatever the answer, all copies are deleted, and then the client has its
-- answer, which is the key's. (They are not set: of two sets at once a copy might keep the older.) That costs replicas - 1 deletes for every
-- write, since another proxy may have made copies. A copy that could not be deleted lives out its ttl; hotkey_undropped counts those.
-- Keys are compared as the child has them; binary ones, and those that are too long for the suffix, have no copies.
-- After the answer goes on: the making of a copy.
--
-- counters: hotkey_hits (answered by copies), hotkey_made, hotkey_undropped

local handler = require "routes.handler"
local commands = require "routes.commands"

-- MAKING is for how many seconds a copy may be in the making.
local MAKING = 5

-- LONGEST is the longest key that memcached takes.
local LONGEST = 250

local hits, made, undropped = mcp.counter("hotkey_hits"), mcp.counter("hotkey_made"), mcp.counter("hotkey_undropped")

local function make(f)
    local hot = mcp.hotkeys{ window = 2 }
    local copies, threshold = f.replicas - 1, f.threshold
    local gen = mcp.funcgen_new()
    local child, own, other, fill = gen:new_handle(f.child), gen:new_handle(f.child), gen:new_handle(f.child), gen:new_handle(f.child)
    local drops = {}
    for i = 1, copies do
        drops[i] = gen:new_handle(f.child)
    end

    -- Requests. Arguments: key, and what is named.
    local KEY = { t = "keycopy", idx = 1 }
    local function of(cmd, ...)
        return mcp.req_mutator_new({ t = "cmdset", cmd = cmd }, KEY, ...)
    end
    local V, F, C = { t = "flagset", flag = "v" }, { t = "flagset", flag = "f" }, { t = "flagset", flag = "c" }
    local ask = of("mg", V, F, C, { t = "flagset", flag = "N", val = MAKING })
    local original = of("mg", V, F, { t = "flagset", flag = "t" })
    local keep = of("ms", { t = "valcopy", idx = 2 }, { t = "flagcopy", flag = "C", idx = 3 }, { t = "flagcopy", flag = "T", idx = 4 },
        { t = "flagcopy", flag = "F", idx = 5 }) -- a response, CAS, TTL, flags
    local unclaim = of("md", { t = "flagcopy", flag = "C", idx = 2 }) -- CAS
    local drop = of("md")

    -- marks of a copy: W, Z, CAS (there, token). item of the original: X, W, Z, flags (there, token), TTL (there, number).
    local marks = mcp.res_inspector_new({ t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" }, { t = "flagtoken", flag = "c" })
    local item = mcp.res_inspector_new({ t = "hasflag", flag = "X" }, { t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" },
        { t = "flagtoken", flag = "f" }, { t = "flagint", flag = "t" })
    local shape = mcp.req_inspector_new({ t = "hasflag", flag = "v" }, { t = "hasflag", flag = "c" }, { t = "hasflag", flag = "N" },
        { t = "hasflag", flag = "R" }, { t = "hasflag", flag = "T" }, { t = "hasflag", flag = "E" }, { t = "hasflag", flag = "t" },
        { t = "hasflag", flag = "h" }, { t = "hasflag", flag = "l" })

    local function fits(r)
        local cmd = r:command()
        if cmd ~= mcp.CMD_MG then
            return cmd == mcp.CMD_GET
        end
        local v, c, N, R, T, E, t, h, l = shape(r)
        return v and not (c or N or R or T or E or t or h or l)
    end

    -- base gives what the keys of r's copies begin with; nil if it has none.
    local function base(r)
        local key = r:decoded_key()
        if #key + 6 <= LONGEST and not key:find("[%z\1-\32\127]") then
            return key .. "#hot"
        end
    end

    local turn = 0

    gen:ready{ n = "hotkey", u = copies + 3, f = function(rctx)
        local first, second, third, dels = rctx:request_new(), rctx:request_new(), rctx:request_new(), {}
        for i = 1, copies do
            dels[i] = rctx:request_new()
        end

        -- fetch makes the copy that this request has been told to make, of what the key itself has, and answers that.
        local function fetch(r, copy, cas)
            original(second, r)
            if r:has_flag("b") then
                second:flag_add("b")
            end
            local res = rctx:enqueue_and_wait(second, own)
            local keeps
            if res:rank() == 4 then
                local stale, won, sent, _, flags, _, ttl = item(res)
                keeps = not (stale or won or sent) and ttl ~= 0
                if keeps then
                    ttl = ttl and ttl > 0 and math.min(ttl, f.ttl) or f.ttl
                    keep(third, copy, res, cas, tostring(ttl), flags)
                    made:add(1)
                end
            end
            if not keeps then
                unclaim(third, copy, cas)
            end
            rctx:enqueue(third, fill)
            rctx:wait_cond(0)
            return rctx:answer(r, res)
        end

        local function read(r)
            if not fits(r) or hot(r) < threshold then
                return rctx:enqueue_and_wait(r, child)
            end
            turn = (turn + 1) % (copies + 1)
            local copy = turn > 0 and base(r)
            if not copy then
                return rctx:enqueue_and_wait(r, child)
            end
            copy = copy .. turn
            ask(first, copy)
            local res = rctx:enqueue_and_wait(first, other)
            if res:rank() < 4 then
                return rctx:enqueue_and_wait(r, child)
            end
            local won, sent, _, cas = marks(res)
            if won then
                return fetch(r, copy, cas)
            elseif sent then
                return rctx:enqueue_and_wait(r, child)
            end
            hits:add(1)
            return rctx:answer(r, res)
        end

        local function write(r)
            local res = rctx:enqueue_and_wait(r, child)
            local copy = base(r)
            if not copy then
                return res
            end
            for i = 1, copies do
                drop(dels[i], copy .. i)
                rctx:enqueue(dels[i], drops[i])
            end
            rctx:wait_cond(copies)
            for i = 1, copies do
                if rctx:res_any(drops[i]):rank() < 3 then
                    undropped:add(1)
                end
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
            return write(r)
        end
    end }
    return gen
end

return handler.define{
    name = "hotkey",
    doc = "Reads keys above a rate from several copies in turn, which lie under keys of their own.",
    fields = {
        { "child", "child", required = true, doc = "where requests go; it must know the meta protocol" },
        { "replicas", "integer", min = 2, max = 10, default = 3, doc = "how many there are to read from, the key itself among them" },
        { "threshold", "number", min = 0, default = 1000, doc = "reads of a key a second, in this proxy, from which on copies are read" },
        { "ttl", "integer", min = 1, max = 3600, default = 10, doc = "seconds that a copy lives at most" },
    },
    example = [[route_hotkey{ child = "a", replicas = 4, threshold = 5000 }]],
    make = make,
}
