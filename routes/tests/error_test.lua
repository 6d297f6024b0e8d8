-- error: one line for everything.

local outcomes = require "outcomes"

describe("error", function()
    for _, command in ipairs(outcomes.commands) do
        it("answers " .. command.line, function()
            route([[return require "routes.error"{ message = "moved" }]], "a")
            expect(send(command.line, command.value).text):equals("SERVER_ERROR moved\r\n")
            expect(seen()):equals{}
        end)
    end
    it("says something without a message", function()
        route([[return require "routes.error"{}]])
        expect(send("get foo").text):equals("SERVER_ERROR this key is not served\r\n")
    end)
    it("can be the client's fault", function()
        route([[return require "routes.error"{ code = "client", message = "no such tenant" }]])
        expect(send("get foo").text):equals("CLIENT_ERROR no such tenant\r\n")
    end)
    it("is worse than a miss to a handler above it", function()
        route([[return require "routes.allfastest"{ children = { require "routes.error"{}, a }, miss = false }]], "a")
        backend("a"):slow(0.1)
        expect(send("get foo").text):equals("END\r\n")
    end)
    it("is better than no answer at all", function()
        route([[return require "routes.allfastest"{ children = { a, require "routes.error"{} } }]], "a")
        backend("a"):fails("timeout")
        expect(send("get foo").text):equals("SERVER_ERROR this key is not served\r\n")
    end)
    for message, problem in pairs{
        [""] = "error.message: is empty",
        ["a\\r\\nSTORED"] = "error.message: has a control character in it",
        [string.rep("x", 201)] = "error.message: is longer than 200 bytes",
    } do
        it("refuses the message " .. string.sub(message, 1, 10), function()
            expect(function() route('return require "routes.error"{ message = "' .. message .. '" }') end):errors(problem)
        end)
    end
    it("takes a message of 200 bytes", function()
        route('return require "routes.error"{ message = "' .. string.rep("x", 200) .. '" }')
        expect(send("get foo").text):equals("SERVER_ERROR " .. string.rep("x", 200) .. "\r\n")
    end)
end)
