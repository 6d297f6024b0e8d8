-- answers: what a handler says to a request that it does not send on. An answer is a response, as one of a backend would be: handlers
-- above can compare it, and the client that asked for quiet (q, noreply) is not told what it would not be told by memcached.
--
--   local nothing = answers.nothing(rctx)   nothing(r) is a miss, "not stored", "not found"
--   local success = answers.success(rctx)   success(r) is "stored", "deleted", "touched"; a miss for reads, and for what answers with
--                                           a value (incr, decr, ma with v), which nobody can make up
--   local refuse = answers.error(rctx, "too many requests" [, "server" | "client"])     refuse() is SERVER_ERROR too many requests
--
-- Each is made once for a slot, of one object of handler.route(f, slot, { objects = 1 }), and serves once for a request.
-- The answer to a meta command repeats the flags O and k (with b) as the request has them, but for me.
--
--   answers.repeated(r)           those flags

local M = {}

local NOTHING = {
    [mcp.CMD_GET] = "END", [mcp.CMD_GETS] = "END", [mcp.CMD_GAT] = "END", [mcp.CMD_GATS] = "END",
    [mcp.CMD_SET] = "NOT_STORED", [mcp.CMD_ADD] = "NOT_STORED", [mcp.CMD_REPLACE] = "NOT_STORED", [mcp.CMD_APPEND] = "NOT_STORED",
    [mcp.CMD_PREPEND] = "NOT_STORED", [mcp.CMD_CAS] = "NOT_STORED",
    [mcp.CMD_TOUCH] = "NOT_FOUND", [mcp.CMD_INCR] = "NOT_FOUND", [mcp.CMD_DECR] = "NOT_FOUND", [mcp.CMD_DELETE] = "NOT_FOUND",
    [mcp.CMD_MG] = "EN", [mcp.CMD_ME] = "EN", [mcp.CMD_MS] = "NS", [mcp.CMD_MD] = "NF", [mcp.CMD_MA] = "NF",
}

-- SUCCESS is where success differs from nothing.
local SUCCESS = {
    [mcp.CMD_SET] = "STORED", [mcp.CMD_ADD] = "STORED", [mcp.CMD_REPLACE] = "STORED", [mcp.CMD_APPEND] = "STORED",
    [mcp.CMD_PREPEND] = "STORED", [mcp.CMD_CAS] = "STORED",
    [mcp.CMD_TOUCH] = "TOUCHED", [mcp.CMD_DELETE] = "DELETED", [mcp.CMD_MS] = "HD", [mcp.CMD_MD] = "HD", [mcp.CMD_MA] = "HD",
}

-- REPEATS are the commands whose answer repeats flags.
local REPEATS = { [mcp.CMD_MG] = true, [mcp.CMD_MS] = true, [mcp.CMD_MD] = true, [mcp.CMD_MA] = true }

local OPAQUE, KEY = string.byte("O"), string.byte("k")

-- bare and flagged fill a response with a code, and with flags. They are made with the first answer: this file may be loaded where no routes are.
local bare, flagged

local function object(rctx)
    if not bare then
        bare = mcp.res_mutator_new({ t = "rescodecopy", idx = 1 })
        flagged = mcp.res_mutator_new({ t = "rescodecopy", idx = 1 }, { t = "flagcopyall", idx = 2 })
    end
    return rctx:response_new()
end

function M.repeated(r)
    local flags, gap = "", ""
    for i = 3, r:ntokens() do -- behind the key; the length that ms has there is no flag
        local token = r:token(i)
        local letter = string.byte(token)
        if letter == KEY then
            token = "k" .. r:key() .. (r:has_flag("b") and " b" or "")
        end
        if letter == OPAQUE or letter == KEY then
            flags, gap = flags .. gap .. token, " "
        end
    end
    return flags
end

local function fill(res, code, r, cmd)
    if REPEATS[cmd] and (r:has_flag("O") or r:has_flag("k")) then
        flagged(res, code, M.repeated(r))
    else
        bare(res, code)
    end
    return res
end

function M.nothing(rctx)
    local res = object(rctx)
    return function(r)
        local cmd = r:command()
        return fill(res, NOTHING[cmd] or "ERROR", r, cmd)
    end
end

function M.success(rctx)
    local res = object(rctx)
    return function(r)
        local cmd = r:command()
        local code = SUCCESS[cmd] or NOTHING[cmd] or "ERROR"
        if cmd == mcp.CMD_MA and r:has_flag("v") then
            code = NOTHING[cmd]
        end
        return fill(res, code, r, cmd)
    end
end

-- unfit says what is wrong with a message, for the check of a field; nil if it will do.
function M.unfit(message)
    if message == "" then
        return "is empty"
    elseif #message > 200 then
        return "is longer than 200 bytes"
    elseif string.find(message, "%c") then
        return "has a control character in it"
    end
    return nil
end

function M.error(rctx, message, who)
    local res = rctx:response_new()
    local line = mcp.res_mutator_new({ t = "reserr", code = who or "server", msg = message })
    return function()
        line(res)
        return res
    end
end

return M
