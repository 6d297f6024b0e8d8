-- Clients: connections, several requests at once, and answers.

describe("send", function()
    before_each(function()
        route([[return function(r) return a(r) end]], "a")
    end)

    it("tells all of an answer", function()
        backend("a"):set("foo", "bar")
        expect(send("get foo")):equals{
            text = "VALUE foo 0 3\r\nbar\r\nEND\r\n", line = "VALUE foo 0 3", value = "bar", time = 0, error = false, closed = false,
        }
        expect(send("mg foo v")):equals{ text = "VA 3\r\nbar\r\n", line = "VA 3", value = "bar", time = 0, error = false, closed = false }
        expect(send("mn")):equals{ text = "MN\r\n", line = "MN", time = 0, error = false, closed = false }
        expect(send("get " .. string.rep("x", 300)).error):is_true()
        expect(send("nonsense").closed):is_true() -- as in memcached's proxy
    end)

    it("says nothing where nothing is said", function()
        expect(send("set foo 0 0 3 noreply", "bar").text):equals("")
        expect(send("mg bar v q\r\nmn").text):equals("MN\r\n")
        expect(seen()):equals{ "a: set foo 0 0 3 noreply", "a: mg bar v q" }
        expect(send("get foo").value):equals("bar")
    end)

    it("sends several requests at once", function()
        backend("a"):set("b", "x")
        backend("a"):slow(1, 1)
        local res = send("get a\r\nget b\r\nset c 0 0 1\r\ny\r\nmn\r\n")
        expect(res.text):equals("END\r\nVALUE b 0 1\r\nx\r\nEND\r\nSTORED\r\nMN\r\n")
        expect(res.time):equals(1)
        expect(send("get a b c").text):equals("VALUE b 0 1\r\nx\r\nVALUE c 0 1\r\ny\r\nEND\r\n")
    end)

    it("goes on over another connection when one is closed", function()
        expect(send("quit").closed):is_true()
        expect(send("get foo").text):equals("END\r\n")
    end)
end)

describe("start", function()
    before_each(function()
        route([[return function(r) return a(r) end]], "a")
        backend("a"):slow(1)
    end)

    it("does not wait", function()
        local x, y = start("get x"), start("get y")
        expect(seen()):equals{ "a: get x", "a: get y" }
        expect(x:done()):is_false()
        advance(0.5)
        expect(y:done()):is_false()
        expect(x:wait().time):equals(1)
        expect(now()):equals(1)
        expect(y:done()):is_true()
        expect(y:wait().text):equals("END\r\n")
    end)

    it("waits for its turn on a client's connection", function()
        local one, other = client(), client()
        local x, y, z = one:start("get x"), one:start("get y"), other:start("get z")
        expect(seen()):equals{ "a: get x", "a: get z" }
        expect(z:wait().time):equals(1)
        expect(x:done()):is_true()
        expect(y:wait().time):equals(2)
        expect(seen()):equals{ "a: get y" }
        expect(one:send("get foo").time):equals(1)
    end)
end)

it("comes in by a listener with a tag", function()
    config([[
        function mcp_config_pools() end
        function mcp_config_routes()
            mcp.attach(mcp.CMD_GET, function() return "SERVER_ERROR none\r\n" end)
            mcp.attach(mcp.CMD_GET, function() return "SERVER_ERROR b\r\n" end, "b")
        end]])
    expect(send("get foo").line):equals("SERVER_ERROR none")
    expect(client{ tag = "b" }:send("get foo").line):equals("SERVER_ERROR b")
end)
