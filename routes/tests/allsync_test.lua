-- allsync: the worst answer, when all are there.

local outcomes = require "outcomes"

-- The worst answer, when all are there; of equal errors the first, of equal hits or misses the last.
local function worst(o)
    local seconds = outcomes.seconds(o)
    if not seconds then
        return nil
    end
    local rank = 4
    for _, outcome in ipairs(o) do
        rank = math.min(rank, outcomes.rank[outcome])
    end
    local first, last
    for i, outcome in ipairs(o) do
        if outcomes.rank[outcome] == rank then
            first, last = first or i, i
        end
    end
    return rank >= 3 and last or first, seconds
end

describe("allsync of two", function()
    outcomes.table{ names = { "a", "b" }, route = [[return require "routes.allsync"{ children = { a, b } }]], model = worst }
end)

describe("allsync of three", function()
    outcomes.table{
        names = { "a", "b", "c" }, route = [[return require "routes.allsync"{ children = { a, b, c } }]], model = worst,
        commands = { outcomes.command("get") }, outcomes = { "hit", "miss", "error", "timeout" },
    }
end)

describe("allsync", function()
    it("has one child, too", function()
        route([[return require "routes.allsync"{ children = { a } }]], "a")
        backend("a"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
    end)
    it("takes children by name, in the order of the names", function()
        route([[return require "routes.allsync"{ children = { z2 = a, z1 = b } }]], "a", "b")
        send("get foo")
        expect(seen()):equals{ "b: get foo", "a: get foo" }
    end)
    it("stores everywhere", function()
        route([[return require "routes.allsync"{ children = { a, b } }]], "a", "b")
        expect(send("ms foo 3 T0", "bar").text):equals("HD\r\n")
        expect(backend("a"):get("foo")):equals("bar")
        expect(backend("b"):get("foo")):equals("bar")
        backend("b"):set("only", "here")
        expect(send("get only").text):equals("END\r\n")
        expect(send("delete only").text):equals("NOT_FOUND\r\n")
        expect(backend("b"):get("only")):is_nil()
    end)
    it("waits for the slowest", function()
        route([[return require "routes.allsync"{ children = { a, b } }]], "a", "b")
        backend("a"):slow(0.5)
        backend("b"):slow(0.2)
        expect(send("get foo").time):equals(0.5)
    end)
    it("refuses to have no children", function()
        expect(function() route([[return require "routes.allsync"{ children = {} }]], "a") end):errors("children: want at least 1, got none")
        expect(function() route([[return require "routes.allsync"{}]], "a") end):errors("children: is missing")
    end)
end)
