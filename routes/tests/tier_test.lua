-- Tests of routes/tier.lua.

local model = require "model"

-- What l2 is asked for a plain read, and answers.
local FULL = { ["get k"] = "mg k f t v", ["mg k v"] = "mg k v f t" }
local FAR = { hit = "VA 1 f7 t-1\r\nb", miss = "EN" }
local ANSWERS = { ["get k"] = "VALUE k 7 1\r\nb\r\nEND\r\n", ["mg k v"] = "VA 1\r\nb\r\n" }

-- What l1 is sent after a store.
local CAPPED = { ["set k 0 60 1"] = "set k 0 10 1", ["ms k 1 T60"] = "ms k 1 T10" }

-- predict says what a tier of l1 = a and l2 = b answers and sends.
local function predict(list, req)
    local one, two = list[1], list[2]
    if FULL[req.line] then
        local sent = { model.sent("a", one, req) }
        if one == "hit" then
            return model.text("a", one, req), sent
        end
        sent[#sent + 1] = model.sent("b", two, { line = FULL[req.line] })
        if two == "hit" then
            if one == "miss" then
                sent[#sent + 1] = "a: ms k 1 T10 F7 ME"
            end
            return ANSWERS[req.line], sent
        end
        local best = model.rank[two] >= model.rank[one] and 2 or 1
        return model.text(best == 1 and "a" or "b", list[best], req), sent
    end
    local sent = { model.sent("b", two, req) }
    local line
    if req.class == "delete" then
        line = req.line
    elseif req.class == "store" then
        line = two == "hit" and CAPPED[req.line] or two ~= "down" and "delete k"
    elseif two == "hit" or model.rank[two] == 1 then
        line = "delete k"
    end
    if line then
        sent[#sent + 1] = model.sent("a", one, { line = line })
    end
    if req.class ~= "delete" then
        return model.text("b", two, req), sent
    end
    local order = { two, one }
    local at = model.worst(order)
    if model.rank[order[at]] >= 3 then
        at = model.best(order)
    end
    return model.text(at == 1 and "b" or "a", order[at], req), sent
end

describe("tier, whatever its children do:", function()
    for _, req in ipairs(model.requests) do
        it(req.line, function()
            route("return require 'routes.tier'{ l1 = a, l2 = b, ttl = 10 }", "a", "b")
            model.combinations(2, function(list)
                model.apply("a", list[1], req)
                model.apply("b", list[2], FULL[req.line] and FAR or req)
                local text, sent = predict(list, req)
                local what = table.concat(list, " ") .. " => "
                expect(what .. send(req.line, req.value).text):equals(what .. text)
                expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
            end)
        end)
    end
end)

describe("tier", function()
    local function tier(fields)
        route("return require 'routes.tier'{ l1 = l1, l2 = l2" .. (fields or "") .. " }", "l1", "l2")
    end

    it("fills l1 from l2, for a minute at most", function()
        tier()
        backend("l2"):set("ever", "x", { flags = 9 })
        backend("l2"):set("short", "y", { ttl = 30 })
        expect(send("get ever").text):equals("VALUE ever 9 1\r\nx\r\nEND\r\n")
        expect(send("mg short v t").text):equals("VA 1 t30\r\ny\r\n")
        local value, about = backend("l1"):get("ever")
        expect(value):equals("x")
        expect(about.flags):equals(9)
        expect(about.ttl):equals(60)
        value, about = backend("l1"):get("short")
        expect(value):equals("y")
        expect(about.ttl):equals(30)
        seen()
        expect(send("get ever").text):equals("VALUE ever 9 1\r\nx\r\nEND\r\n")
        expect(seen()):equals{ "l1: get ever" }
    end)

    it("fills l1 after the answer", function()
        tier()
        backend("l2"):set("foo", "bar")
        backend("l1"):slow(0, 1)
        backend("l1"):slow(1)
        expect(send("get foo").time):equals(0)
    end)

    it("never overwrites what was set meanwhile", function()
        tier()
        backend("l2"):set("foo", "old")
        backend("l2"):slow(1, 1)
        local call = start("get foo")
        advance(0.5)
        client():send("set foo 0 0 3", "new")
        call:wait()
        advance(1)
        expect(backend("l1"):get("foo")):equals("new")
    end)

    -- What a read found out before a write that was answered meanwhile.
    for _, write in ipairs{ { "add foo 0 0 1", "x" }, { "ms foo 1 ME", "x" }, { "set foo 0 0 1", "x" } } do
        it("does not keep a miss of before: " .. write[1], function()
            tier(", negative = 5")
            backend("l2"):slow(1, 1)
            local call = start("get foo")
            advance(0.5)
            expect(client():send(write[1], write[2]).error):is_false()
            expect(call:wait().text):equals("END\r\n")
            expect(client():send("get foo").value):equals("x")
        end)
    end
    for _, write in ipairs{ { "incr foo 1" }, { "delete foo" }, { "md foo" }, { "append foo 0 0 1", "1" } } do
        it("does not keep a value of before: " .. write[1], function()
            tier()
            backend("l2"):set("foo", "1")
            backend("l2"):slow(1, 1)
            local call = start("get foo")
            advance(0.5)
            expect(client():send(write[1], write[2]).error):is_false()
            expect(call:wait().value):equals("1")
            expect(client():send("get foo").value == "1"):is_false()
        end)
    end

    it("fills l1 once, for reads that come together, with base64 or without", function()
        tier(", negative = 5")
        backend("l2"):set("foo", "bar")
        backend("l2"):slow(1, 3)
        local calls = { start("get foo"), client():start("get foo"), client():start("mg Zm9v b v") }
        for _, call in ipairs(calls) do
            local res = call:wait()
            expect(res.value):equals("bar")
            expect(res.time):equals(1)
        end
        advance(1)
        local fills = 0
        for _, line in ipairs(backend("l1"):seen()) do
            fills = fills + (string.sub(line, 1, 3) == "ms " and 1 or 0)
        end
        expect(fills):equals(1)
    end)

    it("fills l1 at the next read when one could not", function()
        tier()
        backend("l2"):fails("down", 1)
        send("get foo")
        backend("l2"):set("foo", "bar")
        send("get foo")
        expect(backend("l1"):get("foo")):equals("bar")
    end)

    it("does not fill l1 with what is stale, being filled or about to go", function()
        tier()
        for _, flags in ipairs{ "t-1 X", "t-1 W", "t-1 Z", "t0" } do
            backend("l2"):answers{ "VA 3 f0 " .. flags .. "\r\nbar" }
            expect(send("get foo").value):equals("bar")
            expect((backend("l1"):get("foo"))):is_nil()
        end
    end)

    it("gives a miss as l2 says it", function()
        tier()
        expect(send("mg foo k O1 v").text):equals("EN kfoo O1\r\n")
        backend("l2"):fails("down")
        expect(send("mg foo k O1 v").text):equals("EN kfoo O1\r\n")
    end)

    it("passes over an l1 that fails, and does not fill it", function()
        tier()
        backend("l2"):set("foo", "bar")
        backend("l1"):answers("SERVER_ERROR busy")
        expect(send("get foo").value):equals("bar")
        expect(seen()):equals{ "l1: get foo", "l2: mg foo f t v" }
    end)

    it("writes to both, with a short TTL in l1", function()
        tier()
        send("set foo 3 0 1", "x")
        local _, about = backend("l1"):get("foo")
        expect(about.ttl):equals(60)
        expect(about.flags):equals(3)
        _, about = backend("l2"):get("foo")
        expect(about.ttl):is_nil()
        expect(seen()):equals{ "l2: set foo 3 0 1", "l1: set foo 3 60 1" }
        send("ms foo 1 T5", "x")
        expect(seen()):equals{ "l2: ms foo 1 T5", "l1: ms foo 1 T5" }
    end)

    it("deletes from l1 what cannot be given a TTL", function()
        tier()
        local line = "ms foo 1 F" .. string.rep("0", 486)
        send(line, "x")
        expect(seen()):equals{ "l2: " .. line, "l1: delete foo" }
    end)

    it("answers a write when l1 has it too", function()
        tier()
        backend("l1"):slow(0.5)
        expect(send("set foo 0 0 1", "x").time):equals(0.5)
    end)

    it("answers writes of one key together", function()
        tier()
        backend("l1"):slow(1, 2)
        local calls = { start("set foo 0 0 1", "x"), client():start("set foo 0 0 1", "y") }
        for _, call in ipairs(calls) do
            expect(call:wait().time):equals(1)
        end
    end)

    it("does not put into l1 what a read took from l2 before a reload, if it has been deleted after that", function()
        for _, line in ipairs{ "delete foo", "md foo", "incr foo 1" } do
            tier()
            backend("l2"):set("foo", "1")
            backend("l2"):slow(1, 1)
            local read = start("get foo")
            advance(0.5)
            tier()
            expect(send(line).error):is_false()
            expect(read:wait().value):equals("1")
            expect((backend("l1"):get("foo"))):is_nil()
        end
    end)

    it("fills each of several tiers", function()
        route([[
            local tier = require "routes.tier"
            return tier{ l1 = l1, l2 = tier{ l1 = l2, l2 = l3 } }]], "l1", "l2", "l3")
        backend("l3"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
        expect((backend("l1"):get("foo"))):equals("bar")
        expect((backend("l2"):get("foo"))):equals("bar")
    end)

    it("deletes from l1 what l2 may have changed", function()
        tier()
        for _, line in ipairs{ "incr n 1", "touch n 50", "gat 50 n", "mg n T50", "ma n" } do
            send("set n 0 0 1", "1")
            seen()
            send(line)
            expect(seen()):equals{ "l2: " .. line, "l1: delete n" }
        end
        for _, line in ipairs{ "incr m 1", "gets m", "mg m c", "me m", "mg m T5" } do
            send(line)
            expect(seen()):equals{ "l2: " .. line }
        end
        expect(send("get n").value):equals("2")
    end)

    it("deletes from l1 what l2 has deleted because the new value was too large", function()
        tier()
        for line, deletes in pairs{ ["ms foo 1 C5"] = true, ["ms foo 1 MR"] = true, ["cas foo 0 0 1 5"] = false, ["append foo 0 0 1"] = false } do
            backend("l2"):answers{ "SERVER_ERROR object too large for cache" }
            expect(send(line, "x").text):equals("SERVER_ERROR object too large for cache\r\n")
            expect(seen()):equals{ "l2: " .. line, deletes and "l1: delete foo" or nil }
        end
        backend("l2"):answers{ "CLIENT_ERROR bad data chunk" }
        send("ms foo 1 C5", "x")
        expect(seen()):equals{ "l2: ms foo 1 C5" }
    end)

    it("deletes from both, and does not say that it is done while one may serve the item again", function()
        tier()
        send("set foo 0 0 1", "x")
        backend("l1"):fails("down", 1)
        expect(send("delete foo").error):is_true()
        expect(send("get foo").value):equals("x")
        expect(send("delete foo").line):equals("DELETED")
        expect(send("get foo").line):equals("END")
        send("set foo 0 0 1", "x")
        backend("l2"):fails("down", 1)
        expect(send("delete foo").error):is_true()
        expect((backend("l1"):get("foo"))):is_nil()
    end)

    it("compares CAS values with l2", function()
        tier()
        send("set foo 0 0 1", "x")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        seen()
        expect(send("md foo C1234567").line):equals("EX")
        expect(seen()):equals{ "l2: md foo C1234567" }
        expect(send("md foo O5 C" .. cas).text):equals("HD O5\r\n")
        expect(seen()):equals{ "l2: md foo O5 C" .. cas, "l1: md foo O5" }
        backend("l2"):fails("timeout", 1)
        send("md foo C5")
        expect(seen()):equals{ "l2: md foo C5", "l1: md foo" }
    end)

    it("counts what l1 could not be told", function()
        tier(", name = 'x'")
        send("set foo 0 0 1", "1")
        backend("l1"):fails("down", 3)
        send("set foo 0 0 1", "1")
        send("incr foo 1")
        send("delete foo")
        send("get foo")
        expect(tonumber(stat("x_stale"))):equals(3)
    end)

    describe("negative answers", function()
        it("are not kept unless it is told so", function()
            tier()
            send("get foo")
            expect(seen()):equals{ "l1: get foo", "l2: mg foo f t v" }
        end)

        it("are kept for so many seconds", function()
            tier(", negative = 5")
            expect(send("get foo").text):equals("END\r\n")
            expect(send("mg foo v k").text):equals("EN kfoo\r\n")
            seen()
            for _ = 1, 3 do
                expect(send("get foo").text):equals("END\r\n")
                expect(send("mg foo s k O1").text):equals("EN kfoo O1\r\n")
                expect(send("mg foo O17 t q").text):equals("")
                expect(send("mg Zm9v O17 b k").text):equals("EN O17 kZm9v b\r\n")
            end
            expect(backend("l2"):seen()):equals{}
            advance(6)
            send("get foo")
            expect(#backend("l2"):seen()):equals(1)
        end)

        it("may be kept for a second", function()
            tier(", negative = 1")
            send("get foo")
            seen()
            send("get foo")
            expect(seen()):equals{ "l1: mg foo f t v" }
        end)

        it("give way to what is written", function()
            tier(", negative = 50")
            for _, write in ipairs{ { "set foo 4 0 1", "1" }, { "add foo 4 0 1", "1" }, { "ms foo 1 F4", "1" } } do
                send("get foo")
                send(write[1], write[2])
                expect(send("get foo").text):equals("VALUE foo 4 1\r\n1\r\nEND\r\n")
                send("delete foo")
                expect(send("get foo").text):equals("END\r\n")
                send("delete foo")
            end
        end)

        it("do not hide hits of l1", function()
            tier(", negative = 5")
            send("set foo 4 20 12", "tidepool:nil")
            seen()
            expect(send("get foo").text):equals("VALUE foo 4 12\r\ntidepool:nil\r\nEND\r\n")
            expect(send("mg foo").text):equals("HD\r\n")
            expect(send("mg foo f t v").text):equals("VA 12 f4 t20\r\ntidepool:nil\r\n")
            send("set foo 4 20 13", "tidepool:none")
            expect(send("get foo").value):equals("tidepool:none")
            send("set foo 3735928559 20 13", "tidepool:some")
            expect(send("get foo").value):equals("tidepool:some")
            send("set foo 3735928559 20 14", "xtidepool:none")
            expect(send("get foo").value):equals("xtidepool:none")
            send("set foo 3735928559 20 14", "tidepool:nonex")
            expect(send("get foo").value):equals("tidepool:nonex")
            seen()
            send("mg foo")
            expect(seen()):equals{ "l1: mg foo f t v" }
        end)

        it("are kept for binary keys", function()
            tier(", negative = 5")
            send("mg AAEC/w== b v")
            expect(seen()):equals{ "l1: mg AAEC/w== b v f t", "l2: mg AAEC/w== b v f t", "l1: ms AAEC/w== 13 T5 F3735928559 ME b" }
            expect(send("mg AAEC/w== b v").text):equals("EN\r\n")
            expect(backend("l2"):seen()):equals{}
        end)

        it("are not kept when l2 or l1 fails", function()
            tier(", negative = 5")
            backend("l2"):fails("down", 1)
            expect(send("get foo").text):equals("END\r\n")
            backend("l1"):fails("down", 1)
            expect(send("get foo").text):equals("END\r\n")
            expect(#backend("l1"):seen()):equals(1)
        end)
    end)

    it("keeps binary keys and values", function()
        tier()
        local value = "\0\r\nEND\r\n\255"
        backend("l2"):answers{ "VA " .. #value .. " f3 t-1\r\n" .. value }
        expect(send("mg AAEC/w== b v").text):equals("VA " .. #value .. "\r\n" .. value .. "\r\n")
        expect(send("mg AAEC/w== b v f k").text):equals("VA " .. #value .. " f3 kAAEC/w== b\r\n" .. value .. "\r\n")
        expect(seen()):equals{ "l1: mg AAEC/w== b v", "l2: mg AAEC/w== b v f t", "l1: ms AAEC/w== 9 T60 F3 ME b", "l1: mg AAEC/w== b v f k" }
    end)

    it("passes on a read that is too long to ask for more", function()
        tier(", negative = 5")
        local key = string.rep("k", 250)
        backend("l2"):set(key, "bar")
        local line = "mg " .. key .. string.rep(" ", 240) .. " v"
        expect(send(line).value):equals("bar")
        expect((backend("l1"):get(key))):is_nil()
    end)

    for _, name in ipairs{ "ttl", "negative" } do
        it("refuses a " .. name .. " that memcached takes for a time", function()
            tier(", " .. name .. " = 2592000")
            expect(function() tier(", " .. name .. " = 2592001") end):errors("tier." .. name .. ": want at most 2592000, got 2592001")
        end)
    end
end)
