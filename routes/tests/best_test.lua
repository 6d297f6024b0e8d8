-- best: which of several answers is the best.

local RANKED = { "VALUE foo 0 1\r\nx\r\nEND", "END", "SERVER_ERROR x", "timeout", "down" } -- the best first

local function answers(name, i)
    if RANKED[i] == "timeout" or RANKED[i] == "down" then
        backend(name):fails(RANKED[i])
    else
        backend(name):answers(RANKED[i])
    end
end

describe("best", function()
    for i = 1, #RANKED do
        for j = 1, #RANKED do
            it("of " .. RANKED[i] .. " and " .. RANKED[j], function()
                route([[
                    local best = require "routes.best"
                    return function(r)
                        local one, two = a(r), b(r)
                        local list, also = best({ one, two }), best({ two }, one)
                        return "SERVER_ERROR " .. list:rank() .. " " .. also:rank() .. " " .. tostring(list == one) .. "\r\n"
                    end]], "a", "b")
                answers("a", i)
                answers("b", j)
                local rank = #RANKED - math.min(i, j)
                expect(send("get foo").line):equals("SERVER_ERROR " .. rank .. " " .. rank .. " " .. tostring(i <= j))
            end)
        end
    end
    it("of nothing is nothing, or what else there is", function()
        route([[
            local best = require "routes.best"
            return function(r)
                local one = a(r)
                return "SERVER_ERROR " .. tostring(best({})) .. " " .. tostring(best({}, one) == one) .. "\r\n"
            end]], "a")
        expect(send("get foo").line):equals("SERVER_ERROR nil true")
    end)
end)
