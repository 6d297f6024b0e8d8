-- prefix: a child for each key prefix.
--
--   route_prefix{ map = { foo = "a", bar = "b" }, default = "c" }        foo/1 goes to a, other/1 and plain to c
--
-- A key's prefix is what comes before stop ("/"). With mode = "anchor" the key must begin with start, and the prefix is what is between the two:
-- /foo/1 with start = "/". The key is not changed. A key without a prefix, or with one that the map has not, goes to default; without a
-- default it is answered SERVER_ERROR no route. The answer is the child's, for all commands, and nothing goes on after it.
--
-- Where it is the top of a declarative file it is a native router (mcp.router_new); here it serves below other handlers.

local answers = require "routes.answers"
local handler = require "routes.handler"

return handler.define{
    name = "prefix",
    doc = "Sends each request to the child of its key's prefix.",
    fields = {
        { "map", "children", required = true, map = "only", doc = "by prefix" },
        { "default", "child", doc = "for all other keys" },
        { "mode", "enum", values = { "prefix", "anchor" }, default = "prefix", doc = "\"anchor\": the key must begin with start" },
        { "start", "string", default = "/", check = function(v) return v == "" and "want at least one character" or nil end,
            doc = "what stands before the prefix with mode = \"anchor\"" },
        { "stop", "string", default = "/", check = function(v) return v == "" and "want at least one character" or nil end,
            doc = "what ends the prefix" },
    },
    example = [[route_prefix{ map = { foo = "a", bar = "b" }, default = "c" }]],
    make = function(f)
        local start, stop, anchor = f.start, f.stop, f.mode == "anchor"
        local find, sub = string.find, string.sub

        return handler.route(f, function(rctx, h)
            local map, default = h.map, h.default
            local refuse = answers.error(rctx, "no route")

            -- child is the handle for a key.
            local function child(key)
                local from = 1
                if anchor then
                    if sub(key, 1, #start) ~= start then
                        return default
                    end
                    from = #start + 1
                end
                local at = find(key, stop, from, true)
                return at and map[sub(key, from, at - 1)] or default
            end

            return function(r)
                local handle = child(r:key())
                return handle and rctx:enqueue_and_wait(r, handle) or refuse()
            end
        end, { objects = 1 })
    end,
}
