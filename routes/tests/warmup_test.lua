-- Tests of routes/warmup.lua.

local model = require "model"

-- What warm is asked for a read, and answers.
local FULL = { ["get k"] = "mg k f t v", ["mg k v"] = "mg k v f t", ["gat 60 k"] = "mg k f t v", ["touch k 60"] = "mg k f t v" }
local WARM = { hit = "VA 1 f7 t-1\r\nb", miss = "EN" }

-- ANSWERS is what the client gets of a hit of warm.
local ANSWERS = { ["get k"] = "VALUE k 7 1\r\nb\r\nEND\r\n", ["mg k v"] = "VA 1\r\nb\r\n" }

-- predict says what a cold a and a warm b answer and send, without hold.
local function predict(list, req)
    local cold, warm = list[1], list[2]
    local sent = { model.sent("a", cold, req) }
    if req.class == "delete" then
        sent[#sent + 1] = model.sent("b", warm, req)
        local worst = model.worst(list)
        if model.rank[list[worst]] >= 3 then
            worst = model.best(list)
        end
        return model.text(worst == 1 and "a" or "b", list[worst], req), sent
    elseif cold ~= "miss" or not FULL[req.line] then
        return model.text("a", cold, req), sent
    end
    sent[#sent + 1] = model.sent("b", warm, { line = FULL[req.line] })
    if warm ~= "hit" then
        return model.text("a", cold, req), sent
    end
    sent[#sent + 1] = "a: ms k 1 T0 F7 ME"
    if ANSWERS[req.line] then
        return ANSWERS[req.line], sent
    end
    sent[#sent + 1] = "a: " .. req.line -- and cold still misses
    return model.text("a", cold, req), sent
end

describe("warmup, whatever its children do:", function()
    for _, req in ipairs(model.requests) do
        it(req.line, function()
            route("return require 'routes.warmup'{ cold = a, warm = b, hold = 0 }", "a", "b")
            model.combinations(2, function(list)
                model.apply("a", list[1], req)
                model.apply("b", list[2], FULL[req.line] and WARM or req)
                local text, sent = predict(list, req)
                local what = table.concat(list, " ") .. " => "
                expect(what .. send(req.line, req.value).text):equals(what .. text)
                expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
            end)
        end)
    end
end)

describe("warmup", function()
    local function warmup(fields)
        route("return require 'routes.warmup'{ cold = cold, warm = warm" .. (fields or "") .. " }", "cold", "warm")
    end

    it("answers from warm and fills cold, with flags, TTL and value", function()
        warmup()
        backend("warm"):set("foo", "bar", { flags = 77, ttl = 90 })
        advance(30)
        expect(send("get foo").text):equals("VALUE foo 77 3\r\nbar\r\nEND\r\n")
        local value, about = backend("cold"):get("foo")
        expect(value):equals("bar")
        expect(about.flags):equals(77)
        expect(about.ttl):near(60, 1)
        seen()
        expect(send("get foo").value):equals("bar")
        expect(seen()):equals{ "cold: get foo" }
    end)

    it("fills cold with what lives for more than a month, whose TTL is a time", function()
        for _, left in ipairs{ 2592000, 2592001, 7776000 } do
            warmup()
            backend("warm"):answers{ "VA 3 f0 t" .. left .. "\r\nbar" }
            expect(send("get foo").value):equals("bar")
            local ttl = left == 2592000 and left or 1767225600 + now() + left -- tests begin with the year 2026
            expect(table.concat(backend("cold"):seen(), "\n")):contains(string.format("ms foo 3 T%d F0 ME", ttl))
            expect((backend("cold"):get("foo"))):equals("bar")
            send("delete foo")
            advance(4) -- the mark goes
        end
    end)

    it("fills cold after the answer", function()
        warmup()
        backend("warm"):set("foo", "bar")
        backend("cold"):slow(0, 1)
        backend("cold"):slow(1)
        expect(send("get foo").time):equals(0)
        expect((backend("cold"):get("foo"))):is_nil()
        advance(4)
        expect((backend("cold"):get("foo"))):equals("bar")
    end)

    it("adds for ever what lives for ever, and nothing that is about to go", function()
        warmup()
        backend("warm"):set("foo", "bar")
        send("get foo")
        local _, about = backend("cold"):get("foo")
        expect(about.ttl):is_nil()
        backend("warm"):answers{ "VA 3 f0 t0\r\nbar", "VA 3 f0 t1\r\nbar" }
        expect(send("get short").value):equals("bar")
        expect((backend("cold"):get("short"))):is_nil()
        expect(send("get short").value):equals("bar")
        expect((backend("cold"):get("short"))):equals("bar")
    end)

    it("bounds the TTL", function()
        warmup(", ttl = 10")
        backend("warm"):set("ever", "x")
        backend("warm"):set("long", "x", { ttl = 100 })
        backend("warm"):set("short", "x", { ttl = 5 })
        for key, ttl in pairs{ ever = 10, long = 10, short = 5 } do
            send("get " .. key)
            local _, about = backend("cold"):get(key)
            expect(about.ttl):equals(ttl)
        end
    end)

    it("answers an mg with the flags that it asks for, in its order", function()
        warmup()
        for line, want in pairs{
            ["mg foo"] = "HD\r\n", ["mg foo v"] = "VA 3\r\nbar\r\n", ["mg foo s v"] = "VA 3 s3\r\nbar\r\n", ["mg foo t s"] = "HD t-1 s3\r\n",
            ["mg foo k O9 f"] = "HD kfoo O9 f5\r\n", ["mg foo v f t"] = "VA 3 f5 t-1\r\nbar\r\n", ["mg foo v q"] = "VA 3\r\nbar\r\n",
            ["mg Zm9v b k v"] = "VA 3 kfoo\r\nbar\r\n",
        } do
            backend("warm"):set("foo", "bar", { flags = 5 })
            expect(line .. send(line).text):equals(line .. want)
            expect((backend("cold"):get("foo"))):equals("bar")
            advance(4)
            send("delete foo")
            advance(4)
        end
    end)

    it("keeps binary keys and values", function()
        warmup()
        local value = "\0\r\nEND\r\n\255"
        backend("warm"):answers{ "VA " .. #value .. " f3 t-1\r\n" .. value }
        expect(send("mg AAEC/w== b v").text):equals("VA " .. #value .. "\r\n" .. value .. "\r\n")
        expect(send("mg AAEC/w== b v f k").text):equals("VA " .. #value .. " f3 kAAEC/w== b\r\n" .. value .. "\r\n")
        expect(seen()):equals{
            "cold: mg AAEC/w== b v", "warm: mg AAEC/w== b v f t",
            "cold: mg tidepool:deleted:b:AAEC/w==", "cold: ms AAEC/w== 9 T0 F3 ME b", "cold: mg tidepool:deleted:b:AAEC/w==",
            "cold: mg AAEC/w== b v f k",
        }
    end)

    it("passes on an mg that is too long to ask for more", function()
        warmup()
        local key = string.rep("k", 250)
        for n, asked in pairs{ [495] = 1, [496] = 0 } do -- a line that is made has at most 498 bytes
            local line = "mg " .. key .. string.rep(" ", n - 255) .. "v"
            expect(#line):equals(n - 1)
            backend("warm"):set(key, "bar")
            expect(send(line).value):equals(asked == 1 and "bar" or nil)
            expect(#backend("warm"):seen()):equals(asked)
            advance(4)
            send("delete " .. key)
            advance(4)
            backend("warm"):seen()
        end
    end)

    it("fills cold before it answers what only cold can", function()
        warmup()
        for _, line in ipairs{ "gets foo", "gat 50 foo", "gats 50 foo", "mg foo v T50", "mg foo v c", "touch foo 50" } do
            backend("warm"):set("foo", "bar", { flags = 5, ttl = 100 })
            local text = send(line).text
            expect(send(line).text):equals(text)
            local value, about = backend("cold"):get("foo")
            expect(value):equals("bar")
            expect(about.flags):equals(5)
            expect(about.ttl):equals(string.find(line, "50") and 50 or 100)
            send("delete foo")
            advance(4)
        end
        backend("warm"):set("foo", "bar")
        local cas = string.match(send("gets foo").text, "^VALUE foo 0 3 (%d+)")
        expect(send("cas foo 0 0 3 " .. cas, "new").line):equals("STORED")
        expect(backend("cold"):get("foo")):equals("new")
    end)

    it("says that there is nothing when neither has it", function()
        warmup()
        for line, want in pairs{ ["gets foo"] = "END", ["touch foo 5"] = "NOT_FOUND", ["mg foo c"] = "EN", ["me foo"] = "EN" } do
            expect(send(line).line):equals(want)
        end
        expect((backend("cold"):get("foo"))):is_nil()
    end)

    it("does not add what is stale or being filled", function()
        warmup()
        backend("warm"):set("foo", "bar")
        for _, flags in ipairs{ "X", "W", "Z", "W X" } do
            backend("warm"):answers{ "VA 3 f0 t-1 " .. flags .. "\r\nbar" }
            expect(send("mg foo v").text):equals("VA 3 " .. flags .. "\r\nbar\r\n")
            expect((backend("cold"):get("foo"))):is_nil()
        end
    end)

    it("does not ask warm when cold fails", function()
        warmup()
        backend("warm"):set("foo", "old")
        for _, kind in ipairs{ "down", "timeout", "closed" } do
            backend("cold"):fails(kind, 1)
            expect(send("get foo").error):is_true()
        end
        expect(backend("warm"):seen()):equals{}
    end)

    it("overwrites nothing in cold", function()
        warmup()
        backend("warm"):set("foo", "old")
        backend("warm"):slow(1)
        local call = start("get foo")
        advance(0.5)
        client():send("set foo 0 0 3", "new")
        expect(call:wait().value):equals("old")
        advance(1)
        expect(backend("cold"):get("foo")):equals("new")
    end)

    it("writes to cold alone", function()
        warmup()
        send("set foo 0 0 1", "1")
        send("incr foo 1")
        send("ms foo 1", "1")
        expect(backend("warm"):seen()):equals{}
    end)

    it("deletes from warm what is written, if it is told to", function()
        warmup(", invalidate = true")
        backend("warm"):set("foo", "old")
        send("set foo 0 0 1", "1")
        expect((backend("warm"):get("foo"))):is_nil()
        seen()
        send("incr foo 1")
        expect(seen()):equals{ "cold: incr foo 1", "warm: delete foo" }
        send("incr other 1")
        expect(seen()):equals{ "cold: incr other 1" }
    end)

    it("deletes from warm what cold has deleted because the new value was too large", function()
        warmup(", invalidate = true")
        for _, line in ipairs{ "set foo 0 0 1", "ms foo 1" } do
            backend("cold"):answers{ "SERVER_ERROR object too large for cache" }
            expect(send(line, "x").text):equals("SERVER_ERROR object too large for cache\r\n")
            expect(seen()):equals{ "cold: " .. line, "warm: delete foo" }
        end
    end)

    describe("deletes", function()
        it("go to both, after a mark", function()
            warmup()
            backend("cold"):set("foo", "bar")
            backend("warm"):set("foo", "bar")
            expect(send("delete foo").line):equals("DELETED")
            expect(seen()):equals{ "cold: ms tidepool:deleted:foo 0 T3", "cold: delete foo", "warm: delete foo" }
            expect(send("get foo").line):equals("END")
        end)

        it("are done if either had the item", function()
            warmup()
            backend("warm"):set("foo", "bar")
            expect(send("delete foo").line):equals("DELETED")
            expect(send("delete foo").line):equals("NOT_FOUND")
        end)

        it("are not said to be done while a pool that was away may serve the item again", function()
            warmup()
            backend("warm"):set("foo", "bar")
            backend("warm"):fails("down", 1)
            expect(send("delete foo").error):is_true()
            backend("cold"):fails("down", 2)
            expect(send("delete foo").error):is_true()
        end)

        it("are not said to be done without a mark, while what was read before may be added", function()
            for how, failure in pairs{ down = "SERVER_ERROR backend failure\r\n", busy = "SERVER_ERROR busy\r\n" } do
                warmup()
                backend("warm"):set("foo", "old")
                backend("warm"):slow(1, 1)
                local call = start("get foo")
                advance(0.5)
                if how == "down" then
                    backend("cold"):fails("down", 1)
                else
                    backend("cold"):answers{ "SERVER_ERROR busy" }
                end
                expect(client():send("delete foo").text):equals(failure)
                call:wait()
                expect(send("get foo").value):equals("old") -- it is in cold
                expect(send("delete foo").text):equals("DELETED\r\n")
                expect(send("get foo").text):equals("END\r\n")
                advance(4) -- the mark goes
            end
        end)

        it("answer the worst of all failures", function()
            warmup()
            backend("cold"):answers{ "SERVER_ERROR busy" }
            backend("warm"):fails("down", 1)
            expect(send("delete foo").text):equals("SERVER_ERROR backend failure\r\n")
        end)

        it("hold adds off for 2 s, and not for longer than 3", function()
            warmup()
            send("delete foo")
            backend("warm"):set("foo", "bar")
            advance(2)
            expect(send("get foo").value):equals("bar")
            expect((backend("cold"):get("foo"))):is_nil()
            advance(1)
            expect(send("get foo").value):equals("bar")
            expect((backend("cold"):get("foo"))):equals("bar")
        end)

        it("hold off what was read before, at every proxy", function()
            warmup()
            backend("warm"):set("foo", "old")
            backend("warm"):slow(1)
            local call = start("get foo")
            advance(0.5)
            expect(client():send("delete foo").line):equals("DELETED")
            expect(call:wait().value):equals("old")
            advance(2)
            expect((backend("cold"):get("foo"))):is_nil()
        end)

        it("undo an add that they met", function()
            warmup()
            backend("warm"):set("foo", "old")
            -- The mark comes between the look for it and the add.
            backend("cold"):answers{ "END", "EN", "HD", "HD", "DELETED" }
            send("get foo")
            expect(seen()):equals{
                "cold: get foo", "warm: mg foo f t v", "cold: mg tidepool:deleted:foo", "cold: ms foo 3 T0 F0 ME", "cold: mg tidepool:deleted:foo",
                "cold: delete foo",
            }
            expect(log()):equals{}
        end)

        it("do not add when nobody knows whether there is a mark", function()
            warmup()
            backend("warm"):set("foo", "old")
            backend("cold"):answers{ "END", "SERVER_ERROR busy" }
            send("get foo")
            expect((backend("cold"):get("foo"))):is_nil()
            backend("cold"):answers{ "END", "EN", "HD", "SERVER_ERROR busy", "DELETED" }
            seen()
            send("get foo")
            expect(seen()[6]):equals("cold: delete foo")
        end)

        it("hold off reads that wait for the add, too", function()
            warmup()
            send("delete foo")
            backend("warm"):set("foo", "old")
            expect(send("gets foo").line):equals("END")
            expect(log()):equals{}
        end)

        it("leave no marks with hold = 0", function()
            warmup(", hold = 0")
            send("delete foo")
            expect(seen()):equals{ "cold: delete foo", "warm: delete foo" }
            backend("warm"):set("foo", "bar")
            send("get foo")
            expect(seen()):equals{ "cold: get foo", "warm: mg foo f t v", "cold: ms foo 3 T0 F0 ME" }
        end)

        it("hold for a second", function()
            warmup(", hold = 1")
            send("md foo")
            expect(seen()[1]):equals("cold: ms tidepool:deleted:foo 0 T2")
        end)

        it("hold for as long as they are told", function()
            warmup(", hold = 10")
            send("md foo")
            expect(seen()[1]):equals("cold: ms tidepool:deleted:foo 0 T11")
        end)

        it("mark an item under one key, however it is written", function()
            warmup()
            send("md Zm9v b")
            send("md AAEC/w== b")
            send("md " .. string.rep("k", 250))
            local lines = seen()
            expect(lines[1]):equals("cold: ms tidepool:deleted:foo 0 T3")
            expect(lines[4]):equals("cold: ms tidepool:deleted:b:AAEC/w== 0 T3")
            expect(lines[7]):matches("^cold: ms tidepool:deleted:h:%d+%.%d+ 0 T3$")
            send("md " .. string.rep("k", 233))
            expect(seen()[1]):equals("cold: ms tidepool:deleted:" .. string.rep("k", 233) .. " 0 T3")
            send("md " .. string.rep("k", 234))
            expect(seen()[1]):matches("^cold: ms tidepool:deleted:h:%d+%.%d+ 0 T3$")
            -- Base64 of a space, of DEL, of what may be in a key, and what is no base64.
            for key, want in pairs{
                ["IA=="] = "b:IA==", ["fw=="] = "b:fw==", ["IQ=="] = "!", ["fg=="] = "~", ["gP8="] = "\128\255", ["!!"] = "b:!!",
            } do
                send("md " .. key .. " b")
                expect(seen()[1]):equals("cold: ms tidepool:deleted:" .. want .. " 0 T3")
            end
        end)

        it("compare CAS values with cold alone", function()
            warmup()
            send("set foo 0 0 1", "x")
            backend("warm"):set("foo", "old")
            local cas = string.match(send("mg foo c").text, "c(%d+)")
            seen()
            expect(send("md foo C1234567").line):equals("EX")
            expect(seen()):equals{ "cold: ms tidepool:deleted:foo 0 T3", "cold: md foo C1234567" }
            expect(send("md foo C" .. cas).line):equals("HD")
            expect((backend("warm"):get("foo"))):is_nil()
        end)
    end)

    it("counts hits of warm", function()
        warmup(", stats = true, stats_name = 'x'")
        backend("warm"):set("foo", "bar")
        backend("warm"):set("bar", "bar")
        for _, key in ipairs{ "foo", "foo", "bar", "other" } do
            send("get " .. key)
        end
        expect(tonumber(stat("x_warm"))):equals(2)
    end)

    it("takes handlers for pools", function()
        route([[return require "routes.warmup"{
            cold = require "routes.sharded"{ children = { a, b } }, warm = require "routes.replicated"{ children = { c, d } } }]], "a", "b", "c", "d")
        for i = 1, 20 do
            backend("c"):set("key" .. i, "x" .. i)
            expect(send("get key" .. i).value):equals(i % 2 == 1 and "x" .. i or "x" .. i)
            expect(send("get key" .. i).value):equals("x" .. i)
        end
    end)
end)
