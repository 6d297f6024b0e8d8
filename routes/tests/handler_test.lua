-- handler: what is said of fields that are wrong, what make is given, and what a route is called.

-- with loads a handler of these fields, used as the text says, and gives the answer to a get: what make's function returns.
local function with(fields, use, make)
    route([[
        local handler = require "routes.handler"
        local probe = handler.define{ name = "probe", doc = "A probe.", example = "", fields = { ]] .. fields .. [[ }, make = function(f)
            return handler.route(f, function(rctx, h)
                return function(r) return "SERVER_ERROR " .. tostring(]] .. (make or "nil") .. [[) .. "\r\n" end
            end)
        end }
        return probe]] .. use, "a", "b", "c")
    return (string.gsub(send("get foo").line, "^SERVER_ERROR ", ""))
end

describe("a field", function()
    -- type, value, what is said of it (nil: it is good)
    local values = {
        { "integer", "5" }, { "integer", "-5" }, { "integer", "1.5", "want a whole number, got 1.5" },
        { "integer", "1/0", "want a whole number" }, { "integer", "'5'", 'want a whole number, got "5"' },
        { "number", "1.5" }, { "number", "0/0", "want a number, got" }, { "number", "true", "want a number, got true" },
        { "seconds", "0" }, { "seconds", "0.5" }, { "seconds", "-1", "want a number of seconds, got %-1" },
        { "seconds", "1/0", "want a number of seconds, got" }, { "seconds", "0/0", "want a number of seconds, got" },
        { "string", "'x'" }, { "string", "5", "want a string, got 5" },
        { "boolean", "false" }, { "boolean", "0", "want true or false, got 0" },
        { "function", "print" }, { "function", "{}", "want a function, got a table" },
        { "table", "{}" }, { "table", "'x'", 'want a table, got "x"' },
        { "any", "5" }, { "any", "print" },
        { "enum', values = { 'x', 'y' }, 'z", "'y'" }, { "enum', values = { 'x', 'y' }, 'z", "'Y'", 'want one of "x", "y", got "Y"' },
        { "integer', min = 2, 'z", "2" }, { "integer', min = 2, 'z", "1", "want at least 2, got 1" },
        { "number', above = 2, 'z", "2.1" }, { "number', above = 2, 'z", "2", "want more than 2, got 2" },
        { "number', max = 2, 'z", "2" }, { "number', max = 2, 'z", "2.1", "want at most 2, got 2.1" },
        { "child", "a" }, { "child", "print" }, { "child", "5", "want a pool, a pool's name or a route, got 5" },
        { "child", "'a'", '"a" is a name; a script has the pool itself' }, { "child", "{}", "want a pool, a pool's name or a route, got a table" },
        { "children", "{ a, b }" }, { "children", "a", "want a list of pools, pools' names or routes, got a userdata" },
        { "children", "'a'", '"a" is a name; a script has the pools themselves' },
        { "children", "{}", "want at least 1, got none" }, { "children", "{ a, [3] = b }", "the list has holes" },
        { "children", "{ a, [0] = b }", "the list has holes" }, { "children", "{ a, b, [1.5] = c }", "the list has holes" },
        { "children", "{ a, [1000] = b }", "the list has holes" }, { "children", "{ a, {} }", "probe.x%[2%]: want a pool, a pool's name or a route" },
        { "children', map = true, min = 2, 'z", "{ x = a }", "want at least 2, got 1" }, { "children', max = 2, 'z", "{ a, b }" },
        { "children', map = true, max = 1, 'z", "{ x = a, y = b }", "want at most 1, got 2" },
        { "children", "{ a, 5 }", "probe.x%[2%]: want a pool" }, { "children", "{ x = a }", "want a list, got names" },
        { "children', min = 2, 'z", "{ a }", "want at least 2, got 1" }, { "children', max = 1, 'z", "{ a, b }", "want at most 1, got 2" },
        { "children', map = true, 'z", "{ x = a }" }, { "children', map = true, 'z", "{ a }" },
        { "children', map = true, 'z", "{ a, x = b }", "want a list or a table by name, not both in one" },
        { "children', map = 'only', 'z", "{ a }", "want a table by name, got a list" },
        { "children', map = 'only', 'z", "{ x = a, y = 5 }", "probe.x.y: want a pool" },
    }
    for _, d in ipairs(values) do
        local kind, limits = string.match(d[1], "^(%a+)(.*)")
        it(kind .. " " .. d[2] .. (d[3] and " is wrong" or " is good") .. (string.match(limits, "'(.*), '") or ""), function()
            local function load() with("{ 'x', '" .. d[1] .. "' }", "{ x = " .. d[2] .. " }") end
            if d[3] then
                expect(load):errors(d[3])
            else
                load()
            end
        end)
    end

    it("that there is not is refused, with the one that was meant", function()
        local fields = "{ 'children', 'any' }, { 'miss', 'any' }"
        expect(function() with(fields, "{ childen = 1 }") end):errors('there is no field "childen"; did you mean "children"?')
        expect(function() with(fields, "{ mis = 1 }") end):errors('did you mean "miss"?')
        expect(function() with(fields, "{ zzzz = 1 }") end):errors('there is no field "zzzz"; there are children, miss')
    end)
    it("was meant if at most a third of its letters is wrong", function()
        local function said(word)
            local ok, problem = pcall(with, "{ 'children', 'any' }", "{ " .. word .. " = 1 }")
            expect(ok):is_false()
            return (tostring(problem):match("did you mean \"(%w+)\"%?"))
        end
        for _, word in ipairs{ "childran", "abildren", "abchildren", "chidrn", "abcchildren", "hildrne" } do
            expect(said(word)):equals("children")
        end
        for _, word in ipairs{ "abcdefchildren", "abcdren", "childabcd", "ch" } do
            expect(said(word)):is_nil()
        end
    end)
    it("is named with its file and line, whether its type is wrong or it is missing", function()
        local function at(text)
            return function()
                route("local probe = require \"routes.handler\".define{ name = \"probe\", fields = { { \"x\", \"child\", required = true } }, " ..
                    "make = function() end }\n\nlocal made = " .. text .. "\nreturn made")
            end
        end
        expect(at("probe{}")):errors("%]:3: probe%.x: is missing")
        expect(at("probe{ x = 5 }")):errors("%]:3: probe%.x: want a pool")
        expect(function() config("\nroutes{ map = { foo = route_direct{ child = {} } } }") end):errors("%]:2: direct%.child: want a pool")
        expect(function() config("\nroutes{ default = route_drect{ child = \"a\" } }") end):errors(
            ":2: there is no \"route_drect\"; did you mean \"route_direct\"?")
    end)
    it("that is required has to be there", function()
        expect(function() with("{ 'x', 'seconds', required = true }", "{}") end):errors("probe.x: is missing: want a number of seconds")
        expect(with("{ 'x', 'seconds', required = true }", "{ x = 2 }", "f.x")):equals("2")
    end)
    it("has a default, and false is not one", function()
        expect(with("{ 'x', 'integer', default = 7 }", "{}", "f.x")):equals("7")
        expect(with("{ 'x', 'boolean', default = true }", "{ x = false }", "f.x")):equals("false")
        expect(with("{ 'x', 'integer' }", "{}", "f.x")):equals("nil")
    end)
    it("has a check, which sees the others, too", function()
        local fields = "{ 'x', 'integer' }, { 'y', 'integer', check = function(v, f) return v < f.x and 'is less than x' or nil end }"
        expect(function() with(fields, "{ x = 2, y = 1 }") end):errors("probe.y: is less than x")
        expect(with(fields, "{ x = 2, y = 2 }", "f.y")):equals("2")
    end)
    it("of a type that there is not is an error of the handler", function()
        expect(function() with("{ 'x', 'int' }", "{}") end):errors("handler probe: field x: there is no type int")
    end)
    it("is found by file and line, and by the way to it", function()
        expect(function()
            config([[
                pools{ a = { backends = { "127.0.0.1:1" } } }
                routes{ map = {
                    foo = route_allsync{ children = { "a", route_allsync{ children = { "b" } } } },
                } }]])
        end):errors(':3: routes.map.foo: allsync.children%[2%]: allsync.children%[1%]: there is no pool "b"')
    end)
end)

