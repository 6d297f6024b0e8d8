-- Tests of lease: who is told to fill a key, who waits and for how long, and that plain clients never see the item that a lease leaves.

local HIT, MISS = "VALUE foo 5 3\r\nbar\r\nEND\r\n", "END\r\n"

local function leased(fields)
    route("return require \"routes.lease\"{ child = a" .. (fields or "") .. " }", "a")
end

describe("lease", function()
    before_each(function() leased() end)

    it("answers a hit in the client's form", function()
        backend("a"):set("foo", "bar", { flags = 5 })
        expect(send("get foo").text):equals(HIT)
        expect(send("gets foo").text):matches("^VALUE foo 5 3 %d+\r\nbar\r\nEND\r\n$")
        expect(send("gat 100 foo").text):equals(HIT)
        expect(send("mg foo v f k Oxy").text):equals("VA 3 f5 kfoo Oxy\r\nbar\r\n")
        expect(send("mg Zm9v b v k").text):equals("VA 3 kfoo\r\nbar\r\n")
        expect(send("mg foo t").text):matches("^HD t100 *\r\n$")
    end)

    it("tells the first of a thousand to fill, once", function()
        local calls = {}
        for i = 1, 1000 do
            calls[i] = client():start("get foo")
        end
        expect(calls[1]:wait().text):equals(MISS)
        for i = 2, 1000 do
            expect(calls[i]:done()):is_false()
        end
        advance(0.3)
        send("set foo 5 60 3", "bar")
        local longest = 0
        for i = 2, 1000 do
            local res = calls[i]:wait()
            expect(res.text):equals(HIT)
            longest = math.max(longest, res.time)
        end
        expect(longest):near(0.3, 0.01)
        expect(stat("lease_told")):equals(1)
        expect(stat("lease_waited")):equals(999)
        expect(stat("lease_spared")):equals(999)
    end)

    it("lets nobody wait for ever when who fills dies", function()
        expect(send("get foo").text):equals(MISS)
        local a, b = client():start("get foo"), client():start("mg foo v")
        local res = a:wait()
        expect(res.text):equals(MISS)
        expect(res.time):near(1, 0.01)
        expect(b:wait().text):equals("EN\r\n")
        advance(10)
        expect(stat("lease_told")):equals(1)
        expect(send("get foo").time):near(0, 0.01)
        expect(stat("lease_told")):equals(2)
    end)

    it("finds what another proxy has filled", function()
        send("get foo")
        local call = client():start("get foo")
        advance(0.2)
        backend("a"):set("foo", "bar", { flags = 5 })
        local res = call:wait()
        expect(res.text):equals(HIT)
        expect(res.time < 0.5):is_true()
    end)

    it("tells one of those who wait when the key is deleted", function()
        send("get foo")
        local b, c = client():start("get foo"), client():start("get foo")
        advance(0.05)
        expect(send("delete foo").text):equals("DELETED\r\n")
        expect(b:wait().text):equals(MISS)
        expect(c:done()):is_false()
        send("set foo 5 0 3", "bar")
        expect(c:wait().text):equals(HIT)
    end)

    it("has mg without v wait as well, and shows none of its own flags", function()
        send("get foo")
        local call = client():start("mg foo f")
        advance(0.1)
        expect(call:done()):is_false()
        send("set foo 5 0 1", "x")
        expect(call:wait().text):matches("^HD f5 *\r\n$")
        expect(send("mg foo s f").text):matches("^HD s1 f5 *\r\n$")
        expect(stat("lease_spared")):equals(1)
        expect(stat("lease_stale")):equals(0)
    end)

    it("leaves leases of meta clients to them", function()
        expect(send("mg foo v c N30").text):matches("^VA 0 c%d+ W\r\n")
        expect(send("mg foo v N30").text):equals("VA 0 Z\r\n\r\n")
        expect(send("get foo").time):near(1, 0.01)
    end)

    -- The item that a lease leaves must not show, whatever is asked.
    for _, c in ipairs{
        { "append foo 0 0 1", "x", "NOT_STORED\r\n" },
        { "prepend foo 0 0 1", "x", "NOT_STORED\r\n" },
        { "replace foo 0 0 1", "x", "NOT_STORED\r\n" },
        { "ms foo 1 MA Oq", "x", "NS Oq\r\n" },
        { "ms foo 1 MR k", "x", "NS kfoo\r\n" },
        { "incr foo 1", nil, "NOT_FOUND\r\n" },
        { "decr foo 1", nil, "NOT_FOUND\r\n" },
        { "ma foo", nil, "NF\r\n" },
        { "touch foo 10", nil, "NOT_FOUND\r\n" },
        { "cas foo 0 0 1 999", "x", "EXISTS\r\n" },
        { "add foo 5 60 3", "bar", "STORED\r\n", "bar" },
        { "ms foo 3 ME F5 T60", "bar", "HD\r\n", "bar" },
        { "ms Zm9v 3 b ME F5", "bar", "HD\r\n", "bar" },
        { "ma foo N60 J7 v", nil, "VA 1\r\n7\r\n", "7" },
        { "ms foo 1 MA N60", "x", "HD\r\n", "x" },
        { "set foo 5 60 3", "bar", "STORED\r\n", "bar" },
    } do
        it("finds nothing for " .. c[1] .. " while a key is filled", function()
            send("get foo")
            expect(send(c[1], c[2]).text):equals(c[3])
            expect(backend("a"):get("foo")):equals(c[4] or "")
            if c[4] then
                expect(send("mg foo v").text):equals("VA " .. #c[4] .. "\r\n" .. c[4] .. "\r\n")
            end
        end)
        it("does to what is there what " .. c[1] .. " does", function()
            backend("a"):set("foo", "41", { ttl = 1000 })
            local real = send(c[1], c[2]).text
            local after = backend("a"):get("foo")
            route("return a", "a")
            backend("a"):set("foo", "41", { ttl = 1000 })
            expect(real):equals(send(c[1], c[2]).text)
            expect(after):equals((backend("a"):get("foo")))
        end)
    end

    it("keeps the TTL and flags of an add over a lease", function()
        send("get foo")
        send("add foo 7 60 3", "bar")
        local value, of = backend("a"):get("foo")
        expect(value):equals("bar")
        expect(of.flags):equals(7)
        expect(of.ttl):near(60, 1)
    end)

    it("does not extend a lease by gat", function()
        expect(send("gat 1000 foo").text):equals(MISS)
        expect(client():start("gat 1000 foo"):wait().text):equals(MISS)
        expect(send("mg foo v T1000").text):equals("EN\r\n")
        advance(9)
        expect(backend("a"):get("foo")):is_nil()
    end)

    it("touches what is there by gat", function()
        backend("a"):set("foo", "bar", { flags = 5, ttl = 5 })
        expect(send("gat 1000 foo").text):equals(HIT)
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(1000, 1)
        expect(send("mg foo v T500 t").text):equals("VA 3 t500\r\nbar\r\n")
    end)

    -- Errors come through at once, whatever the command.
    for _, c in ipairs{ "get foo", "gets foo", "gat 1 foo", "mg foo v", "mg foo t", "mg foo v N5", "set foo 0 0 1", "add foo 0 0 1",
        "append foo 0 0 1", "incr foo 1", "touch foo 1", "delete foo", "md foo" } do
        local value = c:find(" 0 0 1") and "x" or nil
        for kind, want in pairs{ timeout = { "SERVER_ERROR backend failure\r\n", 3 }, down = { "SERVER_ERROR backend failure\r\n", 0 },
            closed = { "SERVER_ERROR backend failure\r\n", 0 } } do
            it("answers " .. kind .. " to " .. c, function()
                backend("a"):fails(kind, 1)
                local res = send(c, value)
                expect(res.text):equals(want[1])
                expect(res.time):near(want[2], 0.01)
            end)
        end
        it("answers the child's error to " .. c, function()
            backend("a"):answers("SERVER_ERROR busy")
            local res = send(c, value)
            expect(res.text):equals("SERVER_ERROR busy\r\n")
            expect(res.time):near(0, 0.01)
        end)
    end
end)

describe("lease with stale", function()
    before_each(function()
        leased(", stale = 30")
        backend("a"):set("foo", "bar", { flags = 5, ttl = 1000 })
    end)

    for _, del in ipairs{ "delete foo", "md foo", "md Zm9v b" } do
        it("gives the old value to all but one after " .. del, function()
            expect(send(del).text):matches("^[DH]")
            expect(send("get foo").text):equals(MISS)
            for _ = 1, 5 do
                local res = client():send("get foo")
                expect(res.text):equals(HIT)
                expect(res.time):near(0, 0.01)
            end
            expect(send("mg foo v f").text):matches("^VA 3 f5 *\r\nbar\r\n$")
            expect(send("gat 500 foo").text):equals(HIT)
            expect(stat("lease_stale")):equals(7)
            expect(send("set foo 5 0 3", "new").text):equals("STORED\r\n")
            expect(send("get foo").value):equals("new")
        end)
    end

    it("ends after so many seconds", function()
        send("delete foo")
        send("get foo")
        advance(31)
        expect(backend("a"):get("foo")):is_nil()
        expect(send("get foo").text):equals(MISS)
        expect(stat("lease_told")):equals(2)
    end)

    it("finds a deleted item gone", function()
        send("delete foo")
        expect(send("append foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
        expect(send("touch foo 10").text):equals("NOT_FOUND\r\n")
        expect(send("get foo").text):equals(MISS) -- still one to be told
        expect(send("get foo").text):equals(HIT)
        expect(send("add foo 5 0 3", "new").text):equals("STORED\r\n")
        expect(send("get foo").value):equals("new")
    end)

    it("deletes as told where md says how", function()
        send("md foo I T5")
        local _, of = backend("a"):get("foo")
        expect(of.ttl):near(5, 1)
        send("md foo x")
        expect(backend("a"):get("foo")):equals("")
    end)

    for _, del in ipairs{ "delete foo", "md foo" } do
        it("ends after so many seconds of " .. del .. ", whatever the item's TTL", function()
            send(del)
            send("get foo")
            advance(31)
            expect(backend("a"):get("foo")):is_nil()
        end)
    end

    it("deletes for good by md with C, and does not mark what md with x empties", function()
        local cas = send("mg foo c").text:match("c(%d+)")
        expect(send("md foo C" .. cas).text):equals("HD\r\n")
        expect(backend("a"):get("foo")):is_nil()
        backend("a"):set("foo", "bar", { ttl = 1000 })
        send("md foo x")
        expect(send("mg foo v N30").text):equals("VA 0\r\n\r\n")
    end)

    it("does not give an empty item to those who wait", function()
        send("delete foo")
        send("md foo C1")
        send("set none 0 0 0", "")
        route("return require \"routes.lease\"{ child = a, stale = 30, wait = 0.5 }", "a")
        expect(send("get new").text):equals(MISS)
        expect(send("delete new").text):equals("DELETED\r\n")
        expect(send("get new").text):equals(MISS)
        local res = client():send("get new")
        expect(res.text):equals(MISS)
        expect(res.time):near(0.5, 0.01)
    end)

    it("answers a delete of nothing", function()
        expect(send("delete none").text):equals("NOT_FOUND\r\n")
        expect(send("md none k q").text):equals("NF knone\r\n")
    end)
end)

describe("lease", function()
    it("keeps a given wait", function()
        leased(", wait = 0.2, ttl = 5")
        send("get foo")
        expect(client():send("get foo").time):near(0.2, 0.01)
        advance(4.9)
        send("get foo")
        expect(stat("lease_told")):equals(2)
    end)

    it("does not wait with wait = 0", function()
        leased(", wait = 0")
        send("get foo")
        expect(client():send("get foo").time):near(0, 0.001)
    end)
end)

describe("lease counts and sends no more than it must:", function()
    it("a hit is neither spared nor old", function()
        leased()
        backend("a"):set("foo", "bar", { flags = 5 })
        send("get foo")
        expect(stat("lease_spared")):equals(0)
        expect(stat("lease_stale")):equals(0)
        expect(send("mg foo s f").text):matches("^HD .*s3")
    end)

    it("who is answered after the first wait is spared", function()
        leased()
        send("get foo")
        local call = client():start("get foo")
        advance(0.01)
        send("set foo 5 60 3", "bar")
        expect(call:wait().text):equals(HIT)
        expect(stat("lease_spared")):equals(1)
    end)

    it("looks after each part of the wait", function()
        leased()
        send("get foo")
        seen()
        expect(send("get foo").text):equals(MISS)
        expect(#seen()):equals(6)
    end)

    it("looks once with wait = 0", function()
        leased(", wait = 0")
        send("get foo")
        seen()
        expect(send("get foo").text):equals(MISS)
        expect(#seen()):equals(1)
        expect(stat("lease_waited")):equals(1)
    end)

    for _, line in ipairs{ "delete foo", "md foo", "md foo q" } do
        it(line .. " goes as it is without stale", function()
            leased()
            backend("a"):set("foo", "bar")
            start(line)
            advance(0.1)
            expect(seen()):equals{ "a: " .. line }
            expect(backend("a"):get("foo")):is_nil()
        end)
    end

    for _, d in ipairs{
        { "delete foo", "md foo I T30" }, { "md foo", "md foo I T30" }, { "md foo I", "md foo I" }, { "md foo x", "md foo x" },
        { "md foo C1", "md foo C1" }, { "md foo T5", "md foo T5" },
    } do
        it(d[1] .. " is " .. d[2] .. " with stale", function()
            leased(", stale = 30")
            send(d[1])
            expect(seen()):equals{ "a: " .. d[2] }
        end)
    end

    it("an old value of one byte is given, and for its marks alone", function()
        leased(", stale = 30")
        backend("a"):set("foo", "x")
        send("delete foo")
        send("get foo")
        local res = send("get foo")
        expect(res.value):equals("x")
        expect(res.time):equals(0)
        res = send("mg foo t")
        expect(res.text):matches("^HD t30 *\r\n$")
        expect(res.time):equals(0)
    end)
end)

describe("lease and writes of what is not there yet:", function()
    before_each(function()
        leased()
        expect(send("get foo").text):equals(MISS)
    end)

    for _, line in ipairs{ "add foo 7 60 1", "ms foo 1 ME T60 F7", "ms foo 1 MEx T60 F7", "ms Zm9v 1 b ME T60 F7" } do
        it(line .. " stores, once", function()
            send(line, "x")
            local value, of = backend("a"):get("foo")
            expect(value):equals("x")
            expect(of.flags):equals(7)
            expect(of.ttl):near(60, 1)
            local again = send(line, "y").text
            expect(again == "NOT_STORED\r\n" or again == "NS\r\n"):is_true()
            expect((backend("a"):get("foo"))):equals("x")
        end)
    end

    it("an add that another overtakes is refused", function()
        backend("a"):slow(0.3, 2)
        local add = client():start("add foo 0 0 1", "x")
        advance(0.5)
        backend("a"):set("foo", "newer")
        expect(add:wait().text):equals("NOT_STORED\r\n")
        expect((backend("a"):get("foo"))):equals("newer")
    end)

    it("an error while it looks is the answer", function()
        backend("a"):answers{ "NOT_STORED", "SERVER_ERROR busy" }
        expect(send("add foo 0 0 1", "x").text):equals("SERVER_ERROR busy\r\n")
        backend("a"):answers{ "SERVER_ERROR busy" }
        expect(send("append foo 0 0 1", "x").text):equals("SERVER_ERROR busy\r\n")
    end)

    it("an add that is refused for what is there, or fails, is sent once", function()
        backend("a"):answers{ "SERVER_ERROR busy" }
        seen()
        expect(send("add foo 0 0 1", "x").text):equals("SERVER_ERROR busy\r\n")
        expect(seen()):equals{ "a: add foo 0 0 1" }
    end)

    it("a set by mode is no add", function()
        seen()
        send("ms foo 1 MS", "x")
        expect(seen()):equals{ "a: ms foo 1 MS" }
    end)
end)

describe("lease and writes of what is nowhere:", function()
    for line, want in pairs{ ["touch none 10"] = "NOT_FOUND", ["incr none 1"] = "NOT_FOUND", ["ma none"] = "NF" } do
        it(line, function()
            leased()
            expect(send(line).text):equals(want .. "\r\n")
            expect(#seen()):equals(2)
        end)
    end
end)

for _, name in ipairs{ "ttl", "stale" } do
    it("lease refuses a " .. name .. " that memcached takes for a time", function()
        route("return require 'routes.lease'{ child = a, " .. name .. " = 2592000 }", "a")
        expect(function()
            route("return require 'routes.lease'{ child = a, " .. name .. " = 2592001 }", "a")
        end):errors("lease." .. name .. ": want at most 2592000, got 2592001")
    end)
end
