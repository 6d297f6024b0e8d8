-- Tests of hedged: who is asked, when, and whose answer it is.

-- What a child may do: after how long it answers, and how good that is (res:rank()). never is not at all.
local ANSWERS = {
    hit = { time = 0, rank = 4 }, miss = { time = 0, rank = 3 }, error = { time = 0, rank = 2 }, down = { time = 0, rank = 0 },
    timeout = { time = 3, rank = 1 }, never = { time = math.huge, rank = -1 },
    ["slow hit"] = { time = 0.1, rank = 4 }, ["slow miss"] = { time = 0.1, rank = 3 },
}
local NAMES = { "hit", "miss", "error", "down", "timeout", "never", "slow hit", "slow miss" }
local DELAY = 0.01

local function script(name, what)
    local b = backend(name)
    if string.find(what, "hit") then
        b:set("k", "of " .. name)
    end
    if string.find(what, "slow") then
        b:slow(0.1)
    elseif what == "error" then
        b:answers("SERVER_ERROR of " .. name)
    elseif what == "down" or what == "timeout" then
        b:fails(what)
    elseif what == "never" then
        b:never()
    end
end

-- text is what a client is told by a child that does so.
local function text(name, what, line)
    local mg = string.sub(line, 1, 2) == "mg"
    if string.find(what, "hit") then
        return mg and "VA 4\r\nof " .. name .. "\r\n" or "VALUE k 0 4\r\nof " .. name .. "\r\nEND\r\n"
    elseif string.find(what, "miss") then
        return mg and "EN\r\n" or "END\r\n"
    end
    return what == "error" and "SERVER_ERROR of " .. name .. "\r\n" or "SERVER_ERROR backend failure\r\n"
end

-- model says whether b is asked, whose answer is given, and when; nobody's if there is none.
local function model(first, second)
    local a, b = ANSWERS[first], ANSWERS[second]
    if a.time <= DELAY and a.rank >= 3 then
        return false, "a", a.time
    end
    local there = math.min(a.time, DELAY) + b.time -- when b's is
    local final_a = a.rank >= 3 and a.time or math.huge -- what a says counts
    local final_b = b.rank == 4 and there or math.huge -- of b only a hit
    if final_a < math.huge or final_b < math.huge then
        return true, final_a <= final_b and "a" or "b", math.min(final_a, final_b)
    elseif a.time == math.huge or b.time == math.huge then
        return true, nil
    end
    local better = b.rank > a.rank or b.rank == a.rank and there < a.time
    return true, better and "b" or "a", math.max(a.time, there)
end

local function use(fields, ...)
    route("return require \"routes.hedged\"{ children = { a, b }, " .. fields .. " }", ...)
end

