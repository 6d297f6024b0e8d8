-- The claims of hedged.lua: a pause of one replica is not seen, and the extra reads are bounded.

local servers = require "servers"

describe("hedged", function()
    local all, first

    before_each(function()
        config{ file = "../hedged.lua" }
        all, first = servers.at(11212, 11213, 11214), backend("127.0.0.1:11212")
        all:set("foo", "bar")
        all:slow(0.001)
        for _ = 1, 600 do
            send("get foo")
        end
        seen()
    end)

    it("reads each in turn", function()
        for _ = 1, 30 do
            send("get foo")
        end
        expect(all:counts()):equals{ 10, 10, 10 }
        expect(stat("main_sent")):equals(0)
    end)

    it("waits for a pause of 100 ms no longer than three of the usual answers", function()
        for _ = 1, 10 do
            first:slow(0.1, 1) -- one of its answers
            local most = 0
            for _ = 1, 60 do
                local res = send("get foo")
                expect(res.value):equals("bar")
                most = math.max(most, res.time)
            end
            expect(most):near(0.003, 0.0001)
        end
        expect(stat("main_sent")):equals(10)
        expect(stat("main_won")):equals(10)
    end)

    it("sends at most 5 % more when all are slow", function()
        all:slow(0.1)
        for _ = 1, 400 do
            send("get foo")
        end
        expect(#all:seen() <= 400 + 0.05 * (400 + 600)):is_true() -- the reads before have saved, too
    end)

    it("reads the next of a replica that is dead", function()
        first:fails("down")
        for _ = 1, 300 do
            expect(send("get foo").value):equals("bar")
        end
        expect(stat("main_retried")):equals(100)
    end)

    it("writes to all", function()
        send("set foo 0 0 3", "new")
        expect(all:counts()):equals{ 1, 1, 1 }
        send("delete foo")
        expect(all:get("foo")):is_nil()
    end)
end)
