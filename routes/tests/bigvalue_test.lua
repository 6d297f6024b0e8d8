-- Tests of bigvalue: values come back whole, no chunk is left behind, and a read beside a replace gives the old or the new.

local BIG, BIG2, SMALL = ("0123456789"):rep(25), ("abcdefghij"):rep(33), "bar"

local function bigvalue(fields)
    route("return require \"routes.bigvalue\"{ child = a, threshold = 100, max_chunks = 5" .. (fields or "") .. " }", "a")
end

-- chunks gives the keys of all chunks that have been stored, and are there now.
local stored = {}
local function chunks()
    for _, line in ipairs(seen()) do
        local key = line:match("^a: ms (%S+#%x+#%d+) ")
        if key then
            stored[key] = true
        end
    end
    local there = {}
    for key in pairs(stored) do
        if backend("a"):get(key) then
            there[#there + 1] = key
        end
    end
    return there
end

describe("bigvalue", function()
    before_each(function()
        stored = {}
        bigvalue()
    end)

    for n, size in ipairs{ 0, 1, 99, 100, 101, 200, 201, 499, 500 } do
        it("gives back a value of " .. size .. " bytes", function()
            local value = BIG2:rep(2):sub(n, n + size - 1)
            expect(send("set foo 5 0 " .. size, value).text):equals("STORED\r\n")
            expect(send("get foo").text):equals("VALUE foo 5 " .. size .. "\r\n" .. value .. "\r\nEND\r\n")
            expect(send("mg foo v f s k t Oab").text):equals("VA " .. size .. " f5 s" .. size .. " kfoo t-1 Oab\r\n" .. value .. "\r\n")
            expect(send("mg foo s f").text):equals("HD s" .. size .. " f5\r\n")
            expect(send("mg Zm9v b v").text):equals("VA " .. size .. "\r\n" .. value .. "\r\n")
            expect(send("gat 50 foo").value):equals(value)
            expect(#chunks()):equals(size > 100 and math.ceil(size / 100) or 0)
            expect(send("delete foo").text):equals("DELETED\r\n")
            expect(send("get foo").text):equals("END\r\n")
            expect(#chunks()):equals(0)
        end)
    end

    it("refuses what is larger than all chunks", function()
        send("set foo 0 0 3", "old")
        expect(send("set foo 0 0 501", ("x"):rep(501)).text):equals("SERVER_ERROR object too large for cache\r\n")
        expect(send("get foo").value):equals("old")
        expect(#chunks()):equals(0)
    end)

    it("takes eight megabytes", function()
        route("return require \"routes.bigvalue\"{ child = a }", "a")
        local value = ("0123456789abcdef"):rep(60000)
        expect(send("set foo 0 0 " .. #value, value).text):equals("STORED\r\n")
        expect(send("get foo").value == value):is_true()
    end)

    it("keeps what looks like an index", function()
        send("set foo 0 0 250", BIG)
        local index = backend("a"):get("foo")
        for _, w in ipairs{ "set fox 0 0 " .. #index, "ms fox " .. #index } do
            send(w, index)
            expect(send("get fox").value):equals(index)
            expect(send("delete fox").text):equals("DELETED\r\n")
        end
        send("delete foo")
        expect(#chunks()):equals(0)
    end)

    -- Everything that stores, over everything that may be there: the answer and the value are what a child without the handler has, and of
    -- chunks there are those of the present value.
    local FORMS = {
        { "set foo 7 100 %d", "x" }, { "add foo 7 100 %d", "x" }, { "replace foo 7 100 %d", "x" }, { "cas foo 7 100 %d 999999", "x" },
        { "cas foo 7 100 %d CAS", "x" }, { "ms foo %d F7 T100 k Oq", "x" }, { "ms foo %d ME F7 T100", "x" }, { "ms foo %d MR s", "x" },
        { "ms foo %d C999999", "x" }, { "ms foo %d CCAS F7", "x" }, { "ms Zm9v %d b F7", "x" }, { "ms foo %d MS q", "x" },
        { "ms foo %d E77 F7", "x" }, { "ms foo %d Mx", "x" }, { "ms foo %d M", "x" }, { "ms foo %d ME C999999", "x" }, { "ms foo %d ME CCAS", "x" },
        { "ms foo %d Ms", "x" }, { "ms foo %d Madd", "x" }, { "ms foo %d MSet", "x" }, { "ms foo %d MEx", "x" }, { "ms foo %d MRx", "x" },
    }
    local function there(what)
        if what then
            send("set foo 3 0 " .. #what, what)
        end
    end
    for _, form in ipairs(FORMS) do
        for was, before in pairs{ nothing = false, small = SMALL, big = BIG } do
            for to, after in pairs{ small = SMALL .. "2", big = BIG2 } do
                it(form[1] .. " of a " .. to .. " value over " .. was, function()
                    local function run()
                        there(before)
                        local cas = send("gets foo").text:match("^VALUE foo %d+ %d+ (%d+)") or "1"
                        local res = send((form[1]:format(#after):gsub("CAS", cas)), after)
                        local now = send("mg foo v f t")
                        local given = send("mg foo c").line == "HD c77" and form[1]:find("E77")
                        return res.text, now.text .. (given and " 77" or "")
                    end
                    local text, now = run()
                    local index = #chunks()
                    local big = now:match("^VA (%d+)")
                    expect(index):equals(big and tonumber(big) > 100 and math.ceil(big / 100) or 0)
                    route("return b", "b")
                    local want, want_now = run()
                    expect(text):equals(want)
                    expect(now):equals(want_now)
                end)
            end
        end
    end

    for _, form in ipairs{ "delete foo", "md foo", "md foo q", "md Zm9v b k", "md foo x", "md foo C999999", "md foo CCAS" } do
        for was, before in pairs{ nothing = false, small = SMALL, big = BIG } do
            it(form .. " of " .. was, function()
                local function run()
                    there(before)
                    local cas = send("gets foo").text:match("^VALUE foo %d+ %d+ (%d+)") or "1"
                    return send((form:gsub("CAS", cas))).text, send("mg foo v f").text
                end
                local text, now = run()
                expect(#chunks()):equals(now:find("^VA 250") and 3 or 0)
                route("return b", "b")
                local want, want_now = run()
                expect(text):equals(want)
                expect(now):equals(want_now)
            end)
        end
    end

    for _, form in ipairs{ "append foo 0 0 2", "prepend foo 0 0 2", "ms foo 2 MA", "ms foo 2 MP", "ms foo 2 MA N100", "ms Zm9v 2 b MA",
        "ms foo 2 MAx", "ms foo 2 MPx" } do
        for was, before in pairs{ nothing = false, small = SMALL } do
            it(form .. " to " .. was, function()
                local function run()
                    there(before)
                    return send(form, "xy").text, send("mg foo v f").text
                end
                local text, now = run()
                route("return b", "b")
                local want, want_now = run()
                expect(text):equals(want)
                expect(now):equals(want_now)
            end)
        end
        it(form .. " to big is refused", function()
            there(BIG)
            expect(send(form, "xy").text):equals("SERVER_ERROR this value is cut into chunks and cannot be changed in place\r\n")
            expect(send("get foo").value):equals(BIG)
        end)
    end

    for _, c in ipairs{ "incr foo 1", "decr foo 1" } do
        it("does not count a big value by " .. c, function()
            there(BIG)
            expect(send(c).text):matches("^CLIENT_ERROR")
            expect(send("get foo").value):equals(BIG)
        end)
    end

    for _, c in ipairs{ "touch foo 50", "gat 50 foo", "gats 50 foo", "mg foo T50", "mg foo v T50", "mg foo s T50", "mg Zm9v b T50" } do
        it("touches the chunks too by " .. c, function()
            send("set foo 0 10 250", BIG)
            send(c)
            advance(45)
            expect(send("get foo").value):equals(BIG)
            advance(6)
            expect(send("get foo").text):equals("END\r\n")
            expect(#chunks()):equals(0)
        end)
    end
    it("touches nothing that is not there", function()
        expect(send("touch foo 5").text):equals("NOT_FOUND\r\n")
        send("set foo 0 0 3", SMALL)
        expect(send("touch foo 5").text):equals("TOUCHED\r\n")
    end)

    it("gives chunks the value's TTL", function()
        send("set foo 0 10 250", BIG)
        advance(11)
        expect(send("get foo").text):equals("END\r\n")
        expect(#chunks()):equals(0)
    end)

    it("is a miss when a chunk is gone, and cleans up", function()
        send("set foo 0 0 250", BIG)
        local keys = chunks()
        table.sort(keys)
        route("return a", "a")
        send("delete " .. keys[2])
        bigvalue()
        expect(send("get foo").text):equals("END\r\n")
        expect(backend("a"):get("foo")):is_nil()
        expect(#chunks()):equals(0)
        expect(stat("bigvalue_lost")):equals(1)
    end)

    it("takes binary and long keys", function()
        for _, key in ipairs{ "AAEC", "Zm9v" } do
            send("ms " .. key .. " 250 b", BIG)
            expect(send("mg " .. key .. " b v").text):equals("VA 250\r\n" .. BIG .. "\r\n")
        end
        local key = ("k"):rep(250)
        expect(send("set " .. key .. " 0 0 250", BIG).text):equals("STORED\r\n")
        expect(send("get " .. key).value):equals(BIG)
    end)

    it("refuses ms with I, and lets md with I be", function()
        send("set foo 0 0 250", BIG)
        expect(send("ms foo 3 I C1", "bar").text):matches("^CLIENT_ERROR")
        expect(send("md foo I T30").text):equals("HD\r\n")
        expect(send("mg foo v").text):equals("VA 250 X W\r\n" .. BIG .. "\r\n")
        expect(send("mg foo v").text):equals("VA 250 Z X\r\n" .. BIG .. "\r\n")
    end)

    it("leaves leases alone", function()
        expect(send("mg foo v N30").text):equals("VA 0 W\r\n\r\n")
        send("set foo 0 0 250", BIG)
        expect(send("mg foo v N30").text):equals("VA 250\r\n" .. BIG .. "\r\n")
    end)

    -- Reads at every moment of a replace or a delete: old, new, or (of a delete) a miss, and whole.
    for _, w in ipairs{ { "set foo 0 0 330", BIG2 }, { "set foo 0 0 3", SMALL }, { "delete foo" }, { "ms foo 330", BIG2 }, { "md foo" } } do
        for at = 0, 1.2, 0.05 do
            it("is whole beside " .. w[1] .. " at " .. at, function()
                send("set foo 0 0 250", BIG)
                backend("a"):slow(0.2)
                local read = client():start("get foo")
                local write
                if at < 0.6 then
                    advance(at)
                    write = client():start(w[1], w[2])
                else
                    write = client():start(w[1], w[2])
                    advance(at - 0.6)
                    read = client():start("get foo")
                end
                local value = read:wait().value
                expect(value == BIG or value == w[2] or value == nil and w[2] == nil):is_true()
                expect(write:wait().error):is_false()
                backend("a"):works()
                expect(send("get foo").value):equals(w[2])
                expect(#chunks()):equals(w[2] == BIG2 and 4 or 0)
            end)
        end
    end

    -- Two writers at once: one of the two values is there, and no other's chunks.
    for at = 0, 0.9, 0.1 do
        for _, w in ipairs{ { "set foo 0 0 250", BIG }, { "delete foo" }, { "set foo 0 0 3", SMALL }, { "add foo 0 0 250", BIG } } do
            it("keeps one of two writers' chunks, " .. w[1] .. " at " .. at, function()
                backend("a"):slow(0.2)
                local x = client():start("set foo 0 0 330", BIG2)
                advance(at)
                local y = client():start(w[1], w[2])
                expect(x:wait().error):is_false()
                expect(y:wait().error):is_false()
                backend("a"):works()
                local value = send("get foo").value
                expect(value == BIG2 or value == w[2]):is_true()
                expect(#chunks()):equals(value and #value > 100 and math.ceil(#value / 100) or 0)
            end)
        end
    end

    -- Failures, at every request of a write or read.
    for _, w in ipairs{ { "set foo 0 0 330", BIG2 }, { "delete foo" }, { "get foo" }, { "add new 0 0 250", BIG }, { "touch foo 9" } } do
        for nth = 1, 6 do
            for _, kind in ipairs{ "SERVER_ERROR busy", "closed" } do
                it("answers an error or succeeds when request " .. nth .. " of " .. w[1] .. " ends in " .. kind, function()
                    send("set foo 0 0 250", BIG)
                    seen()
                    backend("a"):slow(0.1)
                    local call = client():start(w[1], w[2])
                    advance(math.max(0, 0.1 * nth - 0.15))
                    if kind == "closed" then
                        backend("a"):fails("closed", 1)
                    else
                        backend("a"):answers{ kind }
                    end
                    local res = call:wait()
                    backend("a"):works()
                    if not res.error then
                        local value = send("get " .. (w[1]:find("new") and "new" or "foo")).value
                        expect(value == BIG or value == BIG2 or value == nil):is_true()
                    end
                    local value = send("get foo").value
                    expect(value == BIG or value == BIG2 or value == nil):is_true()
                end)
            end
        end
    end

    it("deletes the chunks of a set that fails", function()
        backend("a"):answers{ "HD", "SERVER_ERROR out of memory" }
        expect(send("set foo 0 0 250", BIG).text):equals("SERVER_ERROR out of memory\r\n")
        expect(#chunks()):equals(0)
    end)

    for text, want in pairs{
        ["threshold = 10"] = "bigvalue.threshold: want at least 100",
        ["max_chunks = 101"] = "bigvalue.max_chunks: want at most 100",
    } do
        it("refuses " .. text, function()
            expect(function() route("return require \"routes.bigvalue\"{ child = a, " .. text .. " }", "a") end):errors(want)
        end)
    end
end)
