-- What docs/routes.md says of deletes: which handlers answer one that failed somewhere with the error, and which confirm it.

-- TELL are handlers over a and b that tell of a failure of either, or of the one that is named; CONFIRM those that do not.
local TELL = {
    { [[require "routes.allsync"{ children = { a, b } }]] },
    { [[require "routes.canary"{ children = { a, b } }]] },
    { [[require "routes.migrate"{ from = a, to = b, start = mcp.time_real_millis() / 1000 - 5, interval = 10 }]] },
    { [[require "routes.tier"{ l1 = a, l2 = b }]] },
    { [[require "routes.warmup"{ cold = a, warm = b }]] },
    { [[require "routes.gutter"{ child = a, gutter = b, deletes = "both" }]], "a" },
    { [[require "routes.replicated"{ children = { a, b } }]] },
    { [[require "routes.failover"{ children = { a, b }, deletes = "all" }]] },
    { [[require "routes.delete_all"{ child = a, everywhere = { b }, wait = true }]] },
}
local CONFIRM = {
    { [[require "routes.failover"{ children = { a, b } }]] },
    { [[require "routes.zfailover"{ children = { x = a, y = b }, local_zone = "x" }]] },
    { [[require "routes.zoned"{ zones = { x = a, y = b }, near = "x" }]] },
    { [[require "routes.allfastest"{ children = { a, b } }]] },
    { [[require "routes.allinitial"{ children = { a, b } }]], "b" },
    { [[require "routes.allmajority"{ children = { a, b, c } }]] },
    { [[require "routes.allasync"{ children = { a, b } }]] },
    { [[require "routes.split"{ child_a = a, child_b = b }]], "b" },
    { [[require "routes.shadow"{ child = a, shadow = b }]], "b" },
    { [[require "routes.replicated"{ children = { a, b }, write = "async" }]], "b" },
    { [[require "routes.replicated"{ children = { a, b, c }, write = "majority" }]] },
    { [[require "routes.delete_all"{ child = a, everywhere = { b } }]], "b" },
    { [[require "routes.gutter"{ child = a, gutter = b, deletes = "both" }]], "b" },
}

for _, c in ipairs{ { TELL, true, "answers a delete that failed at " }, { CONFIRM, false, "confirms a delete that failed at " } } do
    for _, handler in ipairs(c[1]) do
        for _, name in ipairs(handler[2] and { handler[2] } or { "a", "b" }) do
            for _, kind in ipairs{ "timeout", "down", "closed" } do
                it(string.match(handler[1], "routes%.(%w+)") .. " " .. c[3] .. name .. " by " .. kind .. ": " .. handler[1], function()
                    route("return " .. handler[1], "a", "b", "c")
                    for _, b in ipairs{ "a", "b", "c" } do
                        backend(b):set("foo", "bar")
                    end
                    backend(name):fails(kind)
                    expect(send("delete foo").error):equals(c[2])
                end)
            end
        end
    end
end

it("replicated deletes a key in base64 where it is, which is by its text", function()
    config[[
        pools{ a = { backends = { "10.0.0.1:1 a1", "10.0.0.1:2 a2", "10.0.0.1:3 a3" } },
            b = { backends = { "10.0.0.2:1 b1", "10.0.0.2:2 b2", "10.0.0.2:3 b3" } } }
        routes{ default = route_replicated{ children = { "a", "b" } } }]]
    for _, key in ipairs{ "Zm9v", "YmFy", "cXV4", "YQ==" } do
        send("ms " .. key .. " 1 b", "1")
        expect(send("ma " .. key .. " b v").value):equals("2")
        for _ = 1, 4 do
            expect(send("mg " .. key .. " b v").value):equals("2")
        end
    end
end)
