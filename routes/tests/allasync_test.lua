-- allasync: what the client is told whatever children do, and what they are sent.

local outcomes = require "outcomes"

-- What the client is told, whatever the children do.
local TOLD = {
    ["get foo"] = "END\r\n", ["gets foo"] = "END\r\n", ["mg foo v k O123"] = "EN kfoo O123\r\n", ["mg foo v q O123"] = "", ["gat 60 foo"] = "END\r\n",
    ["touch foo 60"] = "TOUCHED\r\n", ["set foo 0 60 1"] = "STORED\r\n", ["set foo 0 60 1 noreply"] = "",
    ["ms foo 1 T60 O123 k"] = "HD O123 kfoo\r\n",
    ["ms foo 1 q O123"] = "", ["cas foo 0 60 1 77"] = "STORED\r\n", ["append foo 0 60 1"] = "STORED\r\n", ["incr foo 1"] = "NOT_FOUND\r\n",
    ["ma foo v q"] = "NF\r\n", ["mg foo v N30"] = "EN\r\n", ["delete foo"] = "DELETED\r\n", ["md foo q k O123"] = "",
}

describe("allasync of two", function()
    outcomes.table{
        names = { "a", "b" }, route = [[return require "routes.allasync"{ children = { a, b } }]],
        outcomes = { "hit", "error", "never" },
        model = function(_, command) return TOLD[command.line], 0 end,
    }
end)

describe("allasync", function()
    it("stores everywhere, after the answer", function()
        route([[return require "routes.allasync"{ children = { a, b } }]], "a", "b")
        backend("b"):slow(0.5)
        expect(send("set foo 0 0 1", "x").time):equals(0)
        advance(1)
        expect(backend("a"):get("foo")):equals("x")
        expect(backend("b"):get("foo")):equals("x")
    end)
    it("counts failures", function()
        route([[return require "routes.allasync"{ children = { a, b } }]], "a", "b")
        for outcome, failed in pairs{ hit = 0, miss = 0, error = 1, timeout = 1, down = 1 } do
            local before = stat("allasync_failed")
            backend("a"):works()
            outcomes.behave("a", outcome, outcomes.command("set"))
            send("set foo 0 0 1", "x")
            advance(10)
            expect(stat("allasync_failed")):equals(before + failed)
        end
    end)
    it("counts under another name", function()
        route([[return require "routes.allasync"{ children = { a }, name = "lost" }]], "a")
        backend("a"):fails("down")
        send("set foo 0 0 1", "x")
        advance(1)
        expect(stat("lost_failed")):equals(1)
        expect(stat("allasync_failed")):is_nil()
    end)
    it("takes children by name, and wants some", function()
        route([[return require "routes.allasync"{ children = { y = a, x = b } }]], "a", "b")
        send("get foo")
        expect(seen()):equals{ "b: get foo", "a: get foo" }
        expect(function() route([[return require "routes.allasync"{}]], "a") end):errors("allasync.children: is missing")
    end)
    it("refuses a name that no counter can have", function()
        expect(function() route([[return require "routes.allasync"{ children = { a }, name = "a b" }]], "a") end):errors("spaces")
    end)
end)
