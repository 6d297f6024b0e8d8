-- Tests of register_route_handlers: what ctx gives to routelib's kind, how often _conf is called, and what it may do to what it is given.

local POOLS = [[
    pools{
        a = { backends = { "10.0.0.1:1 a" } }, b = { backends = { "10.0.0.2:1 b" } },
        set_x = { x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } },
    }
]]

-- x makes route_x of the bodies of both functions; without the second it answers with a.text.
local ANSWERS = [[fgen:ready{ f = function() return function() return "SERVER_ERROR " .. tostring(a.text) .. "\r\n" end end }]]
local function x(conf, start)
    return "register_route_handlers{ \"x\" } local calls = 0 " ..
        "function route_x_conf(t, ctx) " .. conf .. " end function route_x_start(a, ctx, fgen) " .. (start or ANSWERS) .. " end "
end

-- asks is a _start that asks the children one after the other.
local ASKS = [[
    local h = {}
    for k, target in pairs(a.children) do h[#h + 1] = fgen:new_handle(target) end
    fgen:ready{ f = function(rctx)
        return function(r)
            rctx:enqueue(r, h)
            rctx:wait_cond(#h)
            return rctx:res_any(h[1])
        end
    end }]]

local function sorted_seen()
    local lines = seen()
    table.sort(lines)
    return lines
end

describe("_conf", function()
    it("may change what it is given, in each place for itself", function()
        config(POOLS .. x("t.text = t.text .. '!' return t") .. [[local t = route_x{ text = "x" } routes{ map = { foo = t, bar = t } }]])
        expect(send("get foo/k").line):equals("SERVER_ERROR x!")
        expect(send("get bar/k").line):equals("SERVER_ERROR x!")
    end)
    it("may give the same table again and again", function()
        config(POOLS .. "local one = {} " .. x("one.text = t.text return one") ..
            [[routes{ map = { foo = route_x{ text = "x" }, bar = route_x{ text = "y" } } }]])
        expect(send("get foo/k").line):equals("SERVER_ERROR x")
        expect(send("get bar/k").line):equals("SERVER_ERROR y")
        config(POOLS .. "local one = {} " .. x("one.children = t.children return one", ASKS) ..
            [[local a = route_direct{ child = "a" } routes{ map = { foo = route_x{ children = { a } }, bar = route_x{ children = { a, "b" } } } }]])
        send("get foo/k")
        expect(seen()):equals{ "a: get foo/k" }
        send("get bar/k")
        expect(sorted_seen()):equals{ "a: get bar/k", "b: get bar/k" }
    end)
    it("cannot give a table that holds itself", function()
        expect(function() config(POOLS .. x("t.self = t return t") .. [[routes{ default = route_x{ text = "x" } }]]) end)
            :errors("cannot copy what mcp_config_pools returned: .*recursion too deep")
    end)
    it("is called once for each route", function()
        config(POOLS .. x("calls = calls + 1 return { text = t.text .. calls, children = { t.child } }", ASKS) ..
            [[routes{ default = route_allsync{ children = route_x{ child_wrap = "set_x", text = "x" } } }]])
        send("get k")
        expect(sorted_seen()):equals{ "a: get k", "b: get k" }
        config(POOLS .. x("calls = calls + 1 return { text = t.text .. ' ' .. calls }") ..
            [[routes{ map = { a = route_failover{ children = route_x{ child_wrap = { "a", "b" }, text = "x" } }, b = route_x{ text = "y" } } }]])
        expect(send("get b/k").line):equals("SERVER_ERROR y 3")
    end)
    it("is called for each tag and prefix, however they are called", function()
        config(POOLS .. x("return { text = ctx:label() }") ..
            [[local t = route_x{} routes{ tag = "a", map = { bc = t } } routes{ tag = "ab", map = { c = t } }]])
        expect(client{ tag = "a" }:send("get bc/k").line):equals("SERVER_ERROR bc")
        expect(client{ tag = "ab" }:send("get c/k").line):equals("SERVER_ERROR c")
    end)
    it("is that of its own word, also among a dozen", function()
        local others = string.rep("route_x{ children = { \"b\" } }, ", 10)
        config(POOLS .. x("return { children = t.children or { t.child } }", ASKS) ..
            "routes{ default = route_allsync{ children = { route_allsync{ children = route_x{ child_wrap = { \"a\" } } }, " .. others .. "} } }")
        send("get k")
        local lines = sorted_seen()
        expect({ lines[1], #lines }):equals{ "a: get k", 11 }
    end)
end)

describe("ctx", function()
    it("gives two routes the same counter for the same name", function()
        config(POOLS .. x("return { id = ctx:get_stats_id(t.counts) }", [[
            fgen:ready{ f = function() return function() mcp.stat(a.id, 1) return "END\r\n" end end }]]) ..
            [[routes{ map = { a = route_x{ counts = "one" }, b = route_x{ counts = "one" }, c = route_x{ counts = "two" } } }]])
        for _, key in ipairs{ "a/k", "b/k", "c/k" } do
            send("get " .. key)
        end
        expect(stat("one")):equals(2)
        expect(stat("two")):equals(1)
    end)
    it("checks children", function()
        local text = POOLS .. x("return { text = tostring(ctx:check_child(t.name)) }") .. "routes{ default = route_x{ name = \"%s\" } }"
        for _, name in ipairs{ "a", "set_x", "set_x_y", "internal" } do
            config((text:gsub("%%s", name)))
            expect(send("get k").line):equals("SERVER_ERROR true")
        end
        expect(function() config((text:gsub("%%s", "c"))) end):errors("default: x: there is no pool \"c\"")
    end)
    it("expands the name of a set, and nothing else", function()
        local text = POOLS .. x("return { children = ctx:expand_children(t.of) }", ASKS) .. "routes{ default = route_x{ of = %s } }"
        config((text:gsub("%%s", "\"set_x\"")))
        send("get k")
        expect(sorted_seen()):equals{ "a: get k", "b: get k" }
        config((text:gsub("%%s", "{ \"b\" }")))
        send("get k")
        expect(seen()):equals{ "b: get k" }
        expect(function() config((text:gsub("%%s", "\"a\""))) end):errors("default: x: \"a\" is one pool: want a list, or a set of pools")
    end)
    it("gives a child by its name, in _start", function()
        local get = [[local h = fgen:new_handle(ctx:get_child(a.name)) fgen:ready{ f = function(rctx)
            return function(r) return rctx:enqueue_and_wait(r, h) end
        end }]]
        config(POOLS .. x("return t", get) .. [[routes{ default = route_x{ name = "b" } }]])
        expect(send("get k").line):equals("END")
        expect(seen()):equals{ "b: get k" }
        expect(function() config(POOLS .. x("return t", get) .. [[routes{ default = route_x{ name = 5 } }]]) end)
            :errors("routes.default: x: .*want a pool, a pool's name or a route, got 5")
    end)
end)
