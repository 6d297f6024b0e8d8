-- The claims of gutter.lua: hits while servers are down, gone after a minute, and nothing for the gutter while all is well.

local servers = require "servers"

describe("gutter", function()
    local main, spare

    before_each(function()
        config{ file = "../gutter.lua" }
        main, spare = servers.at(11212, 11213, 11214), servers.at(11215)
    end)

    it("sends the gutter nothing while the pool is well", function()
        for i = 1, 100 do
            send("set foo" .. i .. " 0 0 3", "bar")
            send("get foo" .. i)
            send("get none" .. i)
            send("delete foo" .. i)
        end
        expect(spare:seen()):equals{}
        expect(stat("main_gutter")):equals(0)
    end)

    it("serves from the gutter while the pool is down, for 60 seconds", function()
        main:fails("down")
        expect(send("get foo").line):equals("END")
        expect(send("set foo 0 86400 3", "bar").line):equals("STORED")
        advance(59)
        expect(send("get foo").value):equals("bar")
        advance(1)
        expect(send("get foo").line):equals("END")
        expect(stat("main_gutter")):equals(4)
    end)

    it("serves the pool's items again when it is back, and none of the gutter's", function()
        main:set("foo", "real")
        main:fails("down")
        send("set foo 0 0 3", "bar")
        main:works()
        expect(send("get foo").value):equals("real")
        expect(send("set foo 0 0 3", "new").line):equals("STORED")
        advance(0.1)
        main:fails("down")
        expect(send("get foo").line):equals("END")
    end)

    it("deletes from both in the first minute after the gutter was used, then from the pool alone", function()
        main:fails("down")
        send("set foo 0 0 3", "bar")
        main:works()
        seen()
        send("delete foo")
        expect(#spare:seen()):equals(1)
        expect(spare:get("foo")):is_nil()
        advance(63)
        send("delete foo")
        expect(spare:seen()):equals{}
    end)

    it("asks the gutter a quarter of a second after a server that hangs", function()
        main:fails("timeout")
        expect(send("get foo").time):near(0.25, 0.01)
    end)
end)
