-- copies: an item is read from one pool with all that a copy needs, the client is answered from that, and the copy is added to another pool.
--
--   copies.new()           in make: a table with the functions below
--   c.read(r)              a request for r, a pure get or mg, whose answer has flags, TTL and value. nil: it would be too long
--   c.answer(new, r, res)  the answer to r of the answer to c.read(r), or to r itself; new is one of rctx:response_new, which is filled with it if
--                          it is another. An error is given as it is
--   c.copy(r)              as c.read, for the key of r whatever command that is
--   c.miss(new, r)         the miss of r
--   c.add(r, res, ttl)     the request that adds that item to another pool for what remains of its life, at most ttl seconds (nil: no bound);
--                          nil if it is no hit, is about to go, or is stale or being filled (flags X, W, Z)

local answers = require "routes.answers"
local compare = require "routes.compare"
local requests = require "routes.requests"

local M = {}

local NEEDS = { "f", "t", "v" }

-- lacks gives the flags of NEEDS that r, an mg, has not.
local function lacks(r)
    local more = {}
    for _, flag in ipairs(NEEDS) do
        if not r:has_flag(flag) then
            more[#more + 1] = flag
        end
    end
    return more
end

local function read(r)
    if r:command() == mcp.CMD_GET then
        return requests.line("mg " .. r:key() .. " f t v")
    end
    local words = lacks(r)
    table.insert(words, 1, r:raw_line())
    return requests.line(table.concat(words, " "))
end

-- without gives what of an answer's flags r has asked for.
local function without(line, more)
    local drop, out = {}, {}
    for _, flag in ipairs(more) do
        drop[flag] = true
    end
    for word in string.gmatch(line, "%S+") do
        if not drop[string.sub(word, 1, 1)] then
            out[#out + 1] = word
        end
    end
    return table.concat(out, " ")
end

function M.new()
    local about = mcp.res_inspector_new({ t = "flagtoken", flag = "f" }, { t = "flagint", flag = "t" },
        { t = "hasflag", flag = "X" }, { t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" })
    -- A string in the code's place is the line's start: VALUE key flags.
    local text = mcp.res_mutator_new({ t = "rescodecopy", idx = 1 }, { t = "valcopy", idx = 2 })
    local value = mcp.res_mutator_new({ t = "rescodeset", val = "VA" }, { t = "valcopy", idx = 2 }, { t = "flagcopyall", idx = 1 })
    local head = mcp.res_mutator_new({ t = "rescodeset", val = "HD" }, { t = "flagcopyall", idx = 1 })

    local miss = mcp.res_mutator_new({ t = "rescodecopy", idx = 1 }, { t = "flagcopyall", idx = 2 })

    local C = { read = read }

    function C.copy(r)
        return mcp.request("mg " .. r:key() .. (r:has_flag("b") and " b" or "") .. " f t v\r\n")
    end

    function C.miss(new, r)
        if r:command() == mcp.CMD_GET then
            miss(new, "END", "")
        else
            miss(new, "EN", answers.repeated(r))
        end
        return new
    end

    function C.answer(new, r, res)
        local get = r:command() == mcp.CMD_GET
        if res:rank() ~= compare.SUCCESS then
            return get and compare.missed(res) and C.miss(new, r) or res
        elseif get then
            local _, flags = about(res)
            text(new, "VALUE " .. r:key() .. " " .. flags, res)
            return new
        end
        local flags = without(res:line(), lacks(r))
        if r:has_flag("v") then
            value(new, flags, res)
        else
            head(new, flags)
        end
        return new
    end

    function C.add(r, res, ttl)
        if res:rank() ~= compare.SUCCESS then
            return nil
        end
        local there, flags, _, t, stale, won, filling = about(res)
        t = requests.remaining(t, ttl)
        if not there or not t or stale or won or filling then
            return nil
        end
        local line = "ms " .. r:key() .. " " .. res:vlen() .. " T" .. t .. " F" .. flags .. " ME"
        return requests.line(r:has_flag("b") and line .. " b" or line, res)
    end

    return C
end

return M
