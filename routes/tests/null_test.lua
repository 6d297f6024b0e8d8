-- null: it answers as routes.answers says, and sends nothing. What that is for every command is in answers_test.lua.

describe("null", function()
    for answer, text in pairs{ nothing = "NOT_STORED\r\n", success = "STORED\r\n" } do
        it("tells writes " .. answer, function()
            route([[return require "routes.null"{ answer = "]] .. answer .. [[" }]], "a")
            expect(send("set foo 0 0 1", "x").text):equals(text)
            expect(send("get foo").text):equals("END\r\n")
            expect(seen()):equals{}
        end)
    end
    it("answers that nothing happened without a word", function()
        route([[return require "routes.null"{}]])
        expect(send("set foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
    end)
    it("is a miss to a handler above it", function()
        route([[return require "routes.allfastest"{ children = { require "routes.null"{}, a } }]], "a")
        backend("a"):answers("SERVER_ERROR a")
        expect(send("get foo").text):equals("END\r\n")
        expect(send("delete foo").text):equals("NOT_FOUND\r\n")
    end)
    it("has no other answers", function()
        expect(function() route([[return require "routes.null"{ answer = "miss" }]]) end):errors('want one of "nothing", "success", got "miss"')
    end)
end)
