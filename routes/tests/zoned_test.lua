-- Tests of routes/zoned.lua.

describe("zoned", function()
    before_each(function()
        route([[return require "routes.zoned"{ zones = { z1 = near, z2 = far1, z3 = far2 }, near = "z1" }]], "near", "far1", "far2")
    end)

    it("reads from the near zone", function()
        backend("near"):set("foo", "bar")
        local res = send("get foo")
        expect(res.text):equals("VALUE foo 0 3\r\nbar\r\nEND\r\n")
        expect(res.value):equals("bar")
        expect(seen()):equals{ "near: get foo" }
    end)

    it("asks the others on a miss", function()
        backend("far2"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
        expect(seen()):equals{ "near: get foo", "far1: get foo", "far2: get foo" }
    end)

    it("writes to every zone", function()
        expect(send("set foo 0 0 3", "bar").line):equals("STORED")
        for _, zone in ipairs{ "near", "far1", "far2" } do
            expect(backend(zone):get("foo")):equals("bar")
        end
    end)

    it("takes as long as the near zone's timeout, and then the far ones answer", function()
        backend("near"):fails("timeout")
        backend("far1"):set("foo", "bar")
        local res = send("get foo")
        expect(res.value):equals("bar")
        expect(res.time):equals(3)
    end)
end)
