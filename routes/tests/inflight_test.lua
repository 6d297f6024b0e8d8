-- Tests of inflight: how many are with the child at once, whose turn it is, and what those are told who do not come in.

local FULL, LATE = "SERVER_ERROR too many requests in flight\r\n", "SERVER_ERROR waited too long for its turn\r\n"

local function use(fields)
    route("return require \"routes.inflight\"{ child = a, " .. fields .. " }", "a")
end

-- keys are those of the gets that a was sent.
local function keys()
    local out = {}
    for _, line in ipairs(seen()) do
        out[#out + 1] = string.match(line, "^a: %a+ (%w+)")
    end
    return table.concat(out, " ")
end

describe("inflight", function()
    for _, d in ipairs{ { "get k" }, { "mg k v" }, { "set k 0 0 1", "x" }, { "delete k" }, { "incr k 1" }, { "gat 5 k" }, { "ms k 1", "x" },
        { "me k" } } do
        it("lets max of " .. d[1] .. " through at once, the rest after them", function()
            use("max = 2")
            backend("a"):slow(0.1)
            local calls = {}
            for i = 1, 5 do
                calls[i] = client():start(d[1], d[2])
            end
            advance(0)
            expect(#seen()):equals(2)
            advance(0.1)
            expect(#seen()):equals(2)
            advance(0.1)
            expect(#seen()):equals(1)
            advance(0.1)
            for i = 1, 5 do
                expect(calls[i]:wait().time):near(i > 4 and 0.3 or i > 2 and 0.2 or 0.1, 1e-6)
            end
        end)
        it("answers " .. d[1] .. " with an error when too many wait", function()
            use("max = 1, queue = 1")
            backend("a"):slow(0.1)
            local first, second, third = client():start(d[1], d[2]), client():start(d[1], d[2]), client():send(d[1], d[2])
            expect(third.text):equals(FULL)
            expect(third.time):equals(0)
            advance(1)
            expect(first:done() and second:done()):is_true()
            expect(#seen()):equals(2)
            expect(stat("inflight_refused")):equals(1)
        end)
    end

    it("takes turns between clients", function()
        use("max = 1")
        backend("a"):slow(0.1)
        local one, two, three = client(), client(), client()
        one:start("get a1 a2 a3 a4")
        advance(0.05)
        two:start("get b1 b2")
        three:start("get c1")
        advance(2)
        expect(keys()):equals("a1 a2 b1 c1 a3 b2 a4")
    end)
    it("lets no client have more than per_client", function()
        use("max = 3, per_client = 1")
        backend("a"):slow(0.1)
        local one, two = client(), client()
        one:start("get a1 a2 a3")
        two:start("get b1")
        advance(0.05)
        expect(keys()):equals("a1 b1")
        advance(1)
        expect(keys()):equals("a2 a3")
    end)
    it("waits no longer than it is told", function()
        use("max = 1, wait = 0.5, name = \"x\"")
        backend("a"):slow(0.4)
        local calls = {}
        for i = 1, 3 do
            calls[i] = client():start("get k")
        end
        advance(2)
        expect(calls[2]:wait().time):near(0.8, 1e-6)
        local last = calls[3]:wait()
        expect(last.text):equals(LATE)
        expect(last.time):near(0.5, 1e-6)
        expect(#seen()):equals(2)
        expect(stat("x_refused")):equals(1)
        expect(send("get k").text):equals("END\r\n") -- no place is lost
    end)
    for _, what in ipairs{ "error", "timeout", "down" } do
        it("answers the child's " .. what .. ", and gives the place back", function()
            use("max = 1, queue = 0")
            if what == "error" then
                backend("a"):answers("SERVER_ERROR x")
            else
                backend("a"):fails(what)
            end
            for _ = 1, 3 do
                local res = send("get k")
                expect(res.text):equals(what == "error" and "SERVER_ERROR x\r\n" or "SERVER_ERROR backend failure\r\n")
                expect(res.time):equals(what == "timeout" and 3 or 0)
            end
        end)
    end
    it("keeps the place of one that never answers", function()
        use("max = 1, queue = 0")
        backend("a"):never(1)
        local call = start("get k")
        advance(1)
        expect(client():send("get k").text):equals(FULL)
        expect(call:done()):is_false()
    end)
    for _, max in ipairs{ "math.huge", "1e300", "2^31" } do
        it("lets all in with max = " .. max, function()
            use("max = " .. max .. ", queue = 0")
            backend("a"):slow(1)
            local first = start("get k")
            expect(send("get k").text):equals("END\r\n")
            expect(first:wait().text):equals("END\r\n")
        end)
    end
    for _, d in ipairs{
        { "max = 0", "want a whole number from 1 on, or \"auto\", got 0" }, { "max = 1.5", "got 1.5" }, { "max = \"x\"", "got x" }, { "queue = 1",
        "max: is missing" },
        { "max = 1, queue = -1", "want at least 0" }, { "max = 1, per_client = 0", "want at least 1" }, { "max = 1, wait = -1",
        "want a number of seconds" },
    } do
        it("cannot have " .. d[1], function()
            expect(function() use(d[1]) end):errors(d[2])
        end)
    end
end)

describe("inflight: auto", function()
    -- load has n requests under way at once, for so many rounds; each takes `each` seconds for every one that the child has, and 0.01.
    local function load(rounds, n, each)
        local most = 0
        for _ = 1, rounds do
            for _ = 1, n do
                client():start("get k")
            end
            advance(0)
            local with = #seen()
            most = math.max(most, with)
            backend("a"):slow(0.01 + each * with)
            advance(30)
            seen()
        end
        return most
    end
    it("begins with 16", function()
        use("max = \"auto\", wait = 100")
        backend("a"):slow(0.01)
        expect(load(1, 40, 0)):equals(16)
    end)
    it("grows while answers come fast", function()
        use("max = \"auto\", wait = 100")
        backend("a"):slow(0.01)
        load(20, 40, 0)
        expect(load(1, 200, 0)):near(35, 12)
    end)
    it("does not grow while there is room", function()
        use("max = \"auto\", wait = 100")
        backend("a"):slow(0.01)
        load(100, 5, 0)
        expect(load(1, 200, 0)):equals(16)
    end)
    it("shrinks when a queue grows at the child", function()
        use("max = \"auto\", wait = 1000")
        backend("a"):slow(0.01)
        load(1, 1, 0) -- that is how fast it can be
        for _ = 1, 400 do
            client():start("get k")
        end
        backend("a"):slow(0.05)
        advance(9)
        seen()
        local now_with = 0
        for _ = 1, 5 do
            advance(0.05)
            now_with = math.max(now_with, #seen())
        end
        expect(now_with < 10):is_true()
        expect(now_with > 0):is_true()
    end)
end)

describe("inflight: auto, step by step", function()
    -- one has n requests answered, one after the other, in so many seconds each.
    local function one(n, seconds)
        backend("a"):slow(seconds)
        for _ = 1, n do
            expect(send("get k").text):equals("END\r\n")
        end
    end
    -- width is how many requests get through at once; it ends a test.
    local function width()
        backend("a"):never()
        seen()
        for _ = 1, 200 do
            client():start("get k")
        end
        advance(0)
        return #seen()
    end
    before_each(function()
        use("max = \"auto\", wait = 100")
    end)

    it("shrinks by a tenth after as many answers as it is", function()
        one(15, 0.01)
        one(1, 0.05)
        expect(width()):equals(14)
    end)
    it("does not shrink before that", function()
        one(14, 0.01)
        one(1, 0.05)
        expect(width()):equals(16)
    end)
    it("counts anew from there", function()
        one(15, 0.01)
        one(1, 0.05) -- 14.4
        one(14, 0.05)
        expect(width()):equals(14)
    end)
    it("shrinks again", function()
        one(15, 0.01)
        one(1, 0.05)
        one(15, 0.05) -- 12.96
        expect(width()):equals(12)
    end)
    it("takes twice the least latency and a millisecond for normal", function()
        one(16, 0.01)
        one(20, 0.021)
        expect(width()):equals(16)
    end)
    it("takes more for a queue", function()
        one(16, 0.01)
        one(1, 0.0211)
        expect(width()):equals(14)
    end)
    it("remembers the least latency for two periods", function()
        one(16, 0.001)
        advance(11)
        one(1, 0.01) -- the last period knew better: 14.4
        advance(11)
        one(30, 0.01) -- it is forgotten
        expect(width()):equals(14)
    end)
    it("does not forget it before", function()
        one(16, 0.001)
        advance(11)
        one(1, 0.01)
        one(15, 0.01) -- 12.96
        expect(width()):equals(12)
    end)
    it("knows nothing of errors", function()
        one(16, 0.01)
        backend("a"):works()
        backend("a"):answers{ "SERVER_ERROR x" }
        send("get k")
        one(20, 0.01)
        expect(width()):equals(16)
    end)
    it("grows by one when all places were taken once", function()
        backend("a"):slow(0.01)
        for _ = 1, 32 do
            client():start("get k")
        end
        advance(1) -- 16 answers while others waited, and one while all places were taken
        expect(width()):equals(17)
    end)
    it("grows by one each time", function()
        backend("a"):slow(0.01)
        for _ = 1, 64 do
            client():start("get k")
        end
        advance(1)
        expect(width()):equals(18)
    end)
    it("does not grow when they were not", function()
        backend("a"):slow(0.01)
        for _ = 1, 100 do
            for _ = 1, 15 do
                client():start("get k")
            end
            advance(0.02)
        end
        expect(width()):equals(16)
    end)
end)
