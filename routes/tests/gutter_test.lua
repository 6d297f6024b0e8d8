-- Tests of routes/gutter.lua.

local model = require "model"

-- capped is what the gutter is sent of a request.
local CAPPED = { ["set k 0 60 1"] = "set k 0 10 1", ["add k 0 60 1"] = "add k 0 10 1", ["ms k 1 T60"] = "ms k 1 T10",
    ["gat 60 k"] = "gat 10 k", ["touch k 60"] = "touch k 10" }

local CHANGES = { store = true, modify = true, touch = true }

-- predict says what a child a and a gutter b answer and send. recent: the gutter may hold something.
local function predict(list, req, recent)
    local child, gutter = list[1], list[2]
    local failed = model.rank[child] < 3
    local sent = { model.sent("a", child, req) }
    local there = model.sent("b", gutter, { line = CAPPED[req.line] or req.line })
    if req.class == "delete" then
        if failed or recent then
            sent[#sent + 1] = there
        end
        if not failed and recent and model.rank[gutter] > model.rank[child] then
            return model.text("b", gutter, req), sent
        end
        return model.text("a", child, req), sent
    elseif failed then
        sent[#sent + 1] = there
        local best = model.best(list)
        return model.text(best == 1 and "a" or "b", list[best], req), sent
    end
    if child == "hit" and CHANGES[req.class] and recent then
        sent[#sent + 1] = model.sent("b", gutter, { line = "delete k" })
    end
    return model.text("a", child, req), sent
end

describe("gutter, whatever its children do:", function()
    for _, recent in ipairs{ false, true } do
        for _, req in ipairs(model.requests) do
            it(req.line .. (recent and ", soon after the gutter was used" or ""), function()
                route("return require 'routes.gutter'{ child = a, gutter = b, ttl = 10 }", "a", "b")
                model.combinations(2, function(list)
                    if recent then
                        backend("a"):fails("down")
                        send("set other 0 0 1", "x")
                    else
                        advance(13)
                    end
                    for i, o in ipairs(list) do
                        model.apply(i == 1 and "a" or "b", o, req)
                    end
                    seen()
                    local text, sent = predict(list, req, recent)
                    local what = table.concat(list, " ") .. " => "
                    expect(what .. send(req.line, req.value).text):equals(what .. text)
                    expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                end)
            end)
        end
    end
end)

describe("gutter", function()
    local function gutter(fields)
        route("return require 'routes.gutter'{ child = a, gutter = b" .. (fields or "") .. " }", "a", "b")
    end

    it("is sent nothing while the child is well", function()
        gutter()
        for _, req in ipairs(model.requests) do
            send(req.line, req.value)
        end
        expect(backend("b"):seen()):equals{}
    end)

    it("serves what was stored while the child was away, for a minute", function()
        gutter()
        backend("a"):fails("down")
        expect(send("set foo 7 0 3", "bar").line):equals("STORED")
        expect(send("get foo").text):equals("VALUE foo 7 3\r\nbar\r\nEND\r\n")
        local _, about = backend("b"):get("foo")
        expect(about.ttl):equals(60)
        advance(61)
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("puts its TTL on whatever sets one, and shortens none", function()
        gutter(", ttl = 30")
        backend("a"):fails("down")
        for line, want in pairs{
            ["set k 0 0 1"] = "set k 0 30 1", ["set k 0 31 1"] = "set k 0 30 1", ["set k 0 30 1"] = "set k 0 30 1", ["set k 0 29 1"] = "set k 0 29 1",
            ["set k 0 -1 1"] = "set k 0 -1 1", ["set k 0 2592000 1"] = "set k 0 30 1", ["set k 0 1767225610 1"] = "set k 0 1767225610 1",
            ["set k 0 1767999999 1"] = "set k 0 30 1", ["set k 0 2592001 1"] = "set k 0 2592001 1",
            ["add k 0 0 1"] = "add k 0 30 1", ["replace k 0 0 1"] = "replace k 0 30 1", ["cas k 0 0 1 5"] = "cas k 0 30 1 5",
            ["append k 0 0 1"] = "append k 0 0 1",
            ["ms k 1"] = "ms k 1 T30", ["ms k 1 T0 c"] = "ms k 1 T30 c", ["ms k 1 T5"] = "ms k 1 T5", ["ms k 1 c T-1"] = "ms k 1 c T-1",
            ["ms k 1 MA N0"] = "ms k 1 MA N30 T30", ["ms azE= 1 b F5"] = "ms azE= 1 b F5 T30",
        } do
            send(line, "x")
            expect(seen()):equals{ "b: " .. want }
        end
        for line, want in pairs{
            ["touch k 0"] = "touch k 30", ["gat 100 k"] = "gat 30 k", ["gats 0 k"] = "gats 30 k", ["mg k T99 v"] = "mg k T30 v",
            ["mg k N0 v"] = "mg k N30 v",
            ["ma k N99 J1 T0"] = "ma k N30 J1 T30", ["ma k"] = "ma k", ["incr k 1"] = "incr k 1", ["get k"] = "get k", ["mg T99 v"] = "mg T99 v",
            ["mg k Tx v"] = "mg k Tx v",
        } do
            send(line)
            expect(seen()):equals{ "b: " .. want }
        end
    end)

    it("never puts a TTL on a delete", function()
        gutter()
        for _, line in ipairs{ "delete k", "md k", "md k q O1" } do
            backend("a"):fails("down")
            send(line)
            expect(#backend("b"):seen()):equals(1)
        end
        backend("b"):set("foo", "old")
        expect(send("md foo").error):is_true()
        expect((backend("b"):get("foo"))):is_nil()
    end)

    it("is left as soon as the child is well again", function()
        gutter()
        backend("a"):fails("timeout", 5)
        for _ = 1, 5 do
            send("get foo")
        end
        backend("a"):set("foo", "bar")
        seen()
        expect(send("get foo").value):equals("bar")
        expect(seen()):equals{ "a: get foo" }
    end)

    it("does not serve, when the child fails again, what was deleted meanwhile", function()
        gutter()
        backend("a"):fails("down", 1)
        send("set foo 0 0 3", "old")
        send("delete foo")
        backend("a"):fails("down")
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("does not serve, when the child fails again, what was set anew meanwhile", function()
        gutter()
        backend("a"):fails("down", 1)
        send("set foo 0 0 3", "old")
        send("set foo 0 0 3", "new")
        backend("a"):fails("down")
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("is sent such deletes after the answer", function()
        gutter()
        backend("a"):fails("down", 1)
        send("set foo 0 0 3", "old")
        backend("b"):slow(0.5)
        expect(send("set foo 0 0 3", "new").time):equals(0)
    end)

    it("is sent nothing that cannot be given a TTL", function()
        gutter()
        backend("a"):fails("down")
        expect(send("ms foo 1 F" .. string.rep("0", 486), "x").text):equals("SERVER_ERROR backend failure\r\n")
        expect(backend("b"):seen()):equals{}
    end)

    it("does not say that a delete is done while the child may serve the item again", function()
        gutter()
        backend("a"):set("foo", "old")
        backend("b"):set("foo", "old")
        backend("a"):fails("down", 1)
        expect(send("delete foo").text):equals("SERVER_ERROR backend failure\r\n")
        expect((backend("b"):get("foo"))):is_nil()
        expect(send("delete foo").line):equals("DELETED")
    end)

    it("is sent deletes for as long as it may hold something, and not longer", function()
        gutter(", ttl = 20")
        backend("a"):fails("down", 1)
        send("set foo 0 0 3", "bar")
        seen()
        advance(20)
        send("delete foo")
        expect(seen()):equals{ "a: delete foo", "b: delete foo" }
        advance(2.5)
        send("delete foo")
        expect(seen()):equals{ "a: delete foo" }
    end)

    it("notes later uses too", function()
        gutter(", ttl = 20")
        backend("a"):fails("down")
        for _ = 1, 50 do
            send("set foo 0 0 3", "bar")
            advance(0.7)
        end
        backend("a"):works()
        advance(18)
        seen()
        send("delete foo")
        expect(seen()):equals{ "a: delete foo", "b: delete foo" }
    end)

    -- two gives two routes of one name, whose items live in their gutters for so many seconds.
    local function two(one, other)
        config([[
            pools{ a = { backends = { "10.0.0.1:1 a" } }, b = { backends = { "10.0.0.1:2 b" } },
                c = { backends = { "10.0.0.1:3 c" } }, d = { backends = { "10.0.0.1:4 d" } } }
            routes{ default = route_prefix{ map = {
                one = route_gutter{ child = "a", gutter = "b", ttl = ]] .. one .. [[ },
                other = route_gutter{ child = "c", gutter = "d", ttl = ]] .. other .. [[ },
            } } }]])
    end

    -- left has key stored in the gutter while the child is away.
    local function left(child, key)
        backend(child):fails("down", 1)
        expect(send("set " .. key .. " 0 0 3", "old").line):equals("STORED")
    end

    it("is sent deletes for that long though another route needs them less long", function()
        two(100, 5)
        left("a", "one/k")
        advance(2)
        left("c", "other/k")
        advance(20)
        send("delete one/k")
        backend("a"):fails("down")
        expect(send("get one/k").text):equals("END\r\n")
        expect(seen()):contains("b: delete one/k")
        advance(85)
        send("delete other/k")
        expect(seen()):equals{ "c: delete other/k" }
    end)

    it("is sent deletes for that long though a reload has made it shorter", function()
        two(100, 100)
        left("a", "one/k")
        two(5, 5)
        left("a", "one/other")
        advance(20)
        seen()
        send("delete one/k")
        expect(seen()):equals{ "a: delete one/k", "b: delete one/k" }
    end)

    it("is sent deletes for longer when a route needs them longer", function()
        two(5, 100)
        left("a", "one/k")
        left("c", "other/k")
        advance(20)
        seen()
        send("delete other/k")
        expect(seen()):equals{ "c: delete other/k", "d: delete other/k" }
    end)

    it("is not in use when it was only read", function()
        gutter()
        backend("a"):fails("down", 1)
        send("get foo")
        seen()
        send("delete foo")
        expect(seen()):equals{ "a: delete foo" }
    end)

    it("may be sent all deletes", function()
        gutter(", deletes = 'both'")
        backend("b"):set("foo", "bar")
        expect(send("delete foo").line):equals("DELETED")
        expect((backend("b"):get("foo"))):is_nil()
    end)

    it("is sent a delete with a CAS value without it", function()
        gutter(", deletes = 'both'")
        send("md foo C77 O1 q")
        expect(seen()):equals{ "a: md foo C77 O1 q", "b: md foo O1 q" }
    end)

    it("is not asked what the client has done wrong", function()
        gutter()
        backend("a"):set("foo", "no number")
        expect(send("incr foo 1").line):matches("^CLIENT_ERROR")
        expect(backend("b"):seen()):equals{}
    end)

    it("keeps binary keys and values", function()
        gutter()
        backend("a"):fails("down")
        send("ms AAEC/w== 5 b F9", "\0\r\n\255x")
        expect(send("mg AAEC/w== b f v t").text):equals("VA 5 f9 t60\r\n\0\r\n\255x\r\n")
    end)

    it("deletes binary keys", function()
        gutter()
        backend("a"):fails("down", 1)
        send("ms AAEC/w== 1 b", "x")
        seen()
        send("ms AAEC/w== 1 b", "y")
        send("ms azE= 1 b", "y")
        expect(backend("b"):seen()):equals{ "md AAEC/w== b", "md azE= b" }
    end)

    it("counts what it was asked", function()
        gutter(", stats = true, stats_name = 'x'")
        backend("a"):fails("down", 2)
        send("get foo")
        send("set foo 0 0 1", "x")
        send("get foo")
        expect(tonumber(stat("x_gutter"))):equals(2)
    end)

    it("takes functions for children, which may answer with strings", function()
        route([[return require "routes.gutter"{ child = function() return "SERVER_ERROR x\r\n" end, gutter = function() return "END\r\n" end }]])
        expect(send("get foo").text):equals("END\r\n")
        expect(send("delete foo").text):equals("SERVER_ERROR x\r\n")
    end)
end)
