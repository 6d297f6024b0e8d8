-- allinitial: the first answers for all; the others are sent the same.

local outcomes = require "outcomes"

-- The first child's answer, whatever it is, and whatever the others do.
local function first(o)
    local seconds = outcomes.seconds({ o[1] })
    return seconds and 1, seconds
end

describe("allinitial of two", function()
    outcomes.table{ names = { "a", "b" }, route = [[return require "routes.allinitial"{ children = { a, b } }]], model = first }
end)

describe("allinitial of three", function()
    outcomes.table{
        names = { "a", "b", "c" }, route = [[return require "routes.allinitial"{ children = { a, b, c } }]], model = first,
        commands = { outcomes.command("get") }, outcomes = { "hit", "error", "never" },
    }
end)

describe("allinitial", function()
    it("lets the others go on", function()
        route([[return require "routes.allinitial"{ children = { a, b, c } }]], "a", "b", "c")
        backend("b"):slow(0.3)
        backend("c"):slow(0.6)
        expect(send("set foo 0 0 1", "x").time):equals(0)
        advance(1)
        expect(backend("b"):get("foo")):equals("x")
        expect(backend("c"):get("foo")):equals("x")
    end)
    it("waits for the first though the others are there", function()
        route([[return require "routes.allinitial"{ children = { a, b } }]], "a", "b")
        backend("a"):slow(0.5)
        backend("b"):set("foo", "b")
        local res = send("get foo")
        expect(res.text):equals("END\r\n")
        expect(res.time):equals(0.5)
    end)
    it("wants a list: there must be a first", function()
        expect(function() route([[return require "routes.allinitial"{}]], "a", "b") end):errors("allinitial.children: is missing")
        expect(function() route([[return require "routes.allinitial"{ children = { x = a, y = b } }]], "a", "b") end):errors("want a list, got names")
    end)
end)
