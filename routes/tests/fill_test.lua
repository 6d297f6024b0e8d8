-- Tests of fill: one load for all who wait, what is stored and for how long, and that a write is never undone by a load.

local HIT, MISS, FAILED = "VALUE foo 5 3\r\nbar\r\nEND\r\n", "END\r\n", "SERVER_ERROR backend failure\r\n"

local function fill(fields)
    route("return require \"routes.fill\"{ child = a, origin = b, jitter = 0" .. (fields or "") .. " }", "a", "b")
end

describe("fill", function()
    before_each(function()
        fill()
        backend("b"):set("foo", "bar", { flags = 5 })
    end)

    it("answers what the child has without a load", function()
        backend("a"):set("foo", "old", { flags = 7 })
        expect(send("get foo").text):equals("VALUE foo 7 3\r\nold\r\nEND\r\n")
        expect(send("mg foo v k f Oa").text):equals("VA 3 kfoo f7 Oa\r\nold\r\n")
        backend("a"):set("empty", "")
        expect(send("get empty").text):equals("VALUE empty 0 0\r\n\r\nEND\r\n")
        expect(backend("b"):seen()):equals{}
    end)

    for _, c in ipairs{
        { "get foo", HIT }, { "gat 100 foo", HIT },
        { "mg foo v f k Oa s", "VA 3 f5 kfoo Oa s3\r\nbar\r\n", "EN knone Oa\r\n" },
        { "mg foo f", "HD f5\r\n" }, { "mg foo v q", "VA 3\r\nbar\r\n" }, { "mg foo v T100", "VA 3\r\nbar\r\n" },
        { "mg Zm9v b v k", "VA 3 kZm9v b\r\nbar\r\n", "EN kbm9uZQ== b\r\n" },
    } do
        it("loads for " .. c[1], function()
            expect(send(c[1]).text):equals(c[2])
            local value, of = backend("a"):get("foo")
            expect(value):equals("bar")
            expect(of.flags):equals(5)
            expect(of.ttl):near(60, 1)
            expect(stat("fill_loads")):equals(1)
            send(c[1])
            expect(stat("fill_loads")):equals(1)
        end)
        it("answers a miss to " .. c[1] .. " where there is none", function()
            local miss = send((c[1]:gsub("foo", "none"):gsub("Zm9v", "bm9uZQ==")))
            expect(miss.text == c[3] or not c[3] and (miss.text == MISS or miss.text == "EN\r\n" or miss.text == "")):is_true()
            expect(backend("a"):get("none")):is_nil()
            expect(stat("fill_none")):equals(1)
        end)
        for kind, late in pairs{ timeout = 3, down = 0, closed = 0, error = 0 } do
            it("answers " .. kind .. " of the child to " .. c[1] .. " without a load", function()
                local want = FAILED
                if kind == "error" then
                    want = "SERVER_ERROR busy\r\n"
                    backend("a"):answers("SERVER_ERROR busy")
                else
                    backend("a"):fails(kind)
                end
                local res = send(c[1])
                expect(res.text):equals(want)
                expect(res.time):near(late, 0.01)
                expect(backend("b"):seen()):equals{}
            end)
            it("answers " .. kind .. " of the origin to " .. c[1], function()
                local want = FAILED
                if kind == "error" then
                    want = "SERVER_ERROR busy\r\n"
                    backend("b"):answers("SERVER_ERROR busy")
                else
                    backend("b"):fails(kind)
                end
                if kind == "timeout" then
                    late, want = 1, "SERVER_ERROR the value is still being loaded\r\n"
                end
                local res = send(c[1])
                expect(res.text):equals(want)
                expect(res.time):near(late, 0.01)
                expect(backend("a"):get("foo")):is_nil()
                backend("b"):works()
                advance(5)
                expect(send("get foo").text):equals(HIT)
            end)
        end
    end

    it("gives the CAS of what it has stored", function()
        local cas = send("gets foo").text:match(" (%d+)\r\nbar")
        expect(send("cas foo 0 0 3 " .. cas, "new").text):equals("STORED\r\n")
        expect(send("get foo").value):equals("new")
    end)

    it("loads once for a thousand", function()
        backend("b"):slow(0.5)
        local calls = {}
        for i = 1, 1000 do
            calls[i] = client():start(i % 2 == 0 and "get foo" or "mg foo v f")
        end
        for i = 1, 1000 do
            local res = calls[i]:wait()
            expect(res.text):equals(i % 2 == 0 and HIT or "VA 3 f5\r\nbar\r\n")
            expect(res.time):near(0.5, 0.01)
        end
        expect(backend("b"):seen()):equals{ "mg foo v f t" }
        expect(stat("fill_waited")):equals(999)
    end)

    it("gives a failure to all who wait, and tries again for the next", function()
        backend("b"):slow(0.5, 1)
        backend("b"):answers{ "SERVER_ERROR no" }
        local x, y = client():start("get foo"), client():start("get foo")
        expect(x:wait().text):equals("SERVER_ERROR no\r\n")
        expect(y:wait().text):equals("SERVER_ERROR no\r\n")
        expect(#backend("b"):seen()):equals(1)
        expect(send("get foo").text):equals(HIT)
    end)

    it("waits for a load of another proxy", function()
        expect(send("mg foo v N30").text):equals("VA 0 W\r\n\r\n") -- as its load does
        local call = client():start("get foo")
        advance(0.3)
        expect(call:done()):is_false()
        backend("a"):set("foo", "theirs")
        expect(call:wait().value):equals("theirs")
        expect(backend("b"):seen()):equals{}
    end)

    it("loads itself when another proxy does not end, and leaves its lease", function()
        send("mg foo v N30")
        local res = send("get foo")
        expect(res.text):equals(HIT)
        expect(res.time):near(1, 1e-6)
        expect(backend("a"):get("foo")):equals("")
    end)

    -- A write or delete while a load is under way.
    for _, w in ipairs{
        { "set foo 0 0 3", "new", "STORED\r\n", "new" }, { "ms foo 3", "new", "HD\r\n", "new" }, { "ms Zm9v 3 b", "new", "HD\r\n", "new" },
        { "add foo 0 0 3", "new", "STORED\r\n", "new" }, { "ms foo 3 ME", "new", "HD\r\n", "new" }, { "delete foo", nil, "DELETED\r\n" },
        { "md foo", nil, "HD\r\n" }, { "md Zm9v b q", nil, "" },
    } do
        it("stores nothing over " .. w[1] .. ", and gives it to nobody who asks later", function()
            backend("b"):slow(0.5, 1)
            local first = client():start("get foo")
            advance(0.2)
            expect(send(w[1], w[2]).text):equals(w[3])
            backend("b"):set("foo", "newer")
            local later = send("get foo")
            expect(later.value):equals(w[4] or "newer")
            expect(first:wait().value):equals("bar")
            advance(1)
            expect(send("get foo").value):equals(w[4] or "newer")
        end)
    end

    for _, c in ipairs{
        { "append foo 0 0 1", "x", "NOT_STORED\r\n" }, { "replace foo 0 0 1", "x", "NOT_STORED\r\n" }, { "incr foo 1", nil, "NOT_FOUND\r\n" },
        { "touch foo 10", nil, "NOT_FOUND\r\n" }, { "ma foo", nil, "NF\r\n" }, { "ms foo 1 MP", "x", "NS\r\n" },
    } do
        it("hides its items from " .. c[1], function()
            fill(", negative = 10")
            send("get none")
            expect(send((c[1]:gsub("foo", "none")), c[2]).text):equals(c[3])
            backend("b"):slow(0.5, 1)
            local load = client():start("get foo")
            advance(0.2)
            expect(send(c[1], c[2]).text):equals(c[3])
            expect(load:wait().text):equals(HIT)
        end)
        it("lets " .. c[1] .. " be where there is an item", function()
            backend("a"):set("foo", "7", { ttl = 100 })
            local got = send(c[1], c[2]).text
            local value = backend("a"):get("foo")
            route("return a", "a", "b")
            backend("a"):set("foo", "7", { ttl = 100 })
            expect(got):equals(send(c[1], c[2]).text)
            expect(value):equals((backend("a"):get("foo")))
        end)
    end

    it("touches what the child has", function()
        backend("a"):set("foo", "bar", { flags = 5, ttl = 5 })
        expect(send("gat 100 foo").text):equals(HIT)
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(100, 1)
    end)

    it("leaves leases of meta clients to them", function()
        expect(send("mg foo v N30").text):equals("VA 0 W\r\n\r\n")
        expect(backend("b"):seen()):equals{}
    end)
end)

describe("fill's negative answers", function()
    it("are kept for so many seconds, and not seen", function()
        fill(", negative = 10")
        for _, c in ipairs{ "get none", "gat 5 none", "mg none v", "mg none t", "gets none" } do
            local res = send(c)
            expect(res.text == MISS or res.text == "EN\r\n"):is_true()
        end
        expect(#backend("b"):seen()):equals(1)
        backend("b"):set("none", "now")
        advance(9)
        expect(send("get none").text):equals(MISS)
        advance(2)
        expect(send("get none").value):equals("now")
    end)

    it("are replaced by what clients store", function()
        fill(", negative = 10")
        for _, w in ipairs{ "set", "add" } do
            send("get none")
            expect(send(w .. " none 0 0 1", "x").text):equals("STORED\r\n")
            expect(send("get none").value):equals("x")
            send("delete none")
        end
    end)

    it("are not kept without the field", function()
        fill()
        send("get none")
        send("get none")
        expect(#backend("b"):seen()):equals(2)
    end)
end)

describe("fill's stale values", function()
    before_each(function()
        fill(", ttl = 10, stale_while = 20")
        backend("b"):set("foo", "bar", { flags = 5 })
        expect(send("get foo").text):equals(HIT)
        backend("b"):set("foo", "new", { flags = 6 })
        backend("b"):seen()
    end)

    it("are not stale before ttl", function()
        advance(9)
        expect(send("get foo").text):equals(HIT)
        expect(backend("b"):seen()):equals{}
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(21, 1)
    end)

    it("are answered at once while one request loads", function()
        advance(11)
        backend("b"):slow(0.5)
        for _ = 1, 20 do
            local res = client():send("get foo")
            expect(res.text):equals(HIT)
            expect(res.time):near(0, 0.01)
        end
        advance(0.6)
        expect(backend("b"):seen()):equals{ "mg foo v f t" }
        expect(send("mg foo v f").text):equals("VA 3 f6\r\nnew\r\n")
        expect(stat("fill_stale")):equals(20)
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(30, 1.1)
    end)

    for _, kind in ipairs{ "timeout", "down", "closed" } do
        it("stay when the load ends in " .. kind, function()
            advance(11)
            backend("b"):fails(kind)
            expect(send("get foo").text):equals(HIT)
            advance(5)
            expect(send("get foo").text):equals(HIT)
            backend("b"):works()
            advance(5)
            send("get foo")
            advance(0.1)
            expect(send("get foo").value):equals("new")
        end)
    end

    it("go when the load finds none", function()
        route("return b", "a", "b")
        send("delete foo")
        fill(", ttl = 10, stale_while = 20")
        advance(11)
        expect(send("get foo").text):equals(HIT)
        advance(0.1)
        expect(send("get foo").text):equals(MISS)
    end)

    it("do not undo a write", function()
        advance(11)
        backend("b"):slow(0.5)
        expect(send("get foo").text):equals(HIT)
        advance(0.1)
        send("set foo 0 0 6", "client")
        advance(1)
        expect((backend("a"):get("foo"))):equals("client")
        send("get foo")
        send("delete foo")
        advance(1)
        expect(backend("a"):get("foo")):is_nil()
    end)

    it("go after stale_while", function()
        advance(31)
        expect(send("get foo").value):equals("new")
    end)

    it("are loaded again when the client that asked has gone", function()
        advance(11)
        backend("b"):slow(0.5)
        local call = client():start("get foo")
        call:wait()
        advance(1)
        expect((backend("a"):get("foo"))):equals("new")
    end)
end)

describe("fill's TTL", function()
    it("is shortened by chance", function()
        route([[return require "routes.fill"{ child = a, origin = b, ttl = 1000, jitter = 0.5 }]], "a", "b")
        local least, most = 1e9, 0
        for i = 1, 200 do
            backend("b"):set("k" .. i, "x")
            send("get k" .. i)
            local _, of = backend("a"):get("k" .. i)
            least, most = math.min(least, of.ttl), math.max(most, of.ttl)
        end
        expect(least):near(510, 11)
        expect(most):near(990, 11)
    end)

    it("is not longer than the origin's", function()
        fill(", ttl = 1000")
        backend("b"):set("foo", "bar", { ttl = 50 })
        send("get foo")
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(50, 1)
    end)

    it("may be none", function()
        fill(", ttl = 0")
        backend("b"):set("foo", "bar")
        send("get foo")
        advance(100000)
        expect((backend("a"):get("foo"))):equals("bar")
    end)
end)

describe("fill's getter", function()
    it("is a function of the key", function()
        route([[return require "routes.fill"{ child = a, jitter = 0, getter = function(key)
            if key ~= "none" then
                return "value of " .. key, key == "short" and 7 or nil
            end
        end }]], "a")
        expect(send("get foo").value):equals("value of foo")
        expect(send("mg Zm94 b v").value):equals("value of fox")
        expect(send("get none").text):equals(MISS)
        send("get short")
        local _, of = backend("a"):get("short")
        expect(of.ttl):near(7, 1)
    end)

    it("may wait, and is given up after timeout", function()
        route([[return require "routes.fill"{ child = a, timeout = 0.5, getter = function(key)
            local res = b(mcp.request("get from-" .. key .. "\r\n"))
            return res:hit() and res or nil
        end }]], "a", "b")
        backend("b"):set("from-foo", "bar")
        backend("b"):slow(0.2)
        expect(send("get foo").value):equals("bar")
        backend("b"):slow(0.7)
        local res = send("get fox")
        expect(res.text):equals("SERVER_ERROR the value is still being loaded\r\n")
        expect(res.time):near(0.5, 0.01)
    end)

    it("may fail", function()
        route([[return require "routes.fill"{ child = a, getter = function(key) error("no " .. key) end }]], "a")
        expect(send("get foo").text):equals(FAILED)
        expect(table.concat(log(), "\n")):contains("no foo")
        expect(backend("a"):get("foo")):is_nil()
    end)

    for fields, want in pairs{
        [""] = "want one of url, origin and getter, got 0",
        [", origin = a, url = \"http://x/%k\""] = "want one of url, origin and getter, got 2",
        [", url = \"x\""] = "is no URL",
        [", origin = a, timeout = 0"] = "fill.timeout: want more than 0",
        [", origin = a, timeout = 3601"] = "fill.timeout: want at most 3600",
        [", origin = a, ttl = 2000001"] = "fill.ttl: want at most 2000000",
        [", origin = a, jitter = 1"] = "fill.jitter: want at most 0.9",
    } do
        it("is one of three" .. fields, function()
            expect(function() route("return require \"routes.fill\"{ child = a" .. fields .. " }", "a") end):errors(want)
        end)
    end
end)
