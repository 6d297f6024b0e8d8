-- The claims of replicated.lua: reads near, writes in both zones, read-modify-write in one.

local servers = require "servers"

describe("replicated", function()
    local west, east

    before_each(function()
        config{ file = "../replicated.lua" }
        west, east = servers.at(11212, 11213), servers.at(11214, 11215)
    end)

    it("stores and deletes in both zones", function()
        expect(send("set foo 0 0 3", "bar").line):equals("STORED")
        expect(west:get("foo")):equals("bar")
        expect(east:get("foo")):equals("bar")
        expect(send("delete foo").line):equals("DELETED")
        expect(west:get("foo")):is_nil()
        expect(east:get("foo")):is_nil()
    end)

    it("reads in its own zone", function()
        send("set foo 0 0 3", "bar")
        seen()
        expect(send("get foo").value):equals("bar")
        expect(west:seen()):equals{ "get foo" }
        expect(east:seen()):equals{}
    end)

    it("reads in the other zone when its own fails", function()
        send("set foo 0 0 3", "bar")
        west:fails("down")
        expect(send("get foo").value):equals("bar")
    end)

    it("waits for both zones, and says when one has not stored", function()
        east:slow(0.08)
        expect(send("set foo 0 0 3", "bar").time):near(0.08, 0.001)
        west:slow(0.09)
        expect(send("set foo 0 0 3", "bar").time):near(0.09, 0.001)
        west:fails("down")
        expect(send("set foo 0 0 3", "bar").error):is_true()
        west:works()
        east:fails("down")
        expect(send("set foo 0 0 3", "new").error):is_true()
        expect(west:get("foo")):equals("new")
        east:works()
        expect(east:get("foo")):equals("bar") -- the older item, when it is back
    end)

    it("counts in the first zone by name, whoever counts", function()
        send("set n 0 0 1", "0")
        expect(send("incr n 1").line):equals("1")
        east:set("n", "2") -- a proxy in the other zone has counted
        expect(send("incr n 1").line):equals("3")
        expect(west:get("n")):is_nil()
        expect(send("get n").value):equals("3")
    end)
end)
