-- key: the child is asked for another key than the client, and the answer names the client's.
--
-- strip is cut off the front of keys that begin with it; replace is a table of fronts and what stands in their place, the longest that fits, or a
-- function from key to key; add is put before what that leaves. They are done in this order. So strip = "/old/", add = "new:" makes /old/a new:a.
-- Keys that neither strip nor replace fits only get add.
--
-- Keys are meant as they are stored: one that comes in base64 (flag b) is changed decoded and sent encoded, so a prefix holds for it, too. A key of
-- which nothing is left, or that becomes longer than 250 bytes, is answered with CLIENT_ERROR and goes nowhere. The request that goes on is a
-- copy, so other children are asked for the client's key. Hits, misses, errors and timeouts are the child's, for reads, writes and deletes alike.

local handler = require "routes.handler"

local BAD = "CLIENT_ERROR the key cannot be rewritten\r\n"

local function check_replace(v)
    if type(v) == "function" then
        return nil
    elseif type(v) ~= "table" then
        return "want a table of prefixes or a function, got a " .. type(v)
    end
    for _, k in ipairs(handler.sorted(v)) do
        if type(k) ~= "string" or k == "" or type(v[k]) ~= "string" then
            return "want prefixes and what stands in their place, got " .. tostring(k) .. " = " .. tostring(v[k])
        end
    end
end

-- replacer makes a function of a table of prefixes.
local function replacer(map)
    if type(map) ~= "table" then
        return map
    end
    local fronts = handler.sorted(map)
    table.sort(fronts, function(a, b) return #a > #b end)
    return function(key)
        for i = 1, #fronts do
            local front = fronts[i]
            if string.sub(key, 1, #front) == front then
                return map[front] .. string.sub(key, #front + 1)
            end
        end
        return key
    end
end

return handler.define{
    name = "key",
    doc = "Asks its child for another key, and answers with the client's.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "strip", "string", doc = "is cut off the front of keys that begin with it" },
        { "replace", "any", check = check_replace, doc = "a table of prefixes and what stands in their place, or a function from key to key" },
        { "add", "string", doc = "is put before the key", check = function(v)
            return string.find(v, "[%c ]") and "want no spaces or control characters" or nil
        end },
    },
    example = [[route_key{ child = "a", strip = "/cache/", add = "v2:" }]],
    make = function(f)
        local strip, replace, add = f.strip, replacer(f.replace), f.add or ""

        local function rewritten(key)
            if strip and string.sub(key, 1, #strip) == strip then
                key = string.sub(key, #strip + 1)
            end
            if replace then
                key = replace(key)
            end
            return key ~= "" and add .. key or key
        end

        return handler.route(f, function(rctx, h)
            local copy = rctx:request_new()
            return function(r)
                local key = r:decoded_key()
                local new = rewritten(key)
                if new == key then
                    return rctx:enqueue_and_wait(r, h.child)
                elseif not copy:copy(r) or not copy:set_key(new) then
                    return BAD
                end
                return rctx:enqueue_and_wait(copy, h.child)
            end
        end, { objects = 1 })
    end,
}
