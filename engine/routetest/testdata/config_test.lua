-- Configurations: as a file, as a text, of either form, and loaded again.

local helpers = require "helpers"

describe("a file", function()
    before_each(function()
        config{ file = "conf.lua" }
    end)

    for i = 1, 2 do -- twice: nothing is left over from the first
        it("is loaded with all it needs " .. i, function()
            backend("far"):set("foo", "bar")
            helpers.hit("bar")
            expect(seen()):equals{ "near: get foo", "far: get foo" }
            expect(stat("misses")):equals(1)
            expect(stat("cmd_get")):equals(1)
            expect(stat("nothing")):is_nil()
            expect(log()):equals{ "missed foo" }
            expect(log()):equals{}
        end)
    end

    it("is loaded again", function()
        backend("near"):set("foo", "bar")
        backend("near"):slow(1)
        local call = start("get foo")
        config([[
            function mcp_config_pools() return mcp.pool({ mcp.backend("near", "127.0.0.1", 11212) }) end
            function mcp_config_routes(p) mcp.attach(mcp.CMD_GET, function(r) p(r) return "SERVER_ERROR new\r\n" end) end]])
        expect(send("get foo").line):equals("SERVER_ERROR new")
        expect(call:wait().value):equals("bar")
        expect(function() config("x") end):errors("config: %[config at config_test.lua:%d+%]:1: ")
        expect(log()[1]):contains("error: cannot load configuration")
        expect(send("get foo").line):equals("SERVER_ERROR new")
    end)
end)

it("has the form of declarative files", function()
    config([[
        pools{ a = { backends = { "127.0.0.1:11212" } }, b = { backends = { "127.0.0.1:11213" } } }
        routes{ map = { foo = route_direct{ child = "a" } }, default = route_direct{ child = "b" } }]])
    send("get foo/x")
    send("get y")
    expect(seen()):equals{ "127.0.0.1:11212: get foo/x", "127.0.0.1:11213: get y" }
end)

it("finds what it was started with", function()
    route([[return function() return "SERVER_ERROR " .. mcp.start_arg .. "\r\n" end]])
    expect(send("get x").line):equals("SERVER_ERROR foo")
end)

it("logs why a route failed", function()
    route("return function()\nerror('foo') end")
    expect(send("get x").line):equals("SERVER_ERROR lua failure")
    expect(log()):equals{ "error: route failed err=[route at config_test.lua:53]:2: foo route=[route at config_test.lua:53]:1 tag= cmd=get key=x" }
end)

it("serves what has no route by the proxy's own store", function()
    config([[
        function mcp_config_pools() end
        function mcp_config_routes() mcp.attach(mcp.CMD_GET, function(r) return mcp.internal(r) end) end]])
    expect(send("set foo 0 10 3", "bar").line):equals("STORED")
    expect(send("get foo").value):equals("bar")
    advance(10)
    expect(send("get foo").value):is_nil()
end)

it("has gates, stores and what is fetched", function()
    route([[
        local http = mcp.http{ url = "http://origin:8080/x/%k", timeout = 2 }
        return function(r) return http(r) end]])
    backend("origin:8080"):set("foo", "bar")
    helpers.hit("bar")
    expect(seen()):equals{ "http://origin:8080/x/%k: get foo" }
    backend("http://origin:8080/x/%k"):fails("timeout")
    expect(send("get foo").time):equals(2)
    expect(send("set foo 0 0 1", "x").error):is_true()
    expect(seen()):equals{ "http://origin:8080/x/%k: get foo" }
end)

it("never ends by itself", function() -- what is under way when a test ends is given up, whatever it does
    route([[
        local g = mcp.funcgen_new()
        local h = g:new_handle(a)
        g:ready{ n = "x", f = function(rctx)
            return function(r)
                rctx:enqueue(r, h)
                while true do rctx:sleep(1) end
            end
        end }
        return g]], "a")
    backend("a"):never()
    start("get foo")
    advance(3.5)
    route([[return function(r) string.gsub("x", "x", function() a(r) end) end]], "a")
    start("get foo")
end)

it("has a limit of values", function()
    local text = "pools{ a = { backends = { '10.0.0.1:1 a' } } } routes{ default = 'a' }"
    local big = string.rep("x", 1024 * 1024 + 1)
    config{ text = text, max_item = 2 * 1024 * 1024 }
    expect(send("set foo 0 0 " .. #big, big).line):equals("SERVER_ERROR object too large for cache")
    expect(#seen()):equals(1) -- the backend says so
    config(text)
    expect(function() config{ text = text, max_item = 5 } end):errors("max_item is what a proxy starts with")
end)

it("takes a text or a file, and nothing else", function()
    expect(function() config{} end):errors("want a text, or")
    expect(function() config{ text = "x", file = "x" } end):errors("want a text, or")
    expect(function() config{ txt = "x" } end):errors("config: txt: want file or text, a string, and max_item")
    expect(function() config{ file = 5 } end):errors("config: file: want")
    for _, n in ipairs{ 0, 1.5, 2 ^ 40, "1m" } do
        expect(function() config{ text = "x", max_item = n } end):errors("config: max_item: want")
    end
end)
