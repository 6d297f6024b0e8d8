-- Tests of fill: what the child and the origin are sent, request by request, who waits for whom, and for how long.

local MISS, LATE = "END\r\n", "SERVER_ERROR the value is still being loaded\r\n"
local ASK = "mg foo v f c t" -- and N, where it is to be loaded

local function fill(fields)
    route("return require \"routes.fill\"{ child = a, origin = b, jitter = 0" .. (fields or "") .. " }", "a", "b")
end

-- lines expects what the child was sent, and how often the origin was asked.
local function lines(child, loads)
    local sent = backend("a"):seen()
    for i, line in ipairs(sent) do
        sent[i] = line:gsub(" C%d+", " C")
    end
    expect(sent):equals(child)
    expect(#backend("b"):seen()):equals(loads)
end

describe("fill: a read", function()
    before_each(function()
        fill()
        backend("b"):set("foo", "x", { flags = 5 })
    end)
    for _, line in ipairs{ "get foo", "gets foo", "mg foo v", "mg foo v t" } do
        it("costs nothing more where there is a value: " .. line, function()
            backend("a"):set("foo", "x")
            send(line)
            lines({ line }, 0)
        end)
    end
    it("without a value asks for it", function()
        backend("a"):set("foo", "x")
        send("mg foo f")
        lines({ ASK }, 0)
    end)
    it("asks what is to be touched first", function()
        backend("a"):set("foo", "x")
        send("gat 50 foo")
        lines({ ASK, "gat 50 foo" }, 0)
    end)
    it("claims, loads and stores", function()
        expect(send("get foo").value):equals("x")
        lines({ "get foo", ASK .. " N3", "ms foo 1 C T60 F5 c" }, 1)
        expect({ stat("fill_loads"), stat("fill_none"), stat("fill_failed"), stat("fill_waited") }):equals{ 1, 0, 0, 0 }
    end)
    it("claims for its timeout and two seconds, whole ones", function()
        fill(", timeout = 1.5")
        send("get foo")
        lines({ "get foo", ASK .. " N4", "ms foo 1 C T60 F5 c" }, 1)
    end)
    it("drops its claim where there is none, or the load fails", function()
        expect(send("get none").text):equals(MISS)
        lines({ "get none", "mg none v f c t N3", "md none C" }, 1)
        expect({ stat("fill_none"), stat("fill_failed") }):equals{ 1, 0 }
        backend("b"):answers("SERVER_ERROR no")
        expect(send("get foo").text):equals("SERVER_ERROR no\r\n")
        lines({ "get foo", ASK .. " N3", "md foo C" }, 1)
        expect({ stat("fill_none"), stat("fill_failed") }):equals{ 1, 1 }
    end)
    it("gives an error of the claim", function()
        backend("a"):answers{ "END", "SERVER_ERROR busy" }
        expect(send("get foo").text):equals("SERVER_ERROR busy\r\n")
        lines({ "get foo", ASK .. " N3" }, 0)
    end)
    it("loads what the child has no room for, and does not store it", function()
        backend("a"):answers{ "END", "EN" }
        expect(send("get foo").value):equals("x")
        lines({ "get foo", ASK .. " N3" }, 1)
    end)
    it("takes what another has stored before the claim, also if it is stale", function()
        for _, marks in ipairs{ "", " X Z" } do
            backend("a"):answers{ "END", "VA 1 f0 c5 t10" .. marks .. "\r\ny" }
            expect(send("get foo").value):equals("y")
            lines({ "get foo", ASK .. " N3" }, 0)
        end
    end)
    it("looks five times for what another proxy loads, at longer and longer intervals, for its timeout", function()
        send("mg foo v N30")
        seen()
        local times, call = {}, start("get foo")
        advance(0.005)
        for i = 0, 150 do
            for _ = 1, #backend("a"):seen() do
                times[#times + 1] = i
            end
            advance(0.01)
        end
        expect(call:done()):is_true()
        expect(times):equals{ 0, 0, 7, 20, 47, 100 } -- in hundredths: the read, then looks
        expect(#backend("b"):seen()):equals(1)
    end)
end)

describe("fill: what is kept", function()
    -- stored is the TTL with which a value is, with these fields, that the getter gives with a TTL
    local function stored(ttl, fields)
        route("return require \"routes.fill\"{ child = a, jitter = 0, getter = function() return \"x\", " .. ttl .. " end" .. fields .. " }", "a")
        send("get foo")
        local text = table.concat(backend("a"):seen(), "\n"):match("ms foo %d C%d+ T(%d+)")
        send("delete foo")
        return tonumber(text)
    end
    it("is so for ttl, or less if the source says so", function()
        for _, d in ipairs{
            { "nil", "", 60 }, { "0", "", 60 }, { "-1", "", 60 }, { "1", "", 1 }, { "59", "", 59 }, { "60", "", 60 }, { "61", "", 60 },
            { "2000000", ", ttl = 0", 2000000 }, { "2000001", ", ttl = 0, stale_while = 500000", 2500000 }, { "31536000", ", ttl = 0", 2000000 },
            { "nil", ", ttl = 0", 0 }, { "50", ", ttl = 0", 50 }, { "nil", ", ttl = 1", 1 }, { "nil", ", ttl = 1, stale_while = 5", 6 },
        } do
            expect(stored(d[1], d[2])):equals(d[3])
        end
    end)
    it("may be for a second that there is none", function()
        fill(", negative = 1")
        send("get none")
        expect(send("get none").text):equals(MISS)
        lines({ "get none", "mg none v f c t N3", "ms none 0 C T1 F1853190003 c", "get none", "mg none v f c t N3" }, 1)
        advance(1.1)
        send("get none")
        expect(#backend("b"):seen()):equals(1)
    end)
end)

describe("fill: who waits", function()
    before_each(function()
        fill()
        backend("b"):set("foo", "x")
    end)
    it("does so for twice the timeout and a second", function()
        fill(", timeout = 2")
        backend("a"):slow(0, 2)
        backend("a"):slow(2.9) -- the claim and the store
        local first, second = start("get foo"), start("get foo")
        local res = second:wait()
        expect(res.text):equals(LATE)
        expect(res.time):near(5, 1e-6)
        expect(first:wait().value):equals("x")
        expect(stat("fill_waited")):equals(0)
    end)
    it("begins anew after each write, however many there are", function()
        backend("b"):slow(0.9)
        local calls = {}
        for i = 1, 8 do
            calls[i] = start("get foo")
        end
        for _ = 1, 6 do
            advance(0.1)
            expect(client():send("delete foo").error):is_false()
        end
        for i = 1, 8 do
            expect(calls[i]:wait().line):equals("VALUE foo 0 1")
        end
        expect(stat("fill_loads")):equals(7) -- the last has waited for the seventh
    end)
    it("does so for twice the timeout and a second altogether", function()
        advance(1)
        backend("b"):slow(0.9)
        local calls = {}
        for i = 1, 40 do
            calls[i] = start("get foo")
        end
        for _ = 1, 35 do
            advance(0.1)
            client():send("delete foo")
        end
        local res = calls[40]:wait()
        expect(res.text):equals(LATE)
        expect(res.time):near(3, 1e-6)
    end)
    it("is not disturbed by what reads", function()
        backend("b"):slow(0.5)
        local first, second = start("get foo"), start("get foo")
        advance(0.1)
        client():send("me foo")
        client():send("mg foo v N30")
        expect(first:wait().value):equals("x")
        local res = second:wait()
        expect(res.value):equals("x")
        expect(res.time):near(0.5, 1e-6)
        expect(#backend("b"):seen()):equals(1)
    end)
    it("gets nothing that was there before a set, however soon that has gone", function()
        backend("b"):slow(0.5, 1)
        local first = start("get foo")
        advance(0.1)
        client():send("set foo 0 -1 1", "y")
        backend("b"):set("foo", "z")
        expect(client():send("get foo").value):equals("z")
        expect(first:wait().value):equals("x")
    end)
end)

describe("fill: stale values", function()
    before_each(function()
        fill(", ttl = 10, stale_while = 20")
        backend("b"):set("foo", "new")
    end)
    -- what reads of a value with this TTL cost; told: how often it was called stale, loads: of the origin
    for _, d in ipairs{ { nil, 0, 0 }, { 21, 0, 0 }, { 20, 1, 1 }, { 1, 1, 1 } } do
        it("are those whose TTL is stale_while or less: " .. tostring(d[1]), function()
            backend("a"):set("foo", "o", { ttl = d[1] })
            expect(send("get foo").value):equals("o")
            advance(0)
            expect(#backend("b"):seen()):equals(d[3])
            expect(stat("fill_stale")):equals(d[2])
        end)
    end
    it("may be so for a second", function()
        fill(", ttl = 10, stale_while = 1")
        backend("a"):set("foo", "o", { ttl = 1 })
        expect(send("get foo").value):equals("o")
        expect(stat("fill_stale")):equals(1)
    end)
    -- what the look in the background finds, and whether it loads
    for answer, load in pairs{
        ["VA 1 f0 c6 t21\r\nx"] = false, ["VA 1 f0 c6 t-1\r\nx"] = false, ["VA 1 f0 c6 t20\r\nx"] = true, ["VA 1 f0 c6 t1\r\nx"] = true,
        ["EN"] = false, ["SERVER_ERROR busy"] = false,
    } do
        it("are looked at again before they are loaded: " .. answer:sub(1, 16), function()
            backend("a"):answers{ "VA 1 f0 c5 t5\r\no", answer, "HD c7" }
            expect(send("get foo").value):equals("o")
            advance(0)
            lines(load and { ASK, ASK, "ms foo 3 C T30 F0 c" } or { ASK, ASK }, load and 1 or 0)
        end)
    end
    it("are loaded by one, for whom nobody waits", function()
        backend("a"):set("foo", "o", { ttl = 5 })
        backend("b"):slow(0.5)
        for _ = 1, 5 do
            expect(client():send("get foo").time):equals(0)
        end
        advance(2)
        expect(#backend("b"):seen()):equals(1)
        expect(stat("fill_waited")):equals(0)
    end)
end)
