-- The claims of warmup.lua: one read of the old pool for each key, and TTLs that go on.

local servers = require "servers"

describe("warmup", function()
    local old, new

    before_each(function()
        config{ file = "../warmup.lua" }
        old, new = servers.at(11212, 11213), servers.at(11214, 11215, 11216)
    end)

    it("reads a key from the old pool once, and keeps it with its TTL in the new one", function()
        old:set("foo", "bar", { ttl = 100, flags = 5 })
        advance(40)
        expect(send("get foo").text):equals("VALUE foo 5 3\r\nbar\r\nEND\r\n")
        expect(old:seen()):equals{ "mg foo f t v" }
        expect(send("get foo").value):equals("bar")
        expect(old:seen()):equals{}
        local value, more = new:get("foo")
        expect(value):equals("bar")
        expect(more.ttl):near(60, 1)
        expect(stat("main_warm")):equals(1)
    end)

    it("stores in the new pool alone", function()
        send("set foo 0 0 3", "bar")
        expect(new:get("foo")):equals("bar")
        expect(old:seen()):equals{}
    end)

    it("deletes from both, and nothing comes back", function()
        old:set("foo", "bar")
        send("get foo")
        expect(send("delete foo").line):equals("DELETED")
        expect(send("get foo").line):equals("END")
        expect(old:seen()):equals{ "mg foo f t v", "delete foo", "mg foo f t v" }
    end)

    it("has nothing to append to when the key is only in the old pool", function()
        old:set("foo", "bar")
        expect(send("append foo 0 0 1", "x").line):equals("NOT_STORED")
    end)
end)
