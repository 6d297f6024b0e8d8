-- The claims of canary.lua: what kills a server kills one.

local servers = require "servers"

describe("canary", function()
    local canary, rest

    before_each(function()
        config{ file = "../canary.lua" }
        canary, rest = servers.at(11212), servers.at(11213, 11214)
    end)

    it("stores in all, the canary first", function()
        servers.at(11212, 11213, 11214):slow(0.01)
        local res = send("set foo 0 0 3", "bar")
        expect(res.line):equals("STORED")
        expect(res.time):near(0.02, 0.001)
        expect(seen()[1]):equals("127.0.0.1:11212: set foo 0 0 3")
        expect(rest:get("foo")):equals("bar")
    end)

    for _, line in ipairs{ "set foo 0 0 3", "delete foo", "ms foo 3", "md foo" } do
        it("loses one replica, not all, to a " .. line, function()
            rest:set("foo", "old")
            canary:fails("closed")
            expect(send(line, string.match(line, "3$") and "bad").error):is_true()
            expect(rest:seen()):equals{}
            expect(rest:get("foo")):equals("old")
        end)
    end

    it("reads from all in turn, and from the others when one fails", function()
        send("set foo 0 0 3", "bar")
        seen()
        for _ = 1, 30 do
            expect(send("get foo").value):equals("bar")
        end
        expect(servers.at(11212, 11213, 11214):counts()):equals{ 10, 10, 10 }
        canary:fails("down")
        for _ = 1, 30 do
            expect(send("get foo").value):equals("bar")
        end
    end)
end)
