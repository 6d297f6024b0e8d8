-- Tests of hotkey: reads of a hot key are spread, and no write leaves an old copy behind.

local HIT = "VALUE foo 5 3\r\nbar\r\nEND\r\n"

local function hotkey(fields)
    route("return require \"routes.hotkey\"{ child = a, " .. (fields or "threshold = 0") .. " }", "a")
    backend("a"):set("foo", "bar", { flags = 5 })
end

-- keys counts the keys that reads went to.
local function keys(lines)
    local n = {}
    for _, line in ipairs(lines) do
        local key = line:match("^a: m?ge?t? (%S+)")
        if key then
            n[key] = (n[key] or 0) + 1
        end
    end
    return n
end

describe("hotkey", function()
    before_each(function() hotkey() end)

    it("reads from the key and its copies in turn", function()
        for _ = 1, 3 do
            expect(send("get foo").text):equals(HIT)
        end
        seen()
        for _ = 1, 30 do
            expect(send("get foo").text):equals(HIT)
            expect(send("mg foo v f k Oab s").text):equals("VA 3 f5 kfoo Oab s3\r\nbar\r\n")
            expect(send("mg Zm9v b v").text):equals("VA 3\r\nbar\r\n")
        end
        local n = keys(seen())
        expect((n.foo or 0) + (n.Zm9v or 0)):equals(30)
        expect(n["foo#hot1"]):equals(30)
        expect(n["foo#hot2"]):equals(30)
    end)

    it("counts the copies that could not be deleted, and none that are not there", function()
        send("delete foo")
        expect(stat("hotkey_undropped")):equals(0)
        backend("a"):answers{ "STORED", "SERVER_ERROR busy", "NF" }
        send("set foo 0 0 1", "x")
        expect(stat("hotkey_undropped")):equals(1)
    end)

    it("makes a copy once, with the value's flags and at most ttl", function()
        for _ = 1, 3 do
            send("get foo")
        end
        local value, of = backend("a"):get("foo#hot1")
        expect(value):equals("bar")
        expect(of.flags):equals(5)
        expect(of.ttl):near(10, 1)
        expect(stat("hotkey_made")):equals(2)
        advance(11)
        expect(backend("a"):get("foo#hot1")):is_nil()
        backend("a"):set("foo", "bar", { flags = 5, ttl = 4 })
        for _ = 1, 3 do
            send("get foo")
        end
        local _, shorter = backend("a"):get("foo#hot1")
        expect(shorter.ttl):near(4, 1)
    end)

    it("makes a copy that goes when the item does, in its last second too", function()
        backend("a"):set("foo", "bar", { ttl = 4 })
        advance(3.1)
        send("get foo")
        expect((backend("a"):get("foo#hot1"))):equals("bar")
        advance(1)
        expect(backend("a"):get("foo#hot1")):is_nil()
    end)

    it("makes a copy for who gives the key in base64, and answers before it is stored", function()
        backend("a"):slow(1)
        local res = send("mg Zm9v b v")
        expect(res.text):equals("VA 3\r\nbar\r\n")
        expect(res.time):near(2, 0.1)
        advance(2)
        expect(seen()):equals{ "a: mg foo#hot1 v f c N5", "a: mg Zm9v v f t b", "a: ms foo#hot1 3 C2 T10 F5" }
        expect((backend("a"):get("foo#hot1"))):equals("bar")
    end)

    it("asks the key itself while another makes the copy", function()
        backend("a"):slow(1, 2)
        client():start("get foo")
        advance(1.1)
        for _ = 1, 3 do -- the fourth is the next for the first copy
            expect(send("get foo").text):equals(HIT)
        end
        expect(stat("hotkey_hits") or 0):equals(0)
    end)

    it("counts what copies answer", function()
        for _ = 1, 6 do
            send("get foo")
        end
        expect(stat("hotkey_hits")):equals(2)
        send("delete foo")
        expect(stat("hotkey_undropped") or 0):equals(0)
    end)

    it("does not keep what is older than a write that came meanwhile", function()
        backend("a"):slow(0.3)
        local read = client():start("get foo")
        advance(0.4)
        backend("a"):works()
        send("set foo 0 0 1", "x")
        read:wait()
        advance(5)
        expect(backend("a"):get("foo#hot1")):is_nil()
    end)

    for n, want in pairs{ [244] = true, [245] = false } do
        it((want and "copies" or "does not copy") .. " what has a key of " .. n .. " bytes", function()
            local key = ("k"):rep(n)
            send("get " .. key)
            expect(#seen() > 1):equals(want)
        end)
    end

    it("writes what has no copies once", function()
        expect(send("ms AAEC 1 b", "x").text):equals("HD\r\n")
        expect(seen()):equals{ "a: ms AAEC 1 b" }
    end)

    it("answers misses and keeps none", function()
        for _ = 1, 6 do
            expect(send("get none").text):equals("END\r\n")
            expect(send("mg none v").text):equals("EN\r\n")
        end
        advance(0.1)
        expect(backend("a"):get("none#hot1")):is_nil()
        expect(backend("a"):get("none#hot2")):is_nil()
    end)

    for _, c in ipairs{ "gets foo", "mg foo", "mg foo v c", "mg foo v t", "mg foo v N30", "mg foo v R5", "mg foo v h", "me foo", "mg foo v E5" } do
        it("asks the key itself for " .. c, function()
            for _ = 1, 3 do
                send(c)
            end
            expect(seen()):equals{ "a: " .. c, "a: " .. c, "a: " .. c }
        end)
    end

    for _, key in ipairs{ "AAEC", ("Y"):rep(248) } do
        it("has no copies of a key like " .. key:sub(1, 4), function()
            local c = key == "AAEC" and "mg AAEC b v" or "get " .. key
            for _ = 1, 3 do
                send(c)
            end
            expect(seen()):equals{ "a: " .. c, "a: " .. c, "a: " .. c }
        end)
    end

    for _, w in ipairs{
        { "set foo 0 0 1", "x" }, { "add foo 0 0 1", "x" }, { "replace foo 0 0 1", "x" }, { "append foo 0 0 1", "x" }, { "prepend foo 0 0 1", "x" },
        { "cas foo 0 0 1 999", "x" }, { "incr foo 1" }, { "delete foo" }, { "touch foo 100" }, { "gat 100 foo" }, { "mg foo v T100" },
        { "ms foo 1 T9", "x" }, { "ms Zm9v 1 b", "x" }, { "ms foo 1 MA", "x" }, { "ma foo" }, { "md foo" }, { "md Zm9v b" }, { "md foo I T3" },
        { "set foo 0 0 1 noreply", "x" }, { "md foo q" },
    } do
        it("drops the copies for " .. w[1], function()
            route("return a", "a")
            backend("a"):set("foo", "bar", { flags = 5 })
            local want = send(w[1], w[2]).text
            hotkey()
            for _ = 1, 6 do
                send("get foo")
            end
            expect((backend("a"):get("foo#hot2"))):equals("bar")
            seen()
            expect(send(w[1], w[2]).text):equals(want)
            advance(0.1)
            expect(seen()):equals{ "a: " .. w[1], "a: md foo#hot1", "a: md foo#hot2" }
            expect(backend("a"):get("foo#hot1")):is_nil()
            expect(backend("a"):get("foo#hot2")):is_nil()
        end)

        -- The copy is in the making, of the old value, when the write comes.
        it("drops a copy that is being made when " .. w[1] .. " comes", function()
            if w[1]:find("noreply") or w[1]:find(" q") then
                return
            end
            backend("a"):slow(0.3)
            local read = client():start("get foo")
            advance(0.5)
            local write = client():start(w[1], w[2])
            read:wait()
            write:wait()
            advance(5)
            backend("a"):works()
            expect((backend("a"):get("foo#hot1"))):is_nil()
        end)
    end

    -- What a copy answers other than a hit is no matter.
    for kind, late in pairs{ timeout = 3, down = 0, closed = 0 } do
        it("asks the key itself after a " .. kind .. " of a copy", function()
            backend("a"):fails(kind, 1)
            local res = send("get foo")
            expect(res.text):equals(HIT)
            expect(res.time):near(late, 0.2)
        end)
        it("answers " .. kind .. " of a write, and drops the copies", function()
            backend("a"):fails(kind, 1)
            expect(send("set foo 0 0 1", "x").text):equals("SERVER_ERROR backend failure\r\n")
            expect(#seen() >= 2):is_true()
        end)
    end

    it("asks the key itself after an error of a copy", function()
        backend("a"):answers{ "SERVER_ERROR busy" }
        expect(send("get foo").text):equals(HIT)
        backend("a"):answers("SERVER_ERROR busy")
        expect(send("get foo").text):equals("SERVER_ERROR busy\r\n")
    end)

    it("counts copies that it could not drop", function()
        backend("a"):answers{ "STORED", "SERVER_ERROR busy", "SERVER_ERROR busy" }
        expect(send("set foo 0 0 1", "x").text):equals("STORED\r\n")
        expect(stat("hotkey_undropped")):equals(2)
    end)

    it("does not copy what is stale or leased", function()
        send("md foo I T30")
        for _ = 1, 6 do
            send("get foo")
        end
        advance(0.1)
        expect(backend("a"):get("foo#hot1")):is_nil()
    end)
end)

describe("hotkey's threshold", function()
    it("is in reads a second", function()
        hotkey("threshold = 20")
        for _ = 1, 40 do
            send("get foo")
            advance(0.2) -- 5 a second
        end
        expect(keys(seen())):equals{ foo = 40 }
        for _ = 1, 300 do
            send("get foo")
            advance(0.01) -- 100 a second
        end
        local n = keys(seen())
        expect(n["foo#hot1"] > 50 and n["foo#hot2"] > 50):is_true()
        advance(10)
        send("get foo")
        send("get foo")
        send("get foo")
        expect(keys(seen())):equals{ foo = 3 }
    end)

    it("spreads over as many as there are replicas", function()
        hotkey("threshold = 0, replicas = 5")
        for _ = 1, 500 do
            send("get foo")
        end
        local n = keys(seen())
        for _, key in ipairs{ "foo#hot1", "foo#hot2", "foo#hot3", "foo#hot4" } do
            expect(n[key]):equals(100)
        end
        expect(n.foo):equals(104) -- and once for each copy
    end)
end)
