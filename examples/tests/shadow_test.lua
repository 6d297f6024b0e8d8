-- The claims of shadow.lua: a tenth of the keys, nobody waits, and what differs is told.

local servers = require "servers"

local KEYS = 1000

describe("shadow", function()
    local old, new

    before_each(function()
        config{ file = "../shadow.lua" }
        old, new = servers.at(11212, 11213), servers.at(11214, 11215)
    end)

    -- copied gives the keys whose requests the new pool is sent.
    local function copied()
        local keys = {}
        new:seen()
        for i = 1, KEYS do
            send("set foo" .. i .. " 0 0 3", "bar")
            for _ in ipairs(new:seen()) do
                keys[#keys + 1] = "foo" .. i
            end
        end
        return keys
    end

    it("copies what is done to a tenth of the keys, always the same", function()
        local keys = copied()
        expect(#keys):near(KEYS / 10, KEYS / 40)
        expect(copied()):equals(keys)
        for _, key in ipairs(keys) do
            expect(send("get " .. key).value):equals("bar")
            expect(new:get(key)):equals("bar")
        end
        expect(stat("main_copied")):equals(3 * #keys)
        expect(stat("main_same")):equals(3 * #keys)
        expect(stat("main_different")):equals(0)
    end)

    it("counts and logs what differs, and answers as the old pool does", function()
        local key = copied()[1]
        log()
        new:set(key, "baz")
        expect(send("get " .. key).value):equals("bar")
        advance(0.1)
        expect(stat("main_different")):equals(1)
        expect(log()[1]):contains("shadow differs")
    end)

    it("waits for nothing", function()
        local key = copied()[1]
        new:slow(1)
        old:slow(0.01)
        expect(send("get " .. key).time):near(0.01, 0.001)
    end)

    it("sends a pool that hangs 500 copies and no more", function()
        local key = copied()[1]
        new:seen()
        new:fails("timeout")
        for _ = 1, 600 do
            expect(send("get " .. key).value):equals("bar")
        end
        expect(#new:seen()):equals(500)
        expect(stat("main_skipped")):equals(100)
    end)
end)
