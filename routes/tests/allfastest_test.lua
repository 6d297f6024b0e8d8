-- allfastest: which answer wins, and when, for all that two or three children can do.

local outcomes = require "outcomes"

-- what answers when all that answer at once have, and no hit (with miss = false: no miss either) is good enough: the best, when all are in.
local function fastest(enough)
    return function(o)
        -- Those that answer at once come in the order in which they were sent to, but what is down says so first.
        for i, outcome in ipairs(o) do
            if outcomes.rank[outcome] >= enough then
                return i, 0
            end
        end
        local seconds = outcomes.seconds(o)
        if not seconds then
            return nil
        end
        return (outcomes.best(o)), seconds
    end
end

describe("allfastest of two", function()
    outcomes.table{ names = { "a", "b" }, route = [[return require "routes.allfastest"{ children = { a, b } }]], model = fastest(4) }
end)

describe("allfastest of two with miss = false", function()
    outcomes.table{
        names = { "a", "b" }, route = [[return require "routes.allfastest"{ children = { a, b }, miss = false }]], model = fastest(3),
        commands = { outcomes.command("gets"), outcomes.command("touch") },
    }
end)

describe("allfastest of three", function()
    outcomes.table{
        names = { "a", "b", "c" }, route = [[return require "routes.allfastest"{ children = { a, b, c } }]], model = fastest(4),
        commands = { outcomes.command("md") }, outcomes = { "hit", "miss", "error", "never" },
    }
end)

-- After wait seconds it is the best of what has come, or the first that comes after that: a timeout, here.
local function waited(o)
    local winner, seconds = fastest(4)(o)
    if seconds and seconds <= 1 then
        return winner, seconds
    end
    local here = {}
    for i, outcome in ipairs(o) do
        here[i] = (outcome == "timeout") and "never" or outcome
    end
    local at, rank = outcomes.best(here)
    if rank >= 0 then
        return at, 1
    end
    at, rank = outcomes.best(o)
    if rank >= 0 then
        return at, outcomes.READ_TIMEOUT
    end
    return nil
end

describe("allfastest of two with wait", function()
    outcomes.table{
        names = { "a", "b" }, route = [[return require "routes.allfastest"{ children = { a, b }, wait = 1 }]], model = waited,
        commands = { outcomes.command("get"), outcomes.command("delete") },
    }
end)

describe("allfastest", function()
    it("takes children by name, and wants some", function()
        route([[return require "routes.allfastest"{ children = { y = a, x = b } }]], "a", "b")
        send("get foo")
        expect(seen()):equals{ "b: get foo", "a: get foo" }
        expect(function() route([[return require "routes.allfastest"{}]], "a") end):errors("allfastest.children: is missing")
    end)
    local function two(fields)
        route([[return require "routes.allfastest"{ children = { a, b }]] .. (fields or "") .. " }", "a", "b")
    end

    it("answers with the first hit", function()
        two()
        backend("a"):set("foo", "a")
        backend("b"):set("foo", "b")
        backend("a"):slow(0.2)
        backend("b"):slow(0.1)
        local res = send("get foo")
        expect(res.value):equals("b")
        expect(res.time):equals(0.1)
    end)
    it("waits for a later hit after a miss", function()
        two()
        backend("b"):set("foo", "b")
        backend("b"):slow(0.4)
        local res = send("get foo")
        expect(res.value):equals("b")
        expect(res.time):equals(0.4)
    end)
    it("takes NOT_FOUND for a miss", function()
        two()
        backend("b"):set("foo", "b")
        backend("b"):slow(0.4)
        expect(send("delete foo").text):equals("DELETED\r\n")
        expect(now()):equals(0.4)
    end)
    it("answers the miss first with miss = false", function()
        two(", miss = false")
        backend("b"):set("foo", "b")
        backend("b"):slow(0.4)
        local res = send("get foo")
        expect(res.text):equals("END\r\n")
        expect(res.time):equals(0)
    end)
    it("lets the other write go on", function()
        two()
        backend("b"):slow(0.4)
        expect(send("set foo 0 0 1", "x").time):equals(0)
        advance(1)
        expect(backend("b"):get("foo")):equals("x")
    end)
    it("gives what it has after wait", function()
        two(", wait = 0.25")
        backend("b"):set("foo", "b")
        backend("b"):slow(0.4)
        local res = send("get foo")
        expect(res.text):equals("END\r\n")
        expect(res.time):equals(0.25)
    end)
    it("gives the first that comes after wait", function()
        two(", wait = 0.25")
        backend("a"):slow(0.5)
        backend("b"):set("foo", "b")
        backend("b"):slow(0.6)
        local res = send("get foo")
        expect(res.text):equals("END\r\n")
        expect(res.time):equals(0.5)
    end)
    it("does not wait at all with wait = 0", function()
        two(", wait = 0")
        backend("a"):slow(0.5)
        backend("b"):slow(0.1)
        expect(send("get foo").time):equals(0.1)
    end)
end)
