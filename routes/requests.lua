-- requests: requests that handlers make of a client's. What they give is a new request, or r itself where nothing is to be changed; r is never
-- edited, for other children may be sent it too.
--
--   requests.delete(r)            a delete of r's key and nothing else; in base64 if r has it so, by which pools place it
--   requests.everywhere(r)        r, a delete, without C: for a place whose CAS values are not those that the client compares with
--   requests.capped(r, ttl)       r with every TTL that it sets at most ttl seconds; nil if its line would be too long
--   requests.changer()            a function of r, which changes an item, and its answer that says whether the item may have changed: after a timeout
--                                 it may, and after an error for set and ms, of which memcached deletes what they were to replace when it has no
--                                 room for the value; after an mg with N or R that has not won it has not
--   requests.remaining(t, ttl)    the TTL of a copy: what remains of the item (flag t of an answer: -1 for ever, 0 less than a second), at
--                                 most ttl; nil if the item is about to go. More than a month is said as a time since 1970

local compare = require "routes.compare"

local M = {}

local LONGEST = 498 -- of a line that a script may make, without its end
M.MONTH = 30 * 86400 -- a larger TTL is a time since 1970

-- line makes a request of a line, with the value of a request or an answer.
local function line(text, from)
    if #text > LONGEST then
        return nil
    end
    return mcp.request(text .. "\r\n", from)
end
M.line = line

function M.delete(r)
    local key = r:key()
    if r:has_flag("b") then
        return line("md " .. key .. " b")
    elseif key == "noreply" then
        return line("md noreply") -- delete would take it for the word
    end
    return line("delete " .. key)
end

function M.everywhere(r)
    if not r:has_flag("C") then
        return r
    end
    local words = {}
    for i = 1, r:ntokens() do
        local word = r:token(i)
        if i < 3 or string.sub(word, 1, 1) ~= "C" then
            words[#words + 1] = word
        end
    end
    return line(table.concat(words, " ")) or M.delete(r)
end

-- cap is a TTL as the protocol writes it, at most ttl seconds from now. What is no number is left to the server to refuse.
local function cap(text, ttl)
    local n = tonumber(text)
    if not n then
        return text
    elseif n == 0 then
        return tostring(ttl)
    elseif n > M.MONTH then
        n = n - mcp.time_real_millis() / 1000
    end
    return n > ttl and tostring(ttl) or text -- a negative one has passed at once
end

-- PLACES say where the TTL of a text command is, by token.
local PLACES = {
    [mcp.CMD_SET] = 4, [mcp.CMD_ADD] = 4, [mcp.CMD_REPLACE] = 4, [mcp.CMD_CAS] = 4,
    [mcp.CMD_TOUCH] = 3, [mcp.CMD_GAT] = 2, [mcp.CMD_GATS] = 2,
}

-- FLAGS say from which token on a meta command has flags; those that are a TTL are T and N.
local FLAGS = { [mcp.CMD_MG] = 3, [mcp.CMD_MA] = 3, [mcp.CMD_MS] = 4 }

function M.capped(r, ttl)
    local cmd = r:command()
    local place, flags = PLACES[cmd], FLAGS[cmd]
    if not place and not flags then
        return r
    end
    local words = {}
    for i = 1, r:ntokens() do
        local word = r:token(i)
        local first = string.sub(word, 1, 1)
        if i == place then
            word = cap(word, ttl)
        elseif flags and i >= flags and (first == "T" or first == "N") then
            word = first .. cap(string.sub(word, 2), ttl)
        end
        words[i] = word
    end
    if cmd == mcp.CMD_MS and not r:has_flag("T") then
        words[#words + 1] = "T" .. ttl
    end
    return line(table.concat(words, " "), r)
end

function M.changer()
    local won = mcp.res_inspector_new({ t = "hasflag", flag = "W" })
    return function(r, res)
        local rank, cmd = res:rank(), r:command()
        if rank == compare.ERROR and (cmd == mcp.CMD_SET or cmd == mcp.CMD_MS) then
            return compare.failed(res)
        elseif rank == compare.SUCCESS and cmd == mcp.CMD_MG and not r:has_flag("T") then
            return (won(res))
        end
        return rank == compare.SUCCESS or rank == compare.TIMEOUT
    end
end

function M.remaining(t, ttl)
    if t == 0 then
        return nil
    elseif t == nil or t == -1 then
        return ttl or 0
    end
    t = ttl and ttl < t and ttl or t
    return t > M.MONTH and math.floor(mcp.time_real_millis() / 1000) + t or t
end

return M
