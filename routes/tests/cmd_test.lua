-- Tests of routes/cmd.lua.

local model = require "model"

-- every command with its group.
local COMMANDS = {
    { "get k", "read" }, { "gets k", "read" }, { "mg k v", "read" }, { "me k", "read" },
    { "gat 1 k", "touch" }, { "gats 1 k", "touch" }, { "touch k 1", "touch" }, { "mg k T5", "touch" },
    { "set k 0 0 1", "store", "x" }, { "ms k 1", "store", "x" }, { "ms k 1 MS", "store", "x" }, { "ms k 1 Ms", "store", "x" },
    { "ms k 1 Mset", "store", "x" },
    { "add k 0 0 1", "modify", "x" }, { "replace k 0 0 1", "modify", "x" }, { "append k 0 0 1", "modify", "x" }, { "prepend k 0 0 1", "modify", "x" },
    { "cas k 0 0 1 1", "modify", "x" }, { "incr k 1", "modify" }, { "decr k 1", "modify" }, { "ma k", "modify" }, { "ms k 1 ME", "modify", "x" },
    { "ms k 1 C5", "modify", "x" }, { "mg k N5", "modify" }, { "mg k R5", "modify" },
    { "delete k", "delete" }, { "md k", "delete" },
}

describe("cmd", function()
    it("sends each command to its child", function()
        for _, c in ipairs(COMMANDS) do
            local name = string.match(c[1], "^%a+")
            route("return require 'routes.cmd'{ map = { " .. name .. " = a }, default = b }", "a", "b")
            for _, other in ipairs(COMMANDS) do
                send(other[1], other[3])
                expect(seen()):equals{ (string.match(other[1], "^%a+") == name and "a: " or "b: ") .. other[1] }
            end
        end
    end)

    for _, group in ipairs{ "read", "touch", "store", "modify", "delete" } do
        it("sends the group " .. group .. " to its child", function()
            route("return require 'routes.cmd'{ groups = { " .. group .. " = a }, default = b }", "a", "b")
            for _, c in ipairs(COMMANDS) do
                send(c[1], c[3])
                expect(seen()):equals{ (c[2] == group and "a: " or "b: ") .. c[1] }
            end
        end)
    end

    it("goes by command, then by group, then by all, then by default", function()
        route("return require 'routes.cmd'{ map = { get = a, all = c }, groups = { read = b }, default = d }", "a", "b", "c", "d")
        send("get k")
        send("gets k")
        send("delete k")
        expect(seen()):equals{ "a: get k", "b: gets k", "c: delete k" }
    end)

    it("answers whatever the child says", function()
        route("return require 'routes.cmd'{ map = { all = a } }", "a")
        for _, req in ipairs(model.requests) do
            for _, outcome in ipairs(model.outcomes) do
                model.apply("a", outcome, req)
                expect(send(req.line, req.value).text):equals(model.text("a", outcome, req))
                expect(seen()):equals{ model.sent("a", outcome, req) }
            end
        end
    end)

    it("refuses what nobody has, without a default", function()
        route("return require 'routes.cmd'{ map = { get = a } }", "a")
        expect(send("set k 0 0 1", "x").text):equals("SERVER_ERROR no route\r\n")
        expect(seen()):equals{}
    end)

    it("says which commands and groups there are", function()
        local function cmd(fields)
            route("return require 'routes.cmd'{ " .. fields .. " }", "a")
        end
        expect(function() cmd("map = { gett = a }") end):errors("cmd.map: there is no command \"gett\"; did you mean \"get\"%?")
        expect(function() cmd("groups = { writes = a }") end)
            :errors("cmd.groups: there is no group \"writes\"; there are delete, modify, read, store, touch")
        expect(function() cmd("default = a") end):errors("cmd: want map or groups")
    end)

    it("nests in a file", function()
        config([[
            pools{ x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } }
            routes{ default = route_cmd{ map = { delete = route_delete_all{ child = "x", everywhere = { "y" } } }, default = "x" } }
        ]])
        send("get foo")
        send("delete foo")
        expect(seen()):equals{ "a: get foo", "a: delete foo", "b: delete foo" }
    end)
end)
