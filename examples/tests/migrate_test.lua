-- The claims of migrate.lua: when keys move, that hits go on, and that deletes reach both pools. The clock begins at 2026-01-01 00:00.

local servers = require "servers"

local HOUR, KEYS = 3600, 300

describe("migrate", function()
    local old, new

    before_each(function()
        config{ file = "../migrate.lua" }
        old, new = servers.at(11212, 11213), servers.at(11214, 11215, 11216)
    end)

    -- moved counts the keys that are asked in the new pool; all are in the old one.
    local function moved()
        local n = 0
        seen()
        for i = 1, KEYS do
            expect(send("get foo" .. i).value):equals("bar")
            n = n + (#new:seen() > 0 and 1 or 0)
        end
        return n
    end

    it("moves no key before three, all until nine, and loses no hit", function()
        for i = 1, KEYS do
            old:set("foo" .. i, "bar")
        end
        expect(moved()):equals(0)
        advance(3 * HOUR)
        expect(moved() <= 1):is_true()
        advance(3 * HOUR)
        expect(moved()):near(KEYS / 2, KEYS / 20)
        advance(3 * HOUR)
        expect(moved()):equals(KEYS)
        expect(moved()):equals(KEYS)
        for i = 1, KEYS do
            expect(new:get("foo" .. i)):equals("bar")
        end
    end)

    it("stores a key where it is at the time", function()
        send("set foo 0 0 3", "bar")
        expect(new:seen()):equals{}
        advance(9 * HOUR)
        send("set foo 0 0 3", "new")
        expect(new:get("foo")):equals("new")
        expect(send("get foo").value):equals("new")
    end)

    it("deletes from both pools meanwhile", function()
        for _, at in ipairs{ 3 * HOUR - 9, 3 * HOUR + 9, 6 * HOUR, 9 * HOUR + 9 } do
            advance(at - now())
            old:set("foo", "bar")
            new:set("foo", "bar")
            expect(send("delete foo").line):equals("DELETED")
            expect(#old:seen() > 0 and #new:seen() > 0):is_true()
            expect(send("get foo").line):equals("END")
        end
    end)
end)
