-- The claims of ratelimit.lua: a thousand a second, and nothing else is touched.

local servers = require "servers"

describe("ratelimit", function()
    local main

    before_each(function()
        config{ file = "../ratelimit.lua" }
        main = servers.at(11212, 11213)
        main:set("batch/foo", "bar")
        main:set("foo", "bar")
    end)

    local function hits(key, n)
        local found = 0
        for _ = 1, n do
            local res = send("get " .. key)
            expect(res.error):is_false()
            found = found + (res.value and 1 or 0)
        end
        return found
    end

    it("lets a burst of a thousand through, and then a thousand a second", function()
        expect(hits("batch/foo", 3000)):equals(1000)
        expect(stat("batch_limited")):equals(2000)
        local found = 0
        for _ = 1, 50 do
            advance(0.1)
            found = found + hits("batch/foo", 300)
        end
        expect(found / 5):near(1000, 20)
    end)

    it("answers over the limit as if there were nothing, and does nothing", function()
        hits("batch/foo", 1000)
        seen()
        expect(send("get batch/foo").line):equals("END")
        expect(send("set batch/foo 0 0 3", "new").line):equals("NOT_STORED")
        expect(seen()):equals{}
    end)

    it("always deletes", function()
        hits("batch/foo", 2000)
        expect(send("delete batch/foo").line):equals("DELETED")
    end)

    it("lets other keys through while the batch is over its limit", function()
        hits("batch/foo", 2000)
        expect(hits("foo", 2000)):equals(2000)
    end)
end)
