-- Tests of routes/prefix.lua.

local model = require "model"

describe("prefix", function()
    it("sends every command to the child of its key's prefix, and answers whatever that says", function()
        route("return require 'routes.prefix'{ map = { k = a } }", "a")
        for _, req in ipairs(model.requests) do
            local line = string.gsub(req.line, " k", " k/1", 1)
            if string.sub(req.line, 1, 3) == "gat" then
                line = "gat 60 k/1"
            end
            for _, outcome in ipairs(model.outcomes) do
                local there = { line = line, hit = string.gsub(req.hit, "VALUE k", "VALUE k/1"), miss = req.miss }
                model.apply("a", outcome, there)
                expect(send(line, req.value).text):equals(model.text("a", outcome, there))
                expect(seen()):equals{ model.sent("a", outcome, there) }
            end
        end
    end)

    local function goes(key)
        send("get " .. key)
        local lines = seen()
        expect(#lines <= 1):is_true()
        return lines[1] and string.sub(lines[1], 1, 1) or "nowhere"
    end

    it("goes by what comes before the first slash", function()
        route("return require 'routes.prefix'{ map = { foo = a, bar = b }, default = c }", "a", "b", "c")
        for key, want in pairs{ ["foo/1"] = "a", ["bar/1"] = "b", ["foo/bar/1"] = "a", ["foo/"] = "a",
            foo = "c", foobar = "c", ["foobar/1"] = "c", ["/foo/1"] = "c", ["FOO/1"] = "c", ["fo/1"] = "c", ["/"] = "c" } do
            expect(goes(key)):equals(want)
        end
    end)

    it("goes by what is between two texts", function()
        route("return require 'routes.prefix'{ map = { foo = a, bar = b }, default = c, mode = 'anchor', start = '__', stop = '+-' }", "a", "b", "c")
        for key, want in pairs{ ["__foo+-1"] = "a", ["__bar+-"] = "b", ["__foo+1"] = "c", ["foo+-1"] = "c", ["_foo+-1"] = "c", ["x__foo+-1"] = "c",
            ["xxfoo+-1"] = "c",
            ["__foo"] = "c", ["__+-1"] = "c" } do
            expect(goes(key)):equals(want)
        end
        route("return require 'routes.prefix'{ map = { foo = a }, default = c, mode = 'anchor' }", "a", "b", "c")
        expect(goes("/foo/1")):equals("a")
        expect(goes("foo/1")):equals("c")
    end)

    it("is what mcp.router_new would do", function()
        local keys = { "foo/1", "/foo/1", "foo", "foo//", "//foo/", "bar+-x", "+-", "foo+-", "/foo+-/", "a/b+-" }
        for _, conf in ipairs{ "", ", mode = 'anchor'", ", mode = 'prefix', stop = '+-'", ", mode = 'anchor', start = '/', stop = '+-'" } do
            local got = {}
            route("return require 'routes.prefix'{ map = { foo = a, bar = b }, default = c" .. conf .. " }", "a", "b", "c")
            for i, key in ipairs(keys) do
                got[i] = goes(key)
            end
            conf = conf == "" and ", mode = 'prefix', stop = '/'" or conf
            route("return mcp.router_new{ map = { foo = a, bar = b }, default = c" .. conf .. " }", "a", "b", "c")
            for i, key in ipairs(keys) do
                expect(key .. conf .. " " .. got[i]):equals(key .. conf .. " " .. goes(key))
            end
        end
    end)

    it("refuses keys that nobody has, without a default", function()
        route("return require 'routes.prefix'{ map = { foo = a } }", "a")
        expect(send("get bar/1").text):equals("SERVER_ERROR no route\r\n")
        expect(send("get bar").text):equals("SERVER_ERROR no route\r\n")
        expect(send("get foo/1").text):equals("END\r\n")
        expect(seen()):equals{ "a: get foo/1" }
    end)

    it("nests, and may be named in a file", function()
        config([[
            pools{ x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } }
            routes{ default = route_failover{ miss = true, children = {
                route_prefix{ map = { foo = route_cmd{ map = { get = "x" }, default = "y" } }, default = "y" }, "x",
            } } }
        ]])
        send("get foo/1")
        expect(seen()):equals{ "a: get foo/1", "a: get foo/1" }
        send("mg foo/1")
        expect(seen()):equals{ "b: mg foo/1", "a: mg foo/1" }
    end)

    it("wants names and separators", function()
        local function prefix(fields)
            return function()
                route("return require 'routes.prefix'{ " .. fields .. " }", "a")
            end
        end
        expect(prefix("map = { a }")):errors("prefix.map: want a table by name, got a list")
        expect(prefix("map = { x = a }, stop = ''")):errors("prefix.stop: want at least one character")
        expect(prefix("map = { x = a }, start = ''")):errors("prefix.start: want at least one character")
    end)
end)