describe("fields", function()
    it("have to be a table", function()
        expect(function() with("", "'x'") end):errors('want a table of fields, got "x"')
        expect(function() with("", "(nil)") end):errors("want a table of fields, got a nil")
    end)
end)

describe("a route", function()
    it("has handles named as its fields", function()
        expect(with("{ 'one', 'child' }, { 'all', 'children' }", "{ one = a, all = { b, c } }", "h.one .. h.all[1] .. h.all[2]")):equals("012")
    end)
    it("has no handle where there is no child", function()
        expect(with("{ 'one', 'child' }, { 'all', 'children' }", "{ all = { b } }", "tostring(h.one) .. h.all[1]")):equals("nil0")
    end)
    it("has handles by name, made in the order of the names", function()
        expect(with("{ 'all', 'children', map = true }", "{ all = { z = a, x = b, y = c } }", "h.all.x .. h.all.y .. h.all.z")):equals("012")
    end)
    it("has more than nine handles in the order of the list", function()
        local eleven = "{ all = { a, b, c, a, b, c, a, b, c, a, b } }"
        expect(with("{ 'all', 'children' }", eleven, "table.concat(h.all, ' ')")):equals("0 1 2 3 4 5 6 7 8 9 10")
    end)
    it("lists handles by name", function()
        expect(with("{ 'all', 'children', map = true }", "{ all = { z = a, x = b } }", "table.concat(handler.listed(h.all), ' ')")):equals("0 1")
        expect(with("{ 'all', 'children', map = true }", "{ all = { a, b } }", "table.concat(handler.listed(h.all), ' ')")):equals("0 1")
    end)
    it("is called as its handler, or as it says", function()
        route([[
            local handler = require "routes.handler"
            local function probe(name)
                return handler.define{ name = "probe", fields = {}, make = function(f)
                    return handler.route(f, function() return function() return "END\r\n" end end, name and { name = name })
                end }{}
            end
            probe("other")
            return probe()]])
        expect(stat("funcs_probe")):equals(1)
        expect(stat("funcs_other")):equals(1)
    end)
    it("gives a response where a child returns a string", function()
        expect(with("{ 'one', 'child' }", "{ one = function() return 'END\\r\\n' end }", "rctx:enqueue_and_wait(r, h.one):rank()")):equals("3")
    end)
end)

describe("sorted", function()
    it("puts numbers first, and in their order", function()
        expect(with("", "{}", "table.concat(handler.sorted{ b = 1, a = 1, [10] = 1, [9] = 1, [1.5] = 1 }, ' ')")):equals("1.5 9 10 a b")
        local text = "(function() local t = {} for i = 1, 40 do t[i], t['!' .. i] = 1, 1 end return handler.sorted(t)[40] end)()"
        expect(with("", "{}", text)):equals("40") -- though ! comes before the digits
    end)
end)
