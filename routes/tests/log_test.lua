-- log: the answer as it is, and which requests are logged.

local outcomes = require "outcomes"

-- The answer is the child's.
describe("log", function()
    outcomes.table{
        names = { "a" }, route = [[return require "routes.log"{ child = a, tag = "t" }]],
        model = function(o)
            local seconds = outcomes.seconds(o)
            return seconds and 1, seconds
        end,
    }

    local function logged(fields)
        route([[return require "routes.log"{ child = a]] .. fields .. " }", "a")
    end

    it("logs every request without conditions", function()
        logged([[, tag = "mine"]])
        backend("a"):set("foo", "bar")
        log()
        send("get foo")
        local lines = log()
        expect(#lines):equals(1)
        expect(lines[1]):contains("mine")
        expect(lines[1]):contains("get")
        expect(lines[1]):contains("foo")
    end)
    it("logs what is slow", function()
        logged(", deadline = 0.1")
        send("get foo")
        expect(#log()):equals(0)
        backend("a"):slow(0.2, 1)
        send("get foo")
        expect(#log()):equals(1)
        backend("a"):slow(0.05, 1)
        send("get foo")
        expect(#log()):equals(0)
    end)
    it("logs what fails", function()
        logged(", errors = true")
        send("get foo")
        expect(#log()):equals(0)
        backend("a"):answers("SERVER_ERROR x")
        send("get foo")
        expect(#log()):equals(1)
        backend("a"):fails("timeout")
        send("get foo")
        expect(#log()):equals(1)
        backend("a"):fails("down")
        send("get foo")
        expect(#log()):equals(1)
    end)
    it("logs one in so many", function()
        logged(", rate = 1")
        for _ = 1, 5 do
            send("get foo")
        end
        expect(#log()):equals(5)
    end)
    it("refuses what is no condition", function()
        expect(function() logged(", deadline = 0") end):errors("log.deadline: want more than 0, got 0")
        expect(function() logged(", rate = 0") end):errors("log.rate: want at least 1, got 0")
    end)
end)
