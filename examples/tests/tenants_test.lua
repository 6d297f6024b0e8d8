-- The claims of tenants.lua: who goes where, and that one does not take another's turn.

local servers = require "servers"

describe("tenants", function()
    local search, shared

    before_each(function()
        config{ file = "../tenants.lua" }
        search, shared = servers.at(11212, 11213), servers.at(11214, 11215)
    end)

    it("keeps them apart", function()
        send("set search/a 0 0 1", "1")
        send("set shop/a 0 0 1", "2")
        send("set mail/a 0 0 1", "3")
        expect(search:get("a")):equals("1")
        expect(shared:get("shop/a")):equals("2")
        expect(shared:get("mail/a")):equals("3")
        expect(send("get search/a").text):equals("VALUE search/a 0 1\r\n1\r\nEND\r\n")
        expect(send("get shop/a").value):equals("2")
    end)

    it("says that there is no such tenant, and sends nothing", function()
        for _, key in ipairs{ "a", "shopping/a", "/shop/a" } do
            expect(send("get " .. key).line):equals("SERVER_ERROR no such tenant: keys begin with search/, shop/ or mail/")
        end
        expect(seen()):equals{}
    end)

    it("has one tenant's requests wait, and not the others'", function()
        shared:slow(1)
        local mail = {}
        for i = 1, 80 do
            mail[i] = start("get mail/" .. i)
        end
        advance(0)
        expect(#shared:seen()):equals(50)
        local shop = start("get shop/a")
        advance(0)
        expect(shared:seen()):equals{ "get shop/a" }
        local refused = 0
        for i = 1, 80 do
            local res = mail[i]:wait()
            if res.error then
                refused = refused + 1
                expect(res.time):near(0.1, 0.01)
            end
        end
        expect(refused):equals(30)
        expect(stat("mail_refused")):equals(30)
        expect(shop:wait().line):equals("END")
        expect(stat("shop_refused")):equals(0)
    end)

    it("gives one connection 20 at once", function()
        shared:slow(1)
        client():start(string.rep("get shop/a\r\n", 30))
        advance(0)
        expect(#shared:seen()):equals(20)
    end)
end)
