-- Tests of near: writes that were not answered, and others after them.

describe("near", function()
    before_each(function()
        route("return require \"routes.near\"{ child = a, promote = 0, ttl = 10 }", "a")
        backend("a"):set("foo", "bar", { flags = 5 })
    end)

    -- One that was not answered may be done after one that was.
    for _, w in ipairs{ { "set foo 0 0 1", "y" }, { "ms Zm9v 1 b", "y" }, { "delete foo" } } do
        for _, when in ipairs{ "later", "at once" } do
            it("keeps nothing for a while after a write that timed out, though " .. w[1] .. " is answered, sent " .. when, function()
                backend("a"):fails("timeout", 1)
                local lost = client():start("set foo 0 0 1", "x")
                advance(2.5)
                if when == "at once" then
                    backend("a"):slow(1, 1)
                    local write = client():start(w[1], w[2])
                    lost:wait()
                    write:wait()
                else
                    lost:wait()
                    advance(4)
                    send(w[1], w[2])
                end
                backend("a"):set("foo", "z")
                for _ = 1, 3 do
                    seen()
                    send("get foo")
                    send("get foo")
                    expect(#seen()):equals(2)
                    advance(2.6)
                end
                advance(when == "later" and 0 or 3.5)
                send("get foo")
                seen()
                send("get foo")
                expect(#seen()):equals(0)
            end)
        end
    end

    it("keeps again at once after a write that was refused, or not sent, and one that was done", function()
        for _, how in ipairs{ "down", "SERVER_ERROR busy" } do
            if how == "down" then
                backend("a"):fails(how, 1)
            else
                backend("a"):answers{ how }
            end
            send("set foo 0 0 1", "x")
            send("set foo 0 0 1", "y")
            send("get foo")
            seen()
            send("get foo")
            expect(#seen()):equals(0)
        end
    end)
end)
