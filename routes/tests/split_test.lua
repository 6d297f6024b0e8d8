-- split: child_a answers; child_b is sent the same.

local outcomes = require "outcomes"

local function first(o)
    local seconds = outcomes.seconds({ o[1] })
    return seconds and 1, seconds
end

describe("split", function()
    outcomes.table{ names = { "a", "b" }, route = [[return require "routes.split"{ child_a = a, child_b = b }]], model = first }

    it("lets child_b go on", function()
        route([[return require "routes.split"{ child_a = a, child_b = b }]], "a", "b")
        backend("b"):slow(0.3)
        expect(send("set foo 0 0 1", "x").time):equals(0)
        expect(backend("a"):get("foo")):equals("x")
        advance(1)
        expect(backend("b"):get("foo")):equals("x")
    end)
    it("wants both", function()
        expect(function() route([[return require "routes.split"{ child_a = a }]], "a") end):errors("child_b: is missing")
        expect(function() route([[return require "routes.split"{ child_b = a }]], "a") end):errors("child_a: is missing")
    end)
end)
