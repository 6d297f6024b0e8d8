-- Tests of near: what is kept and for how long, and that no write through the proxy is ever hidden by a copy.

local function near(fields)
    route("return require \"routes.near\"{ child = a, promote = 0" .. (fields or "") .. " }", "a")
    backend("a"):set("foo", "bar", { flags = 5 })
end

local HIT = "VALUE foo 5 3\r\nbar\r\nEND\r\n"

describe("near", function()
    before_each(function() near(", ttl = 10") end)

    it("answers from its copy", function()
        expect(send("get foo").text):equals(HIT)
        seen()
        local gets = send("gets foo").text
        expect(send("get foo").text):equals(HIT)
        expect(send("mg foo v f s k Oab").text):equals("VA 3 f5 s3 kfoo Oab\r\nbar\r\n")
        expect(send("mg foo v q").text):equals("VA 3\r\nbar\r\n")
        expect(send("mg Zm9v b v f").text):equals("VA 3 f5\r\nbar\r\n")
        expect(send("get foo foo").text):equals("VALUE foo 5 3\r\nbar\r\nVALUE foo 5 3\r\nbar\r\nEND\r\n")
        expect(seen()):equals{}
        route("return a", "a")
        expect(send("gets foo").text):equals(gets) -- the child's CAS
    end)

    -- What a copy does not know goes to the child.
    for _, c in ipairs{ "mg foo", "mg foo t v", "mg foo h v", "mg foo l v", "mg foo v E5", "mg foo v N30", "mg foo v R30", "mg foo s", "me foo",
        "mg Zm9v b v k", "me foo v" } do
        it("asks the child for " .. c, function()
            send("get foo")
            seen()
            send(c)
            expect(seen()):equals{ "a: " .. c }
        end)
    end

    it("keeps a copy for at most ttl", function()
        send("get foo")
        backend("a"):set("foo", "new")
        advance(8.5)
        expect(send("get foo").value):equals("bar")
        advance(1.5)
        expect(send("get foo").value):equals("new")
    end)

    it("does not outlive the item's own TTL", function()
        backend("a"):set("foo", "bar", { ttl = 3 })
        send("get foo")
        advance(2)
        expect(send("get foo").value):equals("bar")
        advance(1.1)
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("keeps an item until its last second, for no longer than that", function()
        backend("a"):set("foo", "x", { ttl = 4 })
        advance(3.1)
        expect(send("get foo").value):equals("x") -- its TTL is 1
        seen()
        expect(send("get foo").value):equals("x")
        expect(seen()):equals{}
        advance(1)
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("keeps a value of one byte", function()
        for _, sets in ipairs{ "pass", "delete" } do
            near(", ttl = 10, stale_sets = \"" .. sets .. "\"")
            backend("a"):set("foo", "x")
            send("get foo")
            seen()
            expect(send("get foo").text):equals("VALUE foo 0 1\r\nx\r\nEND\r\n")
            expect(seen()):equals{}
        end
    end)

    it("counts what it answers, keeps, and does not keep because of a write", function()
        for _ = 1, 3 do
            send("get foo")
        end
        expect(stat("near_hits")):equals(2)
        expect(stat("near_kept")):equals(1)
        send("touch foo 0")
        backend("a"):slow(1, 1)
        local read = client():start("get foo")
        advance(0.1)
        send("touch foo 0")
        read:wait()
        expect(stat("near_refused")):equals(1)
    end)

    it("does not answer from its copy while a write is under way", function()
        send("get foo")
        backend("a"):slow(1, 1)
        local write = client():start("set foo 0 0 1", "x")
        advance(0.1)
        seen()
        expect(send("get foo").value):equals("x")
        expect(#seen()):equals(1)
        write:wait()
    end)

    it("keeps what is read after a write that the child refused", function()
        expect(send("add foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
        send("get foo")
        seen()
        send("get foo")
        expect(seen()):equals{}
    end)

    it("has its copy still after a read that may make an item", function()
        send("get foo")
        for _, c in ipairs{ "mg foo v N30", "mg foo v R1" } do
            send(c)
            seen()
            send("get foo")
            expect(seen()):equals{}
        end
    end)

    it("keeps neither misses nor empty values nor errors", function()
        for _, key in ipairs{ "none", "empty" } do
            backend("a"):set("empty", "")
            seen()
            local first = send("get " .. key).text
            expect(send("get " .. key).text):equals(first)
            expect(#seen()):equals(2)
        end
        for _, text in ipairs{ "SERVER_ERROR busy", "CLIENT_ERROR no" } do
            backend("a"):answers{ text }
            expect(send("get foo").text):equals(text .. "\r\n")
        end
        expect(send("get foo").text):equals(HIT)
        expect(stat("near_kept")):equals(1)
    end)

    it("does not keep what is stale or has a lease", function()
        send("md foo I T30")
        seen()
        expect(send("get foo").text):equals(HIT)
        expect(send("get foo").text):equals(HIT)
        expect(#seen()):equals(2)
        expect(send("mg lease v N30").text):equals("VA 0 W\r\n\r\n")
        expect(send("get lease").text):equals("VALUE lease 0 0\r\n\r\nEND\r\n")
        expect(send("set lease 0 0 1", "x").text):equals("STORED\r\n")
        expect(send("get lease").value):equals("x")
    end)

    -- Every write drops the copy, whoever sends it and however the key is written.
    local WRITES = {
        { "set foo 0 0 1", "x" }, { "set foo 0 0 1 noreply", "x" }, { "add foo 0 0 1", "x" }, { "replace foo 0 0 1", "x" },
        { "append foo 0 0 1", "x" }, { "prepend foo 0 0 1", "x" }, { "cas foo 0 0 1 999", "x" }, { "incr foo 1" }, { "decr foo 1" },
        { "delete foo" }, { "delete foo noreply" }, { "touch foo 100" }, { "gat 100 foo" }, { "gats 100 foo" }, { "mg foo v T100" },
        { "ms foo 1 T9", "x" }, { "ms foo 1 q", "x" }, { "ms Zm9v 1 b", "x" }, { "ms foo 1 MA", "x" }, { "ma foo" }, { "md foo" },
        { "md Zm9v b q" }, { "md foo I T3" },
    }
    for _, w in ipairs(WRITES) do
        it("drops the copy for " .. w[1], function()
            send("get foo")
            backend("a"):set("foo", "new") -- behind the proxy's back
            expect(send("get foo").value):equals("bar")
            local plain, quiet = w[1]:find("noreply"), w[1]:find(" q")
            local res = client():start(w[1], w[2])
            advance(0.01)
            if not plain and not quiet then
                res:wait()
            end
            seen()
            send("get foo")
            expect(#seen()):equals(1)
        end)

        -- A read that is under way when the write begins is answered, and not kept; whichever of them the child does first.
        for _, order in ipairs{ "read first", "write first" } do
            it("does not keep a read that " .. w[1] .. " overtakes, " .. order, function()
                if w[1]:find("noreply") or w[1]:find(" q") then
                    return
                end
                backend("a"):slow(order == "read first" and 1 or 2, 1)
                local read = client():start("get foo")
                advance(0.1)
                backend("a"):slow(order == "read first" and 2 or 0.1, 1)
                local write = client():start(w[1], w[2])
                read:wait()
                write:wait()
                advance(3)
                backend("a"):works()
                seen()
                send("get foo")
                expect(#seen()):equals(1)
            end)
        end

        it("keeps nothing while " .. w[1] .. " is under way", function()
            if w[1]:find("noreply") or w[1]:find(" q") then
                return
            end
            backend("a"):slow(1, 1)
            local write = client():start(w[1], w[2])
            advance(0.1)
            send("get foo")
            write:wait()
            seen()
            send("get foo")
            expect(#seen()):equals(1)
        end)

        -- A write that was not answered may be done later.
        for _, kind in ipairs{ "timeout", "closed", "down" } do
            it("keeps nothing for a while after a " .. kind .. " of " .. w[1], function()
                if w[1]:find("noreply") or w[1]:find(" q") then
                    return
                end
                send("get foo")
                backend("a"):fails(kind, 1)
                expect(send(w[1], w[2]).text):equals("SERVER_ERROR backend failure\r\n")
                backend("a"):works()
                for _ = 1, 4 do
                    seen()
                    send("get foo")
                    send("get foo")
                    expect(#seen()):equals(2)
                    advance(3)
                end
                advance(2)
                send("get foo")
                seen()
                send("get foo")
                expect(#seen()):equals(0)
            end)
        end
    end

    it("drops a read that was sent before a write began, before the write is answered", function()
        backend("a"):slow(1, 1)
        local read = client():start("get foo")
        advance(0.1)
        backend("a"):slow(2, 1)
        local write = client():start("set foo 0 0 1", "x")
        expect(read:wait().text):equals(HIT)
        backend("a"):works()
        seen()
        send("get foo")
        expect(#seen()):equals(1)
        expect(stat("near_refused")):equals(1)
        write:wait()
        send("get foo")
        expect(send("get foo").value):equals("x")
        expect(stat("near_hits")):equals(1)
    end)

    it("keeps again after a write that changed nothing", function()
        for _, w in ipairs{ { "add foo 0 0 1", "x" }, { "delete none" }, { "touch none 1" }, { "cas foo 0 0 1 999", "x" } } do
            send(w[1], w[2])
            local key = w[1]:match("^%a+ (%a+)")
            backend("a"):set(key, "bar")
            send("get " .. key)
            seen()
            send("get " .. key)
            expect(seen()):equals{}
        end
    end)

    it("keeps its copy beside leases of meta clients", function()
        send("get foo")
        send("mg foo v N30")
        send("mg foo v R5")
        seen()
        expect(send("get foo").text):equals(HIT)
        expect(seen()):equals{}
    end)

    it("keeps values of one byte, for at most the item's last second", function()
        backend("a"):set("one", "1", { ttl = 1 })
        send("get one")
        seen()
        expect(send("get one").value):equals("1")
        expect(seen()):equals{}
        advance(1.1)
        expect(send("get one").text):equals("END\r\n")
    end)

    for kind, want in pairs{ timeout = 3, down = 0, closed = 0 } do
        it("answers " .. kind .. " of the child, and keeps what comes after", function()
            backend("a"):fails(kind, 1)
            local res = send("get foo")
            expect(res.text):equals("SERVER_ERROR backend failure\r\n")
            expect(res.time):near(want, 0.01)
            advance(5)
            backend("a"):works()
            send("get foo")
            seen()
            expect(send("get foo").text):equals(HIT)
            expect(seen()):equals{}
        end)
    end

    it("answers the child's answer to writes", function()
        for _, w in ipairs(WRITES) do
            if not w[1]:find("noreply") then
                backend("a"):set("foo", "bar", { flags = 5 })
                local got = send(w[1], w[2]).text:gsub("%d%d%d+", "n")
                expect(got):equals((got:gsub("SERVER_ERROR.*", "")))
            end
        end
    end)
end)

describe("near's promoter", function()
    it("keeps a key from so many reads a second on", function()
        near(", promote = 5, ttl = 1")
        for _ = 1, 100 do
            send("get foo")
            advance(0.02) -- 50 a second
        end
        expect(#seen() < 20):is_true()
        expect(stat("near_kept") >= 1):is_true()
        for _ = 1, 20 do
            advance(1) -- 1 a second
            send("get other")
        end
        expect(#seen()):equals(20)
    end)

    it("forgets that a key was hot", function()
        near(", promote = 5, ttl = 1")
        for _ = 1, 100 do
            send("get foo")
        end
        advance(20)
        seen()
        send("get foo")
        send("get foo")
        expect(#seen()):equals(2)
    end)

    it("is a function", function()
        route([[return require "routes.near"{ child = a, ttl = 60, promote = function(key, rate)
            return key == "foo" and rate > 0
        end }]], "a")
        backend("a"):set("foo", "bar")
        backend("a"):set("fox", "bar")
        for _ = 1, 3 do
            send("get foo")
            send("get fox")
            send("mg Zm94 b v")
        end
        expect(seen()):equals{ "a: mg foo v f c t", "a: get fox", "a: mg Zm94 b v", "a: get fox", "a: mg Zm94 b v", "a: get fox",
            "a: mg Zm94 b v" }
    end)

    it("keeps binary keys, and no copy of a text key that was asked for in base64", function()
        near(", ttl = 10")
        send("ms AAEC 3 b", "bin")
        for _ = 1, 2 do
            expect(send("mg AAEC b v").text):equals("VA 3\r\nbin\r\n")
            send("mg Zm9v b v")
        end
        expect(seen()):equals{ "a: ms AAEC 3 b", "a: mg AAEC b v f c t", "a: mg Zm9v b v", "a: mg Zm9v b v" }
    end)

    for text, want in pairs{
        ["promote = true"] = "near.promote: want a number, or a function of key and rate, got a boolean",
        ["ttl = 0"] = "near.ttl: want at least 1",
        ["size = 1"] = "near.size: want at least 2097152",
        ["stale_sets = \"drop\""] = "near.stale_sets: want one of",
    } do
        it("refuses " .. text, function()
            expect(function() route("return require \"routes.near\"{ child = a, " .. text .. " }", "a") end):errors(want)
        end)
    end
end)

describe("near's stale sets", function()
    for _, set in ipairs{
        { "set foo 7 60 1", "x", "STORED\r\n" },
        { "ms foo 1 F7 T60", "x", "HD\r\n" },
        { "ms foo 1 F7 T60 Oa", "x", "HD Oa\r\n" },
    } do
        it("become deletes for " .. set[1], function()
            near(", ttl = 10, stale_sets = \"delete\"")
            send("get foo")
            expect(send("get foo").text):equals(HIT)
            backend("a"):set("foo", "new")
            seen()
            expect(send(set[1], set[2]).text):equals(set[3])
            expect(backend("a"):get("foo")):is_nil()
            expect(stat("near_stale_sets")):equals(1)
            expect(send(set[1], set[2]).text):equals(set[3]) -- it has read nothing since
            local value, of = backend("a"):get("foo")
            expect(value):equals("x")
            expect(of.flags):equals(7)
            expect(of.ttl):near(60, 1)
        end)

        it("pass if nothing is newer: " .. set[1], function()
            near(", ttl = 10, stale_sets = \"delete\"")
            send("get foo")
            send("mg foo v")
            expect(send(set[1], set[2]).text):equals(set[3])
            local value, of = backend("a"):get("foo")
            expect(value):equals("x")
            expect(of.flags):equals(7)
            expect(of.ttl):near(60, 1)
        end)

        it("of clients that have read no copy are not looked at: " .. set[1], function()
            near(", ttl = 10, stale_sets = \"delete\"")
            send("get foo") -- from the child
            backend("a"):set("foo", "new")
            expect(client():send(set[1], set[2]).text):equals(set[3])
            expect((backend("a"):get("foo"))):equals("x")
        end)

        it("pass as they are without the field: " .. set[1], function()
            near(", ttl = 10")
            send("get foo")
            send("get foo")
            backend("a"):set("foo", "new")
            expect(send(set[1], set[2]).text):equals(set[3])
            expect((backend("a"):get("foo"))):equals("x")
        end)
    end

    it("become deletes of what is gone", function()
        near(", ttl = 10, stale_sets = \"delete\"")
        send("get foo")
        send("get foo")
        expect(client():send("delete foo").text):equals("DELETED\r\n")
        expect(send("set foo 0 0 1", "x").text):equals("STORED\r\n")
        expect(backend("a"):get("foo")):is_nil()
    end)

    it("pass if the client has read the child's since", function()
        near(", ttl = 1, stale_sets = \"delete\"")
        send("get foo")
        send("get foo")
        advance(2)
        backend("a"):set("foo", "new")
        expect(send("get foo").value):equals("new")
        backend("a"):set("foo", "newer")
        send("set foo 0 0 1", "x")
        expect((backend("a"):get("foo"))):equals("x")
    end)

    it("are forgotten when the client reads from the child", function()
        near(", ttl = 10, stale_sets = \"delete\"")
        send("get foo")
        send("get foo") -- a copy
        client():send("set foo 0 0 3", "new")
        expect(send("get foo").value):equals("new") -- from the child
        backend("a"):set("foo", "newer")
        expect(send("set foo 0 0 1", "x").text):equals("STORED\r\n")
        expect((backend("a"):get("foo"))):equals("x")
    end)

    it("answer an error when the child does", function()
        near(", ttl = 10, stale_sets = \"delete\"")
        send("get foo")
        send("get foo")
        backend("a"):answers{ "SERVER_ERROR busy" }
        expect(send("set foo 0 0 1", "x").text):equals("SERVER_ERROR busy\r\n")
        send("get foo")
        send("get foo")
        backend("a"):set("foo", "new")
        advance(0.1)
        send("set foo 0 0 1", "x")
        expect((backend("a"):get("foo"))):equals("x")
    end)
end)
