-- Tests of register_route_handlers: handlers that are not the library's, of both kinds.

local POOLS = [[
    pools{
        a = { backends = { "10.0.0.1:1 a" } }, b = { backends = { "10.0.0.2:1 b" } },
        set_x = { x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } },
    }
]]

-- TELL answers with what it was made with: its label, command, what _conf has seen, and what it was given.
local TELL = [[
    register_route_handlers{ "tell" }
    local runs = 0
    function route_tell_conf(t, ctx)
        runs = runs + 1
        return { text = ctx:label() .. " " .. (ctx:cmd() == mcp.CMD_ANY_STORAGE and "all" or ctx:cmd() == mcp.CMD_GET and "get" or "?")
            .. " " .. (ctx:local_zone() or "nowhere") .. " " .. tostring(t.text), runs = runs, child = t.child, children = t.children,
            child_count = t.child_count, id = t.counts and ctx:get_stats_id(t.counts) }
    end
    function route_tell_start(a, ctx, fgen)
        local h, names = {}, {}
        for k, target in pairs(a.children or {}) do
            h[#h + 1] = fgen:new_handle(target)
            names[#names + 1] = tostring(k)
        end
        if a.child then
            h[1] = fgen:new_handle(a.child)
        end
        table.sort(names)
        local text = "SERVER_ERROR " .. a.text .. " " .. ctx:label() .. " " .. table.concat(names, ",") .. "\r\n"
        fgen:ready{ n = ctx:label(), f = function(rctx)
            return function(r)
                if a.id then
                    mcp.stat(a.id, 1)
                end
                if not h[1] then
                    return text
                end
                rctx:enqueue(r, h)
                rctx:wait_cond(#h)
                return rctx:res_any(h[1])
            end
        end }
    end
]]

describe("routelib's kind", function()
    for _, c in ipairs{
        { [[default = route_tell{ text = "x" }]], "get k", "default all nowhere x default " },
        { [[map = { foo = route_tell{ text = "x" } }]], "get foo/k", "foo all nowhere x foo " },
        { [[map = { foo = cmdmap{ get = route_tell{ text = "x" }, set = route_tell{ text = "y" } } }]], "get foo/k", "foo get nowhere x foo " },
        { [[cmap = { get = route_tell{ text = "x" } }]], "get k", "cmdmap get nowhere x cmdmap " },
        { [[cmap = cmdmap{ get = route_tell{ text = "x" } }]], "get k", "cmdmap get nowhere x cmdmap " },
        { [[map = { foo = route_direct{ child = route_tell{ text = "x" } } }]], "get foo/k", "foo all nowhere x foo " },
        { [[default = route_failover{ children = { route_tell{ text = "x" }, route_tell{ text = "y" } } }]], "get k",
            "default all nowhere x default " },
        { [[default = route_failover{ children = route_direct{ child_wrap = { route_tell{ text = "x" } } } }]], "get k",
            "default all nowhere x default " },
    } do
        it("knows where it stands in " .. c[1], function()
            config(POOLS .. TELL .. "routes{ " .. c[1] .. " }")
            expect(send(c[2]).line):equals("SERVER_ERROR " .. c[3])
        end)
    end

    for _, c in ipairs{
        { [[route_tell{ child = "a" }]], { "a: get k" } },
        { [[route_tell{ child = "set_x_y" }]], { "b: get k" } },
        { [[route_tell{ child = route_direct{ child = "b" } }]], { "b: get k" } },
        { [[route_tell{ child = route_tell{ child = "b" } }]], { "b: get k" } },
        { [[route_tell{ children = { "a", "b" } }]], { "a: get k", "b: get k" } },
        { [[route_tell{ children = { near = "a", far = route_tell{ child = "b" } } }]], { "a: get k", "b: get k" } },
        { [[route_tell{ children = { "a" }, child_count = 3 }]], { "a: get k" } },
        { [[route_tell{ children = "set_x" }]], { "a: get k", "b: get k" } },
        { [[route_allsync{ children = route_tell{ child_wrap = "set_x" } }]], { "a: get k", "b: get k" } },
        { [[route_allsync{ children = route_tell{ child_wrap = { "a", route_direct{ child = "b" } } } }]], { "a: get k", "b: get k" } },
        { [[route_allsync{ children = route_ttl{ child_wrap = route_tell{ child_wrap = "set_x" }, ttl = 9 } }]], { "a: get k", "b: get k" } },
    } do
        it("has children in " .. c[1], function()
            config(POOLS .. TELL .. "routes{ default = " .. c[1] .. " }")
            send("get k")
            local lines = seen()
            table.sort(lines)
            expect(lines):equals(c[2])
        end)
    end

    it("may be one route in two places", function()
        config(POOLS .. TELL .. [[local t = route_tell{ text = "x" } routes{ map = { foo = t, bar = t } }]])
        expect(send("get foo/k").line):equals("SERVER_ERROR foo all nowhere x foo ")
        expect(send("get bar/k").line):equals("SERVER_ERROR bar all nowhere x bar ")
    end)

    it("may change what it was given, and give one table for all", function()
        config(POOLS .. [[
            register_route_handlers{ "x" }
            local all = {}
            function route_x_conf(t, ctx)
                t.deep.text = t.deep.text .. ctx:label()
                all.text = t.deep.text
                return all
            end
            function route_x_start(a, _, fgen)
                fgen:ready{ f = function() return function() return "SERVER_ERROR " .. a.text .. "\r\n" end end }
            end
            local t = route_x{ deep = { text = "x" } }
            routes{ map = { foo = t, bar = t } }]])
        expect(send("get foo/k").line):equals("SERVER_ERROR xfoo")
        expect(send("get bar/k").line):equals("SERVER_ERROR xbar")
    end)

    it("is told of children in the pools stage, and finds them by name in the other", function()
        local text = POOLS .. [[
            register_route_handlers{ "x" }
            function route_x_conf(t, ctx)
                local list, same = ctx:expand_children("set_x"), {}
                if t.check then
                    ctx:check_child(t.check)
                elseif t.expand then
                    ctx:expand_children(t.expand)
                end
                return { text = tostring(ctx:check_child("a")) .. tostring(ctx:check_child("set_x")) .. tostring(ctx:check_child("internal"))
                    .. " " .. list.x .. " " .. list.y .. " " .. tostring(ctx:expand_children(same) == same) }
            end
            function route_x_start(a, ctx, fgen)
                local h = { fgen:new_handle(ctx:get_child("b")), fgen:new_handle(ctx:get_child("set_x").x) }
                fgen:ready{ f = function(rctx)
                    return function(r)
                        rctx:enqueue(r, h)
                        rctx:wait_cond(2)
                        return "SERVER_ERROR " .. a.text .. "\r\n"
                    end
                end }
            end
            routes{ default = route_x{} }]]
        config(text)
        expect(send("get k").line):equals("SERVER_ERROR truetruetrue set_x_x set_x_y true")
        expect(seen()):equals{ "b: get k", "a: get k" }
        expect(function() config((string.gsub(text, "route_x{}", "route_x{ check = 'c' }"))) end):errors("default: x: there is no pool \"c\"")
        expect(function() config((string.gsub(text, "route_x{}", "route_x{ expand = 'a' }"))) end):errors("default: x: \"a\" is one pool: want")
        expect(function() config((string.gsub(text, "get_child%(\"b\"%)", "get_child(5)"))) end)
            :errors("routes.default: x: want a pool, a pool's name or a route, got 5")
    end)

    it("knows the zone, and its counters outlive a reload", function()
        local text = POOLS .. TELL .. [[local_zone("z1") routes{ map = { a = route_tell{ counts = "one" }, b = route_tell{ counts = "two" } } }]]
        config(text)
        expect(send("get a/k").line):matches("all z1 nil")
        config(text)
        send("get a/k")
        send("get b/k")
        expect(stat("user_one") or stat("one")):equals(2)
        expect(stat("user_two") or stat("two")):equals(1)
    end)

    it("is forgotten when a file no longer says so", function()
        config(POOLS .. TELL .. "routes{ default = route_tell{} }")
        expect(function() config(POOLS .. "routes{ default = route_tell{} }") end):errors([[there is no "route_tell"]])
    end)

    for _, c in ipairs{
        { [[register_route_handlers("x")]], "register_route_handlers: want a list, got a string" },
        { [[register_route_handlers{ 1 }]], "register_route_handlers%[1%]: want handlers .*, got a number" },
        { [[register_route_handlers{ "a b" }]], "register_route_handlers%[1%]: want handlers .*, got \"a b\"" },
        { [[register_route_handlers{ "x", "a b" }]], "register_route_handlers%[2%]: want handlers .*, got \"a b\"" },
        { [[register_route_handlers{ {} }]], "register_route_handlers%[1%]: want handlers .*, got a table" },
        { [[register_route_handlers{ "x" } routes{ default = route_x{} }]],
            "default: x: there is no function route_x_conf, which register_route_handlers{ \"x\" } wants" },
        { [[register_route_handlers{ "x" } function route_x_conf(t) return t end routes{ map = { m = route_x{} } }]],
            "routes.map.m: x: there is no function route_x_start" },
        { [[register_route_handlers{ "x" } function route_x_conf() end routes{ map = { m = route_x{} } }]],
            "m: x: route_x_conf gives nothing: want a table" },
        { [[register_route_handlers{ "x" } function route_x_conf() error("no luck") end routes{ map = { m = route_x{} } }]], "m: x: .*no luck" },
        { TELL .. [[routes{ default = route_tell{ child = "c" } }]], "routes.default: tell: there is no pool \"c\"" },
        { TELL .. [[routes{ default = route_tell{ children = { "a", 5 } } }]], "routes.default: tell: want a pool, a pool's name or a route, got 5" },
        { TELL .. [[routes{ default = route_tell(5) }]], "tell: want a table of fields, got 5" },
        { TELL .. [[routes{ default = route_tell{ child_wrap = "set_x" } }]], "tell.child_wrap: makes several routes, where one is wanted" },
        { TELL .. [[routes{ default = route_tel{} }]], "there is no \"route_tel\"; did you mean \"route_tell\"?" },
        { [[register_route_handlers{ "x" } function route_x_conf() return { child = route_null{} } end routes{ default = route_x{} }]],
            "default: x: route_x_conf gives a route that it was not given" },
    } do
        it("refuses " .. string.sub(c[1], -70), function()
            expect(function() config(POOLS .. c[1]) end):errors(c[2])
        end)
    end
end)

-- TWICE is a handler of the framework's kind.
local TWICE = [[
    local handler = require "routes.handler"
    register_route_handlers{ handler.define{
        name = "twice", doc = "Asks twice.", example = "",
        fields = { { "child", "child", required = true, doc = "who is asked" }, { "also", "child", doc = "who is asked then" } },
        make = function(f)
            return handler.route(f, function(rctx, h)
                return function(r)
                    rctx:enqueue_and_wait(r, h.child)
                    return h.also and rctx:enqueue_and_wait(r, h.also) or "SERVER_ERROR once\r\n"
                end
            end)
        end,
    } }
]]

describe("the framework's kind", function()
    it("is a word", function()
        config(POOLS .. TWICE .. [[routes{ default = route_twice{ child = "a", also = route_direct{ child = "b" } } }]])
        send("get k")
        expect(seen()):equals{ "a: get k", "b: get k" }
    end)

    it("is what require gives, in a list or alone", function()
        for _, text in ipairs{ [[{ require "routes.tier" }]], [[{ require "routes.tier", "x" }]], [[(require "routes.tier")]] } do
            config(POOLS .. "register_route_handlers" .. text .. [[routes{ default = route_tier{ l1 = "a", l2 = "b" } }]])
            send("get k")
            expect(seen()):equals{ "a: get k", "b: mg k f t v" }
        end
    end)

    it("goes with the other", function()
        config(POOLS .. TWICE .. TELL .. [[routes{ default = route_twice{ child = "a", also = route_tell{ child = route_twice{ child = "b" } } } }]])
        expect(send("get k").line):equals("SERVER_ERROR once")
        expect(seen()):equals{ "a: get k", "b: get k" }
    end)

    it("is what a pool{} goes through", function()
        config(TWICE .. [[pool{ name = "foo", backends = { "10.0.0.1:1 a" }, route = route_twice{} }]])
        expect(send("get /foo/k").line):equals("SERVER_ERROR once")
    end)

    it("may take the place of one of the library", function()
        config(POOLS .. [[local handler = require "routes.handler"
            register_route_handlers{ handler.define{ name = "direct", fields = {}, make = function()
                return handler.child(function() return "SERVER_ERROR mine\r\n" end)
            end } }
            routes{ default = route_direct{} }]])
        expect(send("get k").line):equals("SERVER_ERROR mine")
        config(POOLS .. [[routes{ default = route_direct{ child = "a" } }]])
        expect(send("get k").line):equals("END")
    end)

    it("has its fields checked", function()
        expect(function() config(POOLS .. TWICE .. [[routes{ default = route_twice{ child = "a", alsoo = "b" } }]]) end)
            :errors([[twice: there is no field "alsoo"; did you mean "also"?]])
        expect(function() config(POOLS .. TWICE .. [[routes{ default = route_twice{ child = "c" } }]]) end)
            :errors([[routes.default: twice.child: there is no pool "c"]])
    end)
end)

it("a name does not stand in pool{}", function()
    expect(function() config(TELL .. [[pool{ name = "foo", backends = { "10.0.0.1:1 a" }, route = route_tell{} }]]) end)
        :errors("pool 'foo': tell: was not there in the pools stage")
end)
