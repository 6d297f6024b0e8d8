-- The claims of fill.lua: what is fetched, how often, and for how long it is kept.

local servers = require "servers"

describe("fill", function()
    local items, main, web

    before_each(function()
        config{ file = "../fill.lua" }
        items, main, web = servers.at(11212, 11213), servers.at(11214, 11215), backend("http://127.0.0.1:8080/items/%k")
        web:set("1", "bar")
    end)

    it("fetches once for fifty who miss, stores and answers", function()
        web:slow(0.5)
        local calls = {}
        for i = 1, 50 do
            calls[i] = start("get item/1")
        end
        for _, call in ipairs(calls) do
            expect(call:wait().value):equals("bar")
        end
        expect(web:seen()):equals{ "mg 1 v f t" }
        expect(send("get item/1").text):equals("VALUE item/1 0 3\r\nbar\r\nEND\r\n")
        expect(#web:seen()):equals(0)
    end)

    it("keeps items for five minutes, less up to a tenth", function()
        local least, most = math.huge, 0
        for i = 1, 50 do
            web:set(tostring(i), "bar")
            send("get item/" .. i)
            local _, of = items:get(tostring(i))
            least, most = math.min(least, of.ttl - 60), math.max(most, of.ttl - 60) -- 60: stale_while
        end
        expect(least >= 269 and most <= 301 and most - least > 10):is_true()
    end)

    it("answers the old value at once for a minute more, while one fetches", function()
        send("get item/1")
        web:set("1", "new")
        web:slow(0.5)
        advance(301)
        local res = send("get item/1")
        expect(res.value):equals("bar")
        expect(res.time):equals(0)
        advance(0.6)
        expect(send("get item/1").value):equals("new")
    end)

    it("remembers for ten seconds that there is none", function()
        expect(send("get item/none").line):equals("END")
        expect(send("get item/none").line):equals("END")
        expect(#web:seen()):equals(1)
        web:set("none", "now")
        advance(10.5)
        expect(send("get item/none").value):equals("now")
    end)

    it("answers an error after two seconds when the fetch hangs", function()
        web:fails("timeout")
        local res = send("get item/1")
        expect(res.error):is_true()
        expect(res.time):near(2, 0.01)
    end)

    it("fetches anew what was deleted", function()
        send("get item/1")
        web:set("1", "new")
        expect(send("get item/1").value):equals("bar")
        send("delete item/1")
        expect(send("get item/1").value):equals("new")
    end)

    it("leaves other keys alone", function()
        expect(send("get other/1").line):equals("END")
        expect(main:seen()):equals{ "get other/1" }
        expect(seen()):equals{}
    end)
end)
