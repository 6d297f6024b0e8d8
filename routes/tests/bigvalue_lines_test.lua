-- Tests of bigvalue: what the child is sent, request by request, and what becomes of its answers: errors, and changes by others meanwhile.

local BIG, BIG2, SMALL = ("0123456789"):rep(25), ("abcdefghij"):rep(33), "bar"

local function bigvalue(most)
    route("return require \"routes.bigvalue\"{ child = a, threshold = 100, max_chunks = " .. (most or 5) .. " }", "a")
end

-- sent is what the child was sent, IDs as ID and, if they are the store's, CAS numbers as CAS.
local function sent(cas)
    local lines = {}
    for i, line in ipairs(seen()) do
        lines[i] = line:gsub("^a: ", ""):gsub("#%x+#", "#ID#"):gsub(" C%d+", cas or "%0")
    end
    return lines
end

-- INDEX is an index of three chunks, of an ID that nobody has, for scripts.
local INDEX = ("\1tidepool chunks %s %05d %012d"):format(("1"):rep(27), 3, 250)
local TELLS, HAS = "HD s" .. #INDEX .. " c5", "VA " .. #INDEX .. " c6 f0 t-1\r\n" .. INDEX

describe("bigvalue: what is not cut", function()
    before_each(function()
        bigvalue()
        send("set foo 0 0 3", SMALL)
        seen()
    end)
    for _, line in ipairs{ "get foo", "gets foo", "mg foo v", "mg foo v s", "mg foo v s T50", "mg foo s", "mg foo s T50", "mg foo f t", "mg other s",
        "mg other T50", "gat 50 foo", "me foo", "incr other 1", "mn" } do
        it("costs nothing more: " .. line, function()
            send(line)
            expect(sent()):equals(line == "mn" and {} or { line })
        end)
    end
    it("is touched at once", function()
        expect(send("touch foo 50").text):equals("TOUCHED\r\n")
        expect(sent()):equals{ "mg foo s c T50" }
    end)
    it("is asked for its size where mg T does not say it", function()
        expect(send("mg foo T50").text):equals("HD\r\n")
        expect(sent()):equals{ "mg foo T50", "mg foo v c f t" }
    end)
    it("is replaced and deleted as it was seen", function()
        send("set foo 0 0 2", "xy")
        expect(sent(" CCAS")):equals{ "mg foo s c", "ms foo 2 c CCAS T0 F0" }
        send("delete foo")
        expect(sent(" CCAS")):equals{ "mg foo s c", "md foo CCAS" }
        send("set foo 0 0 2", "xy")
        expect(sent()):equals{ "mg foo s c", "ms foo 2 c T0 F0 ME" }
        send("md foo q k")
        expect(sent(" CCAS")):equals{ "mg foo s c", "md foo q k CCAS" }
    end)
    it("may be as long as an index", function()
        local value = ("x"):rep(#INDEX)
        send("set foo 0 10 " .. #value, value)
        expect(backend("a"):get("foo")):equals(value)
        for _, line in ipairs{ "get foo", "mg foo v", "gat 9 foo" } do
            expect(send(line).value):equals(value)
        end
        expect(send("touch foo 50").text):equals("TOUCHED\r\n")
        expect(send("mg foo s T50").text):equals("HD s" .. #value .. "\r\n")
        expect(send("set foo 0 0 1", "y").text):equals("STORED\r\n")
        expect(stat("bigvalue_cut")):equals(0)
    end)
    it("may be an index of another length", function()
        local value = "\1tidepool chunks 1 1 1"
        backend("a"):answers{ TELLS, "VA " .. #value .. " c6 f0 t-1\r\n" .. value, "HD" } -- it has been replaced between the first two
        expect(send("delete foo").text):equals("DELETED\r\n")
        expect(sent()):equals{ "mg foo s c", "mg foo v c f t", "md foo C6" }
    end)
    for _, line in ipairs{ "append foo 0 0 150", "prepend foo 0 0 150", "ms foo 150 MA" } do
        it("is as long as it is made by " .. line, function()
            expect(send(line, ("x"):rep(150)).error):is_false()
            expect(#backend("a"):get("foo")):equals(153)
            expect(stat("bigvalue_cut")):equals(0)
        end)
    end
    it("is added where what it would replace has gone meanwhile", function()
        backend("a"):answers{ TELLS, "EN", "HD" }
        expect(send("set foo 0 0 3", SMALL).text):equals("STORED\r\n")
        expect(sent()):equals{ "mg foo s c", "mg foo v c f t", "ms foo 3 c T0 F0 ME" }
    end)
    it("has the CAS that its writer wants", function()
        for _, value in ipairs{ SMALL, BIG } do
            expect(send("ms foo " .. #value .. " E77", value).text):equals("HD\r\n")
            expect(send("mg foo c").text):equals("HD c77\r\n")
        end
    end)
end)

describe("bigvalue: what is cut", function()
    before_each(function()
        bigvalue()
        send("set foo 0 0 250", BIG)
        seen()
    end)
    it("is read with its chunks", function()
        for _, line in ipairs{ "get foo", "mg foo v" } do
            send(line)
            expect(sent()):equals{ line, "mg foo#ID#1 v", "mg foo#ID#2 v", "mg foo#ID#3 v" }
        end
        send("gat 50 foo")
        expect(sent()):equals{ "gat 50 foo", "mg foo#ID#1 v T50", "mg foo#ID#2 v T50", "mg foo#ID#3 v T50" }
        send("mg foo s")
        expect(sent()):equals{ "mg foo s", "mg foo v c f t" }
        send("mg foo s T9")
        expect(sent()):equals{ "mg foo s T9", "mg foo v c f t", "mg foo#ID#1 v T9", "mg foo#ID#2 v T9", "mg foo#ID#3 v T9" }
    end)
    it("is counted", function()
        expect(stat("bigvalue_cut")):equals(1)
        send("set foo 0 0 330", BIG2)
        expect(stat("bigvalue_cut")):equals(2)
        expect(stat("bigvalue_left")):equals(0)
    end)
    it("has chunks under its key, if that leaves room for an ID", function()
        for n = 210, 250 do
            local key = ("k"):rep(n)
            expect(send("set " .. key .. " 0 0 250", BIG).text):equals("STORED\r\n")
            expect(sent()[1]):matches("^ms " .. (n <= 216 and key or "chunk") .. "#ID#1 100 T0$")
            expect(send("get " .. key).value):equals(BIG)
            seen()
        end
    end)
    it("is refused where more chunks than now were allowed, and deleted as far as they are", function()
        bigvalue(2)
        expect(send("get foo").text):equals("SERVER_ERROR object too large for cache\r\n")
        expect(sent()):equals{ "get foo" }
        expect(send("delete foo").text):equals("DELETED\r\n")
        expect(sent(" CCAS")):equals{ "mg foo s c", "mg foo v c f t", "md foo CCAS", "md foo#ID#1", "md foo#ID#2" }
        expect(stat("bigvalue_left")):equals(1)
    end)
    it("leaves chunks that cannot be deleted, but counts none that are gone", function()
        backend("a"):answers{ TELLS, HAS, "HD", "HD", "SERVER_ERROR busy", "NF" }
        expect(send("delete foo").text):equals("DELETED\r\n")
        expect(stat("bigvalue_left")):equals(1)
        backend("a"):answers{ TELLS, HAS, "HD", "SERVER_ERROR busy", "HD", "SERVER_ERROR busy" }
        send("delete foo")
        expect(stat("bigvalue_left")):equals(3)
    end)
    it("is found lost by what is known of it, and deleted if that is still so", function()
        for _, d in ipairs{ { "get foo", "END\r\n", "foo" }, { "mg Zm9v b v", "EN\r\n", "Zm9v b" } } do
            local first = #INDEX .. "\r\n" .. INDEX
            backend("a"):answers{ d[1] == "get foo" and "VALUE foo 0 " .. first .. "\r\nEND" or "VA " .. first,
                "VA 100\r\n" .. ("x"):rep(100), "EN", "VA 50\r\n" .. ("x"):rep(50), HAS, "HD", "HD", "HD", "HD" }
            expect(send(d[1]).text):equals(d[2])
            local key, b = d[3]:match("^(%S+)(.*)$")
            expect(sent()):equals{
                d[1], "mg foo#ID#1 v", "mg foo#ID#2 v", "mg foo#ID#3 v", "mg " .. key .. b .. " v c f t", "md " .. key .. b .. " C6", "md foo#ID#1",
                "md foo#ID#2", "md foo#ID#3",
            }
        end
        expect(stat("bigvalue_lost")):equals(2)
    end)
end)

describe("bigvalue: an error", function()
    before_each(function()
        bigvalue()
        send("set foo 0 0 250", BIG)
        seen()
    end)
    -- answers that the child gives, the request, what is told, and how many requests there are
    for name, d in pairs{
        ["of a chunk"] = { { "", "HD", "SERVER_ERROR one", "SERVER_ERROR two" }, "get foo", nil, "SERVER_ERROR one", 4 },
        ["of the look before a set"] = { { "SERVER_ERROR one" }, "set foo 0 0 3", SMALL, "SERVER_ERROR one", 1 },
        ["of the index before a set"] = { { TELLS, "SERVER_ERROR one" }, "set foo 0 0 3", SMALL, "SERVER_ERROR one", 2 },
        ["of the look before a delete"] = { { "SERVER_ERROR one" }, "delete foo", nil, "SERVER_ERROR one", 1 },
        ["of the index before a delete"] = { { TELLS, "SERVER_ERROR one" }, "delete foo", nil, "SERVER_ERROR one", 2 },
        ["of the look before an md"] = { { "SERVER_ERROR one" }, "md foo", nil, "SERVER_ERROR one", 1 },
        ["of the set"] = { { TELLS, HAS, "SERVER_ERROR one" }, "set foo 0 0 3", SMALL, "SERVER_ERROR one", 3 },
        ["of the look after the chunks"] = { { "HD", "HD", "HD", "HD", "SERVER_ERROR one" }, "set foo 0 0 330", BIG2, "SERVER_ERROR one", 9 },
        ["of the first chunk of a set"] = { { "SERVER_ERROR one", "HD", "HD", "HD" }, "set foo 0 0 330", BIG2, "SERVER_ERROR one", 8 },
        ["of two chunks of a set"] = { { "HD", "SERVER_ERROR one", "SERVER_ERROR two", "HD" }, "set foo 0 0 330", BIG2, "SERVER_ERROR one", 8 },
    } do
        it(name .. " is told, and the value stays", function()
            if name == "of a chunk" then
                d[1][1] = "VALUE foo 0 " .. #INDEX .. "\r\n" .. INDEX .. "\r\nEND"
            end
            backend("a"):answers(d[1])
            expect(send(d[2], d[3]).text):equals(d[4] .. "\r\n")
            expect(#seen()):equals(d[5])
            backend("a"):works()
            expect(send("get foo").value):equals(BIG)
        end)
    end
    it("when all may be stored again leaves no chunk", function()
        backend("a"):answers{ "HD", "HD", "HD", "HD", "SERVER_ERROR one" }
        send("set foo 0 0 330", BIG2)
        local lines = sent()
        expect(lines[5]):equals("mg foo s c")
        expect({ lines[6], lines[9] }):equals{ "md foo#ID#1", "md foo#ID#4" }
    end)
end)

describe("bigvalue: beside another writer", function()
    before_each(function()
        bigvalue()
        send("set foo 0 0 250", BIG)
        seen()
    end)
    -- late reads the index and is told of it only when f has changed the key.
    local function late(line, f)
        backend("a"):slow(1, 1)
        local call = client():start(line)
        f()
        return call
    end
    for _, line in ipairs{ "get foo", "mg foo v", "gat 50 foo" } do
        local hit = line == "mg foo v" and "VA %d\r\n%s\r\n" or "VALUE foo 0 %d\r\n%s\r\nEND\r\n"
        it(line .. " looks again, and gives what is there then", function()
            local call = late(line, function() send("set foo 0 0 330", BIG2) end)
            expect(call:wait().text):equals(hit:format(330, BIG2))
            expect(stat("bigvalue_lost")):equals(0)
            call = late(line, function() send("set foo 0 0 3", SMALL) end)
            expect(call:wait().text):equals(hit:format(3, SMALL))
            send("set foo 0 0 250", BIG)
            call = late(line, function() send("delete foo") end)
            expect(call:wait().text):equals(line == "mg foo v" and "EN\r\n" or "END\r\n")
            expect(stat("bigvalue_lost")):equals(0)
        end)
        it(line .. " looks twice at most", function()
            local call = late(line, function() send("set foo 0 0 330", BIG2) end)
            backend("a"):slow(0, 3)
            backend("a"):slow(1, 1)
            advance(1.5) -- it looks again, and that is late, too
            send("set foo 0 0 250", BIG)
            expect(call:wait().text):equals("SERVER_ERROR too many clients change this value\r\n")
        end)
    end
    it("a set or delete begins again, four times at most", function()
        for _, d in ipairs{
            { "set foo 0 0 3", SMALL, "ms foo 3 c C6 T0 F0" }, { "delete foo", nil, "md foo C6" }, { "md foo", nil, "md foo C6" },
        } do
            local answers, want = {}, {}
            for i = 1, 4 do
                answers[3 * i - 2], answers[3 * i - 1], answers[3 * i] = TELLS, HAS, "EX"
                want[3 * i - 2], want[3 * i - 1], want[3 * i] = "mg foo s c", "mg foo v c f t", d[3]
            end
            backend("a"):answers(answers)
            expect(send(d[1], d[2]).text):equals("SERVER_ERROR too many clients change this value\r\n")
            expect(sent()):equals(want)
            backend("a"):works()
            expect(send("get foo").value):equals(BIG)
            seen()
        end
    end)
    it("a set that does not come to its turn leaves no chunk", function()
        local answers = { "HD", "HD", "HD", "HD" }
        for i = 1, 4 do
            answers[2 * i + 3], answers[2 * i + 4] = "HD s3 c5", "EX"
        end
        backend("a"):answers(answers)
        expect(send("set foo 0 0 330", BIG2).text):equals("SERVER_ERROR too many clients change this value\r\n")
        expect(#seen()):equals(16)
    end)
    it("a cas that was right and is not any more says so, and leaves no chunk", function()
        backend("a"):answers{ "HD", "HD", "HD", "HD", "HD s3 c5", "EX" }
        expect(send("cas foo 0 0 330 5", BIG2).text):equals("EXISTS\r\n")
        local lines = sent()
        expect(#lines):equals(10)
        expect({ lines[6], lines[7] }):equals{ "ms foo " .. #INDEX .. " c C5 T0 F0", "md foo#ID#1" }
    end)
    it("an md with its own CAS is tried once", function()
        backend("a"):answers{ "HD s3 c5", "EX" }
        expect(send("md foo C5").text):equals("EX\r\n")
        expect(sent()):equals{ "mg foo s c", "md foo C5" }
    end)
end)
