-- The claims of near.lua: who is asked, and how old an answer may be.

local servers = require "servers"

describe("near", function()
    local main

    before_each(function()
        config{ file = "../near.lua" }
        main = servers.at(11212, 11213, 11214)
        main:set("foo", "bar")
    end)

    -- read reads at so many a second.
    local function read(seconds, rate)
        for _ = 1, seconds * rate do
            expect(send("get foo").value):equals("bar")
            advance(1 / rate)
        end
        return #main:seen()
    end

    it("asks the server now and then for a key that is hot", function()
        read(2, 500)
        expect(read(10, 500)):near(5, 1) -- of 5000
        expect(stat("near_hits") > 4990):is_true()
    end)

    it("asks for all others every time", function()
        expect(read(5, 50)):equals(250)
        expect(stat("near_hits")):equals(0)
    end)

    it("gives its own clients what they have written, and others' writes two seconds later", function()
        read(2, 500)
        send("set foo 0 0 3", "new")
        expect(send("get foo").value):equals("new")
        main:set("foo", "far") -- through another proxy
        for _ = 1, 2 * 500 do
            send("get foo")
            advance(1 / 500)
        end
        expect(send("get foo").value):equals("far")
    end)

    it("keeps what it has over a reload", function()
        read(2, 500)
        send("get foo")
        main:seen()
        config{ file = "../near.lua" }
        expect(send("get foo").value):equals("bar")
        expect(main:seen()):equals{}
    end)
end)
