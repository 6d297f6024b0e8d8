-- cmd: a child for each command, or for each group of commands.
--
--   route_cmd{ map = { get = "near", mg = "near" }, groups = { delete = route_allsync{ children = "set_all" } }, default = "main" }
--
-- A request goes to the child that map has for its command, else to the one that groups has for what it does, else to map's "all", else to default;
-- without any it is answered SERVER_ERROR no route. The answer is the child's, and nothing goes on after it. The groups are
--
--   read     get, gets, me; mg that changes nothing
--   touch    gat, gats, touch; mg with T
--   store    set; ms in mode set without C
--   modify   add, replace, cas, append, prepend, incr, decr, ma; ms in other modes or with C, mg with N or R
--   delete   delete, md
--
-- Where it is the top of a declarative file, with a map alone, it is a native router (mcp.router_new); here it serves below other handlers.

local answers = require "routes.answers"
local handler = require "routes.handler"
local commands = require "routes.commands"

local NAMES = { "add", "all", "append", "cas", "decr", "delete", "gat", "gats", "get", "gets", "incr", "ma", "md", "me", "mg", "ms", "prepend",
    "replace", "set", "touch" }
local GROUPS = { "delete", "modify", "read", "store", "touch" }

local COMMANDS, KNOWN = {}, {}
for _, name in ipairs(NAMES) do
    COMMANDS[name] = mcp["CMD_" .. string.upper(name)] or mcp.CMD_ANY_STORAGE
end
for _, name in ipairs(GROUPS) do
    KNOWN[name] = true
end

-- checked is the check of a field whose names must be known.
local function checked(what, known, names)
    return function(v)
        for _, name in ipairs(handler.sorted(v)) do
            if not known[name] then
                return handler.unknown("there is no " .. what, tostring(name), names)
            end
        end
    end
end

return handler.define{
    name = "cmd",
    doc = "Sends each request to the child of its command.",
    commands = COMMANDS, -- numbers by name
    fields = {
        { "map", "children", map = "only", check = checked("command", COMMANDS, NAMES), doc = "by command, in small letters; all: every other" },
        { "groups", "children", map = "only", check = checked("group", KNOWN, GROUPS), doc = "by group: read, touch, store, modify, delete" },
        { "default", "child", doc = "for all other commands" },
    },
    example = [[route_cmd{ map = { get = "a", mg = "a" }, default = "b" }]],
    make = function(f)
        if not f.map and not f.groups then
            handler.fail(f, nil, "want map or groups")
        end
        return handler.route(f, function(rctx, h)
            local byid, groups = {}, h.groups
            for name, handle in pairs(h.map or {}) do
                byid[COMMANDS[name]] = handle
            end
            local default = byid[COMMANDS.all] or h.default
            local class = commands.class
            local refuse = answers.error(rctx, "no route")

            return function(r)
                local handle = byid[r:command()] or groups and groups[class(r)] or default
                return handle and rctx:enqueue_and_wait(r, handle) or refuse()
            end
        end, { objects = 1 })
    end,
}
