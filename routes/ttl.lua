-- ttl: changes how long what is stored stays.
--
-- action = "set": every TTL that a request gives an item becomes `ttl` seconds. action = "min": none is longer; what would stay for ever, or until a
-- time that is further away, stays that long, and what is shorter is left alone. ttl = 0 is for ever.
--
-- That is the TTL of set, add, replace, cas and touch, of gat and gats, of ms (also where it gives none, which is for ever), of mg and ma with T, and
-- the one that an item is made with by N (mg, ma, ms). A negative TTL, which makes an item expire at once, stays in both. append, prepend, incr and
-- decr leave an item's TTL alone, and so does this. The request that goes on is a copy: what else a route does with the request it does
-- with the client's own. Answers, errors and timeouts are the child's; with a t flag they tell the TTL as it is there.

local handler = require "routes.handler"

local MONTH = 30 * 86400 -- seconds; a greater TTL is a time since 1970

-- The place of a text command's TTL among its words.
local WORD = {
    [mcp.CMD_SET] = 4, [mcp.CMD_ADD] = 4, [mcp.CMD_REPLACE] = 4, [mcp.CMD_CAS] = 4,
    [mcp.CMD_TOUCH] = 3, [mcp.CMD_GAT] = 2, [mcp.CMD_GATS] = 2,
}
local META = { [mcp.CMD_MG] = true, [mcp.CMD_MA] = true, [mcp.CMD_MS] = true }
local APPENDS = "^[AaPp]" -- ms's modes that leave a TTL alone: append and prepend
local LONG = "CLIENT_ERROR the line is too long to be changed\r\n"

-- changer gives a function from a TTL, as text, to what it becomes; nil: it stays.
local function changer(ttl, action)
    local text = tostring(ttl)
    if action == "set" then
        return function(old)
            local n = tonumber(old)
            return n and n >= 0 and old ~= text and text or nil
        end
    end
    return function(old)
        local n = tonumber(old)
        if not n then
            return nil
        elseif n > MONTH then
            n = n - math.floor(mcp.time_real_millis() / 1000)
        end
        return (n > ttl or old == "0") and text or nil
    end
end

return handler.define{
    name = "ttl",
    doc = "Changes the TTL of what is stored.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "ttl", "integer", required = true, min = 0, max = MONTH, doc = "seconds; 0 is for ever", check = function(v, f)
            return v == 0 and f.action == "min" and "want at least 1 with action = \"min\"; 0 is for ever" or nil
        end },
        { "action", "enum", values = { "set", "min" }, default = "set", doc = "give every item this TTL, or none a longer one" },
    },
    example = [[route_ttl{ child = "a", ttl = 3600, action = "min" }]],
    make = function(f)
        local change = changer(f.ttl, f.action)

        return handler.route(f, function(rctx, h)
            local copy = rctx:request_new()

            -- with gives the request with another word or flag; nil: it would be too long.
            local function with(r, sent, word, flag, ttl)
                if not ttl or not sent then
                    return sent
                elseif sent == r then
                    if not copy:copy(r) then
                        return nil
                    end
                    sent = copy
                end
                if word then
                    sent:token(word, ttl)
                elseif not sent:flag_set(flag, ttl) then
                    return nil
                end
                return sent
            end

            -- flags changes T and N of a meta command.
            local function flags(r, cmd)
                local there, old = r:flag_token("T")
                local sent = with(r, r, nil, "T", there and change(old or ""))
                if not there and cmd == mcp.CMD_MS then
                    local _, mode = r:flag_token("M")
                    sent = with(r, sent, nil, "T", not string.find(mode or "", APPENDS) and change("0"))
                end
                there, old = r:flag_token("N")
                return with(r, sent, nil, "N", there and change(old or ""))
            end

            return function(r)
                local cmd = r:command()
                local word, sent = WORD[cmd], r
                if word then
                    sent = with(r, r, word, nil, change(r:token(word)))
                elseif META[cmd] then
                    sent = flags(r, cmd)
                end
                if not sent then
                    return LONG
                end
                return rctx:enqueue_and_wait(sent, h.child)
            end
        end, { objects = 1 })
    end,
}
