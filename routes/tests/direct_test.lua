-- direct: the child, whatever it answers.

local outcomes = require "outcomes"

describe("direct", function()
    outcomes.table{
        names = { "a" }, route = [[return require "routes.direct"{ child = a }]],
        model = function(o)
            local seconds = outcomes.seconds(o)
            return seconds and 1, seconds
        end,
    }
    it("wants a child", function()
        expect(function() route([[return require "routes.direct"{}]], "a") end):errors("direct.child: is missing: want a pool")
    end)
end)
