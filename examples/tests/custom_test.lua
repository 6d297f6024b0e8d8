-- The claims of custom.lua: reads from the replica, but for some seconds after a write.

describe("custom", function()
    before_each(function()
        config{ file = "../custom.lua" }
        backend("127.0.0.1:11213"):set("foo", "old")
    end)

    it("reads from the replica", function()
        expect(send("get foo").value):equals("old")
        expect(seen()):equals{ "127.0.0.1:11213: get foo" }
    end)

    for _, write in ipairs{ { "set foo 0 0 3", "new" }, { "add foo 0 0 3", "new" }, { "ms foo 3", "new" } } do
        it("reads what " .. write[1] .. " wrote, by get and mg, until the replica must have it", function()
            send(write[1], write[2])
            expect(send("get foo").value):equals("new")
            advance(4)
            expect(send("mg foo v").value):equals("new")
            advance(1.1)
            expect(send("get foo").value):equals("old")
        end)
    end
end)