describe("hedged", function()
    for _, line in ipairs{ "get k", "mg k v" } do
        for _, first in ipairs(NAMES) do
            for _, second in ipairs(NAMES) do
                it(line .. ": " .. first .. ", then " .. second, function()
                    use("delay = 0.01, budget = 1", "a", "b")
                    script("a", first)
                    script("b", second)
                    local asked, who, when = model(first, second)
                    local call = start(line)
                    advance(10)
                    local lines = { first ~= "down" and "a: " .. line or nil }
                    if asked and second ~= "down" then
                        lines[#lines + 1] = "b: " .. line
                    end
                    expect(seen()):equals(lines)
                    if not who then
                        expect(call:done()):is_false()
                        return
                    end
                    local res = call:wait()
                    expect(res.text):equals(text(who, who == "a" and first or second, line))
                    expect(res.time):near(when, 1e-6)
                end)
            end
        end
    end
end)

describe("hedged: what is not a plain read", function()
    for _, d in ipairs{
        { "set k 0 0 1", "x" }, { "add k 0 0 1", "x" }, { "append k 0 0 1", "x" }, { "cas k 0 0 1 5", "x" }, { "delete k" }, { "incr k 1" },
        { "touch k 5" },
        { "gets k" }, { "gat 5 k" }, { "me k" }, { "ms k 1", "x" }, { "md k" }, { "ma k" }, { "mg k v c" }, { "mg k v T30" }, { "mg k v N30" },
        { "mg k v E5" }, { "mg k v R30" },
    } do
        it(d[1] .. " goes to the first child alone", function()
            use("delay = 0.01, budget = 1", "a", "b")
            backend("a"):slow(0.5)
            send(d[1], d[2])
            expect(seen()):equals{ "a: " .. d[1] }
        end)
        it(d[1] .. " goes where write says", function()
            use("delay = 0.01, budget = 1, write = w", "a", "b", "w")
            send(d[1], d[2])
            expect(seen()):equals{ "w: " .. d[1] }
        end)
    end
end)

-- warm has n reads answered in so many seconds by a.
local function warm(n, seconds)
    backend("a"):slow(seconds)
    for _ = 1, n do
        send("get k")
    end
    seen()
end

describe("hedged: the delay", function()
    before_each(function()
        use("budget = 1", "a", "b")
        backend("a"):set("k", "x")
        backend("b"):set("k", "y")
    end)
    it("is not known before twenty answers", function()
        warm(19, 0.01)
        backend("a"):slow(1)
        expect(send("get k").value):equals("x")
        expect(seen()):equals{ "a: get k" }
    end)
    it("is twice the 95th percentile", function()
        warm(100, 0.01)
        backend("a"):slow(1)
        local res = send("get k")
        expect(res.value):equals("y")
        expect(res.time):near(0.02, 0.001)
    end)
    it("does not follow one slow answer in a hundred", function()
        warm(99, 0.01)
        warm(1, 1)
        backend("a"):slow(1)
        expect(send("get k").time):near(0.02, 0.001)
    end)
    it("is a millisecond at least", function()
        warm(30, 0)
        backend("a"):slow(1)
        expect(send("get k").time):near(0.001, 1e-6)
    end)
    it("follows what becomes slower", function()
        warm(100, 0.001)
        warm(600, 0.1)
        expect(send("get k").value):equals("x")
    end)
    it("counts no errors", function()
        warm(30, 0.01)
        backend("a"):works()
        backend("a"):answers("SERVER_ERROR x")
        for _ = 1, 100 do
            send("get k")
        end
        backend("a"):works()
        backend("a"):slow(1)
        expect(send("get k").time):near(0.02, 0.001)
    end)
end)

describe("hedged: the delay that is given", function()
    it("is its own quantile, factor and least", function()
        use("budget = 1, delay = { quantile = 0.5, factor = 4, min = 0.5 }", "a", "b")
        backend("b"):set("k", "y")
        warm(60, 0.01)
        warm(40, 0.2)
        backend("a"):slow(9)
        expect(send("get k").time):near(0.5, 1e-6)
        use("budget = 1, delay = { quantile = 1, factor = 4 }", "a", "b")
        backend("b"):set("k", "y")
        warm(60, 0.01)
        warm(40, 0.2)
        backend("a"):slow(9)
        expect(send("get k").time):near(0.8, 0.001)
    end)
    for _, d in ipairs{
        { "delay = -1", "want a number of seconds, got %-1" }, { "delay = 0 / 0", "want a number of seconds, got %-?nan" },
        { "delay = true", "want a number of seconds, or" }, { "delay = { factor = 0 / 0 }", "factor: want a number that is not negative, got" },
        { "delay = { quantil = 0.5 }", "there is no field \"quantil\"; did you mean \"quantile\"?" },
        { "delay = { quantile = 2 }", "quantile: want a number from 0 to 1, got 2" }, { "delay = { min = -1 }",
        "min: want a number that is not negative" },
        { "max = 2", "max: want at most 1, for there are 2 children; got 2" }, { "budget = 2", "want at most 1" }, { "order = \"x\"", "want one of" },
    } do
        it("cannot be " .. d[1], function()
            expect(function() use(d[1], "a", "b") end):errors(d[2])
        end)
    end
end)

describe("hedged: the budget", function()
    -- besides is how many of n reads, all of them late, b was asked for.
    local function besides(n)
        local count = 0
        for _ = 1, n do
            send("get k")
            count = count + #seen() - 1
        end
        return count
    end
    it("is a twentieth of the reads, also when all are slow", function()
        use("delay = 0.01", "a", "b")
        backend("a"):slow(1)
        backend("b"):slow(0.1)
        for _ = 1, 3 do
            expect(besides(19)):equals(besides(1) - 1)
        end
        expect(stat("hedged_poor")):equals(3 * 19)
    end)
    it("is nothing with budget = 0", function()
        use("delay = 0.01, budget = 0", "a", "b")
        backend("a"):slow(1)
        expect(besides(100)):equals(0)
    end)
    it("is saved, but not for ever", function()
        use("delay = 0.01, budget = 0.5", "a", "b")
        backend("b"):set("k", "y")
        for _ = 1, 1000 do
            send("get k")
        end
        seen()
        backend("a"):slow(1)
        expect(besides(50)):equals(50)
        expect(besides(50)):near(50, 1) -- 0.5 each in the 50 before, and these
        expect(besides(100)):near(50, 1)
    end)
    it("does not pay for a read that would fail otherwise", function()
        use("delay = 0.01, budget = 0.1", "a", "b")
        backend("a"):answers("SERVER_ERROR x")
        backend("b"):set("k", "y")
        for _ = 1, 100 do
            expect(send("get k").value):equals("y")
        end
        expect(stat("hedged_retried")):equals(100)
        expect(stat("hedged_sent")):equals(0)
        expect(stat("hedged_won")):equals(0)
        expect(stat("hedged_poor")):equals(0)
    end)
end)

describe("hedged: after errors", function()
    local function three(fields)
        route("return require \"routes.hedged\"{ children = { a, b, c }, " .. fields .. " }", "a", "b", "c")
    end
    it("all are asked, whatever the budget and max", function()
        three("budget = 0")
        backend("a"):fails("down")
        backend("b"):answers("SERVER_ERROR x")
        backend("c"):set("k", "z")
        expect(send("get k").value):equals("z")
        backend("c"):fails("down")
        expect(send("get k").text):equals("SERVER_ERROR x\r\n") -- the best of them
    end)
    it("what the client has done wrong is an answer", function()
        route("return require 'routes.hedged'{ children = { a, b, c }, delay = 0.1, budget = 1 }", "a", "b", "c")
        expect(send("mg %%% b v").text):equals("CLIENT_ERROR error decoding key\r\n")
        expect(seen()):equals{ "a: mg %%% b v" }
        backend("a"):slow(1, 1)
        local res = send("mg %%% b v")
        expect(res.text):equals("CLIENT_ERROR error decoding key\r\n")
        expect(res.time):equals(0.1)
        expect(seen()):equals{ "a: mg %%% b v", "b: mg %%% b v" }
    end)

    it("a miss is an answer", function()
        three("budget = 0")
        backend("a"):fails("down")
        backend("c"):set("k", "z")
        expect(send("get k").line):equals("END")
        expect(seen()):equals{ "b: get k" }
    end)
    it("a dead replica costs no read, whoever is asked first", function()
        three("order = \"spread\"")
        for _, name in ipairs{ "a", "b", "c" } do
            backend(name):set("k", name)
        end
        backend("b"):fails("down")
        for _ = 1, 300 do
            expect(send("get k").value ~= nil):is_true()
        end
        expect(stat("hedged_retried")):equals(100)
    end)
    it("there is a limit if one is given", function()
        three("limit = { share = 0.1, burst = 10 }")
        backend("a"):fails("down")
        backend("b"):set("k", "y")
        local hits = 0
        for _ = 1, 100 do
            hits = hits + (send("get k").value and 1 or 0)
        end
        expect(hits):near(20, 1)
        expect(stat("hedged_retried")):equals(hits)
    end)
    it("the budget pays while another may still answer", function()
        for _, saved in ipairs{ 1, 2 } do
            three("delay = 0.01, max = 2, budget = " .. saved / 4)
            backend("c"):set("k", "z")
            backend("a"):works()
            for _ = 1, 3 do
                send("get k")
            end
            backend("a"):slow(0.02)
            backend("a"):answers("SERVER_ERROR x", 1)
            backend("b"):slow(0.1)
            seen()
            local before = stat("hedged_sent")
            local res = send("get k")
            if saved == 1 then
                expect(res.line):equals("END") -- b's
                expect(seen()):equals{ "a: get k", "b: get k" }
            else
                expect(res.value):equals("z")
                expect(res.time):near(0.02, 1e-6)
            end
            expect(stat("hedged_sent") - before):equals(saved)
            expect(stat("hedged_retried")):equals(0)
        end
    end)
    it("who is asked then has not won from the budget", function()
        three("delay = 0.01, budget = 1")
        backend("a"):fails("down")
        backend("b"):set("k", "y")
        backend("b"):slow(0.02)
        backend("c"):slow(1)
        expect(send("get k").value):equals("y")
        expect(stat("hedged_sent")):equals(1)
        expect(stat("hedged_won")):equals(0)
    end)
    it("who is asked then may be late, too", function()
        three("delay = 0.01, budget = 1")
        backend("a"):fails("down")
        backend("b"):slow(1)
        backend("c"):set("k", "z")
        local res = send("get k")
        expect(res.value):equals("z")
        expect(res.time):near(0.01, 1e-6)
        expect(stat("hedged_sent")):equals(1)
        expect(stat("hedged_won")):equals(1)
    end)
end)

describe("hedged: saturation", function()
    it("is seen when those asked besides answer no sooner", function()
        use("delay = 0.5, budget = 1, name = \"h\"", "a", "b")
        backend("a"):slow(1)
        backend("b"):slow(1)
        for _ = 1, 20 do
            send("get k")
        end
        local before = stat("h_sent")
        expect(before):near(19, 1) -- (63 / 64) ^ 19 is less than three quarters
        for _ = 1, 200 do
            send("get k")
        end
        expect(stat("h_sent") - before):near(20, 1) -- a tenth of the budget
        backend("b"):works() -- and that it pays again
        backend("b"):set("k", "y")
        for _ = 1, 200 do
            send("get k")
        end
        seen()
        expect(send("get k").value):equals("y")
        expect(send("get k").time):near(0.5, 1e-6)
    end)
    it("is seen when few are late and those asked besides are no sooner", function()
        use("delay = 0.5, budget = 1, name = \"h\"", "a", "b")
        backend("b"):slow(1)
        for _ = 1, 90 do -- one in five is late: that is not much
            for _ = 1, 4 do
                send("get k")
            end
            backend("a"):slow(1, 1)
            send("get k")
        end
        expect(stat("h_sent")):near(64 + 26 / 2, 2) -- 0.75 * (31 / 32) ^ 64 is less than a tenth; then as many as a tenth of the reads
    end)
    it("is seen when a queue grows there", function()
        use("delay = 0.01, budget = 1", "a", "b")
        backend("a"):slow(0.05)
        backend("b"):never()
        for _ = 1, 30 do
            send("get k")
        end
        local asked = 0
        for _, line in ipairs(seen()) do
            asked = asked + (string.sub(line, 1, 2) == "b:" and 1 or 0)
        end
        expect(asked):equals(9) -- 8, and twice the third of one that is usual until then
        expect(stat("hedged_saturated")):equals(30 - asked)
    end)
end)

describe("hedged: more than one besides", function()
    it("asks each after its delay", function()
        route("return require \"routes.hedged\"{ children = { a, b, c }, delay = 0.01, budget = 1, max = 2 }", "a", "b", "c")
        for _ = 1, 9 do
            send("get k") -- each saves one
        end
        seen()
        backend("a"):never()
        backend("b"):never()
        backend("c"):set("k", "z")
        local res = send("get k")
        expect(res.value):equals("z")
        expect(res.time):near(0.02, 1e-6)
        expect(seen()):equals{ "a: get k", "b: get k", "c: get k" }
    end)
    it("asks the next at once after an error", function()
        route("return require \"routes.hedged\"{ children = { a, b, c }, delay = 0.01, budget = 1, max = 2 }", "a", "b", "c")
        send("get k")
        seen()
        backend("a"):fails("down")
        backend("b"):answers("SERVER_ERROR x")
        backend("c"):set("k", "z")
        local res = send("get k")
        expect(res.value):equals("z")
        expect(res.time):equals(0)
    end)
end)

describe("hedged: spread", function()
    it("asks each child first in turn", function()
        use("order = \"spread\"", "a", "b")
        for _ = 1, 4 do
            send("get k")
        end
        expect(seen()):equals{ "a: get k", "b: get k", "a: get k", "b: get k" }
    end)
    it("asks the one after it besides", function()
        use("order = \"spread\", delay = 0.01, budget = 1", "a", "b")
        backend("a"):set("k", "x")
        backend("b"):slow(1)
        expect(send("get k").time):equals(0)
        expect(send("get k").value):equals("x")
        expect(seen()):equals{ "a: get k", "b: get k", "a: get k" }
    end)
end)

describe("hedged: who loses", function()
    it("is not waited for, and the slot is used again", function()
        use("delay = 0.01, budget = 1", "a", "b")
        backend("a"):slow(1)
        backend("b"):set("k", "y")
        for i = 1, 5 do
            expect(send("get k").time):near(0.01, 1e-6)
            expect(now()):near(i * 0.01, 1e-6)
        end
        advance(2)
        expect(log()):equals{}
    end)
end)
