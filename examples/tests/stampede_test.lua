-- The claims of stampede.lua: a crowd reaches the pool once.

local servers = require "servers"

local CROWD = 50

describe("stampede", function()
    local main

    before_each(function()
        config{ file = "../stampede.lua" }
        main = servers.at(11212, 11213, 11214)
    end)

    local function crowd(key)
        local calls = {}
        for i = 1, CROWD do
            calls[i] = start("get " .. key)
        end
        return calls
    end

    -- missed counts who got a miss, of those who have an answer.
    local function missed(calls)
        local n = 0
        for _, call in ipairs(calls) do
            n = n + (call:done() and call:wait().line == "END" and 1 or 0)
        end
        return n
    end

    it("tells one of fifty that a page is missing, and gives the others what it makes", function()
        local calls = crowd("page/1")
        advance(0.5)
        expect(missed(calls)):equals(1)
        send("set page/1 0 0 3", "bar")
        local hits = 0
        for _, call in ipairs(calls) do
            hits = hits + (call:wait().value == "bar" and 1 or 0)
        end
        expect(hits):equals(CROWD - 1)
    end)

    it("gives those who wait a miss after a second when nobody makes it", function()
        local calls = crowd("page/1")
        advance(1.1)
        expect(missed(calls)):equals(CROWD)
    end)

    it("answers the old page while one makes the new one", function()
        send("set page/1 0 0 3", "old")
        send("delete page/1")
        local calls = crowd("page/1")
        advance(0)
        expect(missed(calls)):equals(1)
        local old = 0
        for _, call in ipairs(calls) do
            local res = call:wait()
            expect(res.time):equals(0)
            old = old + (res.value == "old" and 1 or 0)
        end
        expect(old):equals(CROWD - 1)
        advance(30)
        expect(send("get page/1").line):equals("END")
    end)

    for what, line in pairs{ hit = "VALUE foo 0 3", miss = "END" } do
        it("asks the pool once for fifty who read the same, a " .. what, function()
            if what == "hit" then
                main:set("foo", "bar")
            end
            main:slow(0.01)
            for _, call in ipairs(crowd("foo")) do
                expect(call:wait().line):equals(line)
            end
            expect(main:seen()):equals{ "get foo" }
            expect(stat("main_shared")):equals(CROWD - 1)
        end)
    end
end)
