-- nested: what a handler makes of a request, others are not sent; and every handler's own answers are such as a server's.

describe("what a handler makes of a request others are not sent:", function()
    it("lease, where an item is missing", function()
        route([[
            local failover, lease = require "routes.failover", require "routes.lease"
            return failover{ children = { lease{ child = a }, b } }]], "a", "b")
        backend("a"):fails("down")
        expect(send("mg k v").text):equals("EN\r\n")
        expect(seen()):equals{ "b: mg k v" }
    end)
    it("lease, and the next one", function()
        route([[
            local replicated, lease = require "routes.replicated", require "routes.lease"
            return replicated{ children = { lease{ child = a }, lease{ child = b } }, read = "spread", miss = true }]], "a", "b")
        expect(send("mg k v").text):equals("EN\r\n")
    end)
    it("lease, and who touches", function()
        route([[return require "routes.lease"{ child = a }]], "a")
        backend("a"):set("k", "v")
        expect(send("mg k T30 k").text):equals("HD kk\r\n")
        expect(seen()):equals{ "a: mg k N10 k s", "a: mg k T30 k" }
    end)
    it("lease, and who deletes", function()
        route([[
            local gutter, lease = require "routes.gutter", require "routes.lease"
            return gutter{ child = lease{ child = a, stale = 30 }, gutter = b }]], "a", "b")
        backend("a"):fails("down")
        backend("b"):set("k", "v")
        send("md k")
        expect(seen()):equals{ "b: md k" }
    end)
    it("bigvalue, of a delete", function()
        route([[
            local failover, big = require "routes.failover", require "routes.bigvalue"
            return failover{ children = { big{ child = a }, big{ child = b } } }]], "a", "b")
        backend("a"):set("k", "v")
        backend("b"):set("other", "v") -- so that the CAS values are not the same
        backend("b"):set("k", "v")
        backend("a"):answers{ "HD s1 c77", "SERVER_ERROR oh" }
        expect(send("md k").text):equals("HD\r\n")
    end)
    it("near, of a stale set", function()
        route([[
            local failover, near = require "routes.failover", require "routes.near"
            return failover{ children = { near{ child = a, promote = 0, stale_sets = "delete" }, b } }]], "a", "b")
        backend("a"):set("k", "v")
        backend("b"):set("other", "v")
        backend("b"):set("k", "v")
        for _ = 1, 3 do
            send("get k")
        end
        backend("a"):fails("down")
        expect(send("ms k 1", "w").text):equals("HD\r\n")
    end)
end)

describe("a miss repeats opaque and key behind", function()
    for _, d in ipairs{
        { "near", "child = a, promote = 0" }, { "lease", "child = a" }, { "lease", "child = a, wait = 0" },
        { "fill", "child = a, getter = function() end" },
        { "bigvalue", "child = a, threshold = 100" }, { "hotkey", "child = a, threshold = 0" }, { "coalesce", "child = a" },
        { "tier", "l1 = a, l2 = b, negative = 2" }, { "warmup", "cold = a, warm = b" }, { "null", "" }, { "gutter", "child = a, gutter = b" },
        { "key", 'child = a, add = "zz"' }, { "hedged", "children = { a, b }" }, { "allasync", "children = { a, b }" },
    } do
        it(d[1] .. "{ " .. d[2] .. " }", function()
            route('return require "routes.' .. d[1] .. '"{ ' .. d[2] .. " }", "a", "b")
            for _ = 1, 2 do -- the second time by what is known of the first
                expect(send("mg nokey v k O123 f").text):equals("EN knokey O123\r\n")
            end
            expect(send("mg bm9r b v O1 k").text):equals("EN O1 kbm9r b\r\n")
        end)
    end
end)

describe("a key that is no base64", function()
    for _, d in ipairs{
        { "tier", "l1 = a, l2 = b" }, { "replicated", "children = { a, b }" }, { "warmup", "cold = a, warm = b" },
        { "gutter", "child = a, gutter = b" }, { "delete_all", "child = a, everywhere = { b }, sets = true" },
    } do
        for _, line in ipairs{ "ms k 1 b", "md k b", "ma k b", "mg k b T30", "ms k 1 b ME" } do
            for _, how in ipairs{ "works", "fails" } do
                it("is told to who sends " .. line .. " by " .. d[1] .. ", which " .. how, function()
                    route('return require "routes.' .. d[1] .. '"{ ' .. d[2] .. " }", "a", "b")
                    for _, name in ipairs{ "a", "b" } do
                        if how == "fails" then
                            backend(name):fails("timeout")
                        end
                    end
                    expect(send(line, line:find("ms") and "x" or nil).text:find("lua failure")):is_nil()
                end)
            end
        end
    end
end)
