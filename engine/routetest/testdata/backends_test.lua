-- Backends: their stores, and the scripts on top.

describe("a backend", function()
    before_each(function()
        route([[return function(r) return a(r) end]], "a", "b")
    end)

    it("is a store", function()
        expect(send("set foo 7 60 3", "bar").line):equals("STORED")
        expect(send("get foo").text):equals("VALUE foo 7 3\r\nbar\r\nEND\r\n")
        expect(send("mg foo v t f").text):equals("VA 3 t60 f7\r\nbar\r\n")
        expect({ backend("a"):get("foo") }):equals{ "bar", { flags = 7, ttl = 60, cas = 1 } }
        expect(backend("b"):get("foo")):is_nil()
        advance(60)
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("gives every test the same numbers", function()
        send("set foo 0 0 3", "bar")
        expect(send("gets foo").text):equals("VALUE foo 0 3 1\r\nbar\r\nEND\r\n")
        expect(backend("a"):get("foo")):equals("bar")
    end)

    it("is filled by hand", function()
        backend("a"):set("foo", "ba\r\nr", { flags = 3, ttl = 10 })
        local res = send("get foo")
        expect(res.value):equals("ba\r\nr")
        expect(res.line):equals("VALUE foo 3 5")
        advance(9)
        expect(select(2, backend("a"):get("foo"))):equals{ flags = 3, ttl = 1, cas = 1 }
        advance(1)
        expect(backend("a"):get("foo")):is_nil()
        backend("a"):set("empty", "")
        expect(send("get empty").value):equals("")
    end)

end)

describe("a script", function()
    local a
    before_each(function()
        route([[return function(r) return a(r) end]], "a")
        a = backend("a")
    end)

    it("answers always", function()
        a:answers("SERVER_ERROR busy")
        for _ = 1, 3 do
            local res = send("get foo")
            expect(res.line):equals("SERVER_ERROR busy")
            expect(res.error):is_true()
        end
        a:works()
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("answers in turn", function()
        a:answers{ "VALUE foo 0 1\r\nx\r\nEND", "SERVER_ERROR x" }
        expect(send("get foo").value):equals("x")
        expect(send("get foo").line):equals("SERVER_ERROR x")
        expect(send("get foo").line):equals("END")
        expect(send("get foo").value):is_nil()
    end)

    it("fails", function()
        a:fails("down", 1)
        a:fails("closed", 1)
        a:fails("timeout", 1)
        local times = {}
        for i = 1, 4 do
            local res = send("get foo" .. i)
            expect(res.line):equals(i < 4 and "SERVER_ERROR backend failure" or "END")
            times[i] = res.time
        end
        expect(times):equals{ 0, 0, 3, 0 }
        expect(a:seen()):equals{ "get foo2", "get foo3", "get foo4" } -- the first could not be sent
        expect(seen()):equals{}
    end)

    it("does not change the store where it fails", function()
        for _, how in ipairs{ "down", "closed", "timeout" } do
            a:fails(how, 1)
            expect(send("set foo 0 0 1", "x").error):is_true()
        end
        expect(a:get("foo")):is_nil()
    end)

    it("is slow", function()
        a:slow(0.25, 2)
        expect(send("get foo").time):equals(0.25)
        expect(send("get foo").time):equals(0.25)
        expect(send("get foo").time):equals(0)
        a:slow(0.001)
        a:answers("SERVER_ERROR x")
        local res = send("get foo")
        expect(res.time):equals(0.001)
        expect(res.line):equals("SERVER_ERROR x")
    end)

    it("is too slow", function()
        a:slow(5)
        local res = send("set foo 0 0 3", "bar")
        expect(res.line):equals("SERVER_ERROR backend failure")
        expect(res.time):equals(3)
        expect(a:get("foo")):equals("bar") -- it has been done all the same
    end)

    it("never answers", function()
        a:never(1)
        local call = start("get foo")
        advance(10000)
        expect(call:done()):is_false()
        expect(send("get foo").line):equals("END")
    end)
end)

it("has the read timeout of its configuration", function()
    config([[
        function mcp_config_pools()
            mcp.backend_read_timeout(0.5)
            return mcp.pool({ mcp.backend("near", "10.0.0.1", 11211), mcp.backend("far", "10.0.0.2", 11212) })
        end
        function mcp_config_routes(pool)
            mcp.attach(mcp.CMD_ANY_STORAGE, pool)
        end]])
    backend("near"):fails("timeout")
    backend("10.0.0.2:11212"):fails("timeout")
    expect(send("get foo").time):equals(0.5)
    expect(#seen()):equals(1)
end)

it("is known by its address", function()
    config([[
        pool{ name = "p", backends = { "127.0.0.1:11212", "127.0.0.1:11213" } }
        router{ router_type = "flat", default_pool = "p" }]])
    for i = 1, 20 do
        send("get foo" .. i)
    end
    expect(#backend("127.0.0.1:11212"):seen() + #backend("127.0.0.1:11213"):seen()):equals(20)
end)

it("is known by its leaf's name", function()
    config([[
        pool{ name = "p", backends = { "nats://10.0.0.1:4222/leaf-1", "nats://10.0.0.1:4222/leaf-2" } }
        router{ router_type = "flat", default_pool = "p" }]])
    for i = 1, 20 do
        send("get foo" .. i)
    end
    expect(#backend("leaf-1"):seen() + #backend("leaf-2"):seen()):equals(20)
end)

it("is down where the configuration says so", function()
    config([[
        function mcp_config_pools()
            return mcp.pool({ mcp.backend{ label = "a", host = "10.0.0.1", port = 11211, down = true } })
        end
        function mcp_config_routes(p) mcp.attach(mcp.CMD_GET, p) end]])
    expect(send("get foo").line):equals("SERVER_ERROR backend failure")
    expect(seen()):equals{}
end)

it("may have one name and two addresses", function()
    config([[
        function mcp_config_pools()
            return { mcp.pool({ mcp.backend("a", "10.0.0.1", 11211) }), mcp.pool({ mcp.backend("a", "10.0.0.2", 11211) }) }
        end
        function mcp_config_routes(p) mcp.attach(mcp.CMD_GET, p[2]) end]])
    expect(function() backend("a") end):errors("\"a\" is the name of two backends: say \"10.0.0.1:11211\" or \"10.0.0.2:11211\"")
    backend("10.0.0.2:11211"):set("foo", "bar")
    expect(send("get foo").value):equals("bar")
end)
