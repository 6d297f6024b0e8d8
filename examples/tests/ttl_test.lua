-- The claims of ttl.lua: how long what is stored stays.

local servers = require "servers"

local DAY = 86400

describe("ttl", function()
    local main

    before_each(function()
        config{ file = "../ttl.lua" }
        main = servers.at(11212, 11213)
    end)

    local function lives(key)
        local _, of = main:get(key)
        return of.ttl
    end

    for _, c in ipairs{
        { "set foo 0 0 1", DAY }, { "set foo 0 60 1", 60 }, { "set foo 0 864000 1", DAY }, { "add foo 0 0 1", DAY },
        { "set foo 0 1800000000 1", DAY }, -- a date in 2027
        { "ms foo 1", DAY }, { "ms foo 1 T60", 60 }, { "ms foo 1 T864000", DAY },
        { "set session/foo 0 0 1", 1800 }, { "set session/foo 0 60 1", 1800 }, { "ms session/foo 1 T864000", 1800 },
    } do
        it("keeps " .. c[1] .. " for " .. c[2] .. " seconds", function()
            expect(send(c[1], "x").error):is_false()
            expect(lives(string.match(c[1], "%S*foo"))):near(c[2], 1)
        end)
    end

    for _, line in ipairs{ "touch %s 864000", "gat 864000 %s", "mg %s T864000" } do
        it("caps " .. line, function()
            send("set foo 0 60 1", "x")
            send("set session/foo 0 60 1", "x")
            advance(30)
            send(string.format(line, "foo"))
            expect(lives("foo")):near(DAY, 1)
            send(string.format(line, "session/foo"))
            expect(lives("session/foo")):near(1800, 1)
        end)
    end

    it("sends one request for each", function()
        send("set foo 0 0 1", "x")
        send("get foo")
        expect(#seen()):equals(2)
    end)

    it("leaves what is there alone", function()
        main:set("foo", "bar", { ttl = 10 * DAY })
        send("get foo")
        expect(lives("foo")):near(10 * DAY, 1)
    end)
end)
