-- Tests of routes/replicated.lua.

local model = require "model"

local NAMES = { "a", "b", "c" }

-- asked says what reading from the children in this order, one after the other, answers and sends.
local function asked(order, list, req, miss)
    local sent, best, first = {}, nil, false
    local function ask(i)
        sent[#sent + 1] = model.sent(NAMES[i], list[i], req)
        if not best or model.rank[list[i]] > model.rank[list[best]] then
            best = i
        end
        first = first or i == 1
    end
    for _, i in ipairs(order) do
        ask(i)
        if list[i] == "hit" or list[i] == "miss" and not miss then
            break
        end
    end
    if not first and list[best] == "miss" then
        ask(1)
    end
    return model.text(NAMES[best], list[best], req), sent
end

local function all(list, req)
    local sent = {}
    for i, o in ipairs(list) do
        sent[#sent + 1] = model.sent(NAMES[i], o, req)
    end
    return sent
end

-- majority is the number of the child whose answer more than half agree with, or the most common one, of equals the worse.
local function majority(list)
    local count, first = {}, {}
    for i, o in ipairs(list) do
        local k = model.rank[o]
        count[k], first[k] = (count[k] or 0) + 1, first[k] or i
    end
    local choice
    for k = 0, 4 do
        if count[k] and (not choice or count[k] > count[choice]) then
            choice = k
        end
    end
    return first[choice]
end

-- predict says what a replicated{ a, b, c } answers and sends; orders are those in which reads may ask.
local function predict(list, req, how)
    local pure = req.line == "get k" or req.line == "mg k v"
    if pure and how.read == "fastest" then
        local best = model.best(list)
        return model.text(NAMES[best], list[best], req), all(list, req)
    elseif pure then
        return asked(how.order, list, req, how.miss)
    elseif req.class == "store" or req.class == "delete" then
        local i = how.write == "async" and 1 or how.write == "majority" and majority(list) or model.worst(list)
        return model.text(NAMES[i], list[i], req), all(list, req)
    end
    local sent = { model.sent("a", list[1], req) }
    if list[1] == "hit" or model.rank[list[1]] == 1 then
        for i = 2, 3 do
            sent[#sent + 1] = model.sent(NAMES[i], list[i], { line = "delete k" })
        end
    end
    return model.text("a", list[1], req), sent
end

local function check(how, fields)
    for _, req in ipairs(model.requests) do
        it(fields .. ": " .. req.line, function()
            route("return require 'routes.replicated'{ children = { z1 = a, z2 = b, z3 = c }, " .. fields .. " }", "a", "b", "c")
            local turn = 0
            model.combinations(3, function(list)
                for i, o in ipairs(list) do
                    model.apply(NAMES[i], o, req)
                end
                if how.read == "spread" then
                    how.order = { turn % 3 + 1, (turn + 1) % 3 + 1, (turn + 2) % 3 + 1 }
                end
                turn = turn + 1
                local text, sent = predict(list, req, how)
                local what = table.concat(list, " ") .. " => "
                expect(what .. send(req.line, req.value).text):equals(what .. text)
                expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                advance(4) -- what goes on after the answer ends
                seen()
            end)
        end)
    end
end

describe("replicated, whatever its children do:", function()
    check({ read = "spread", write = "all" }, "write = 'all'")
    check({ read = "spread", write = "majority", miss = true }, "write = 'majority', miss = true")
    check({ read = "near", order = { 2, 3, 1 }, write = "async" }, "read = 'near', local_zone = 'z2', write = 'async'")
    check({ read = "near", order = { 2, 3, 1 }, miss = true, write = "all" }, "read = 'near', local_zone = 'z2', miss = true")
    check({ read = "fastest", write = "all" }, "read = 'fastest'")
end)

describe("replicated", function()
    local function replicated(fields)
        route("return require 'routes.replicated'{ children = { a, b, c }, " .. (fields or "") .. " }", "a", "b", "c")
    end

    it("answers a write when all have it", function()
        replicated()
        backend("c"):slow(0.5)
        local res = send("set foo 3 60 3", "bar")
        expect(res.line):equals("STORED")
        expect(res.time):equals(0.5)
        for _, name in ipairs(NAMES) do
            local value, about = backend(name):get("foo")
            expect(value):equals("bar")
            expect(about.flags):equals(3)
        end
    end)

    it("answers a write when more than half agree", function()
        replicated("write = 'majority'")
        backend("a"):never()
        local res = send("set foo 0 0 3", "bar")
        expect(res.line):equals("STORED")
        expect(res.time):equals(0)
        backend("c"):fails("down")
        backend("a"):works()
        backend("a"):set("foo", "bar")
        backend("a"):slow(0.2)
        res = send("delete foo")
        expect(res.line):equals("DELETED")
        expect(res.time):equals(0.2)
    end)

    it("takes no half for a majority, and waits for no more", function()
        route("return require 'routes.replicated'{ children = { a, b, c, d }, write = 'majority' }", "a", "b", "c", "d")
        backend("c"):slow(0.1)
        backend("d"):slow(0.1)
        backend("c"):fails("closed")
        backend("d"):fails("closed")
        expect(send("set foo 0 0 1", "x").error):is_true()
        route("return require 'routes.replicated'{ children = { a, b, c, d, e }, write = 'majority' }", "a", "b", "c", "d", "e")
        for i, name in ipairs{ "a", "b", "c", "d", "e" } do
            backend(name):works()
            backend(name):slow(i / 10)
        end
        expect(send("set foo 0 0 1", "x").time):equals(0.3)
    end)

    it("gives the first child's CAS values", function()
        replicated()
        backend("a"):set("other", "x")
        backend("a"):set("other", "x")
        local cas = string.match(send("ms foo 1 c", "x").text, "c(%d+)")
        expect(send("ms foo 1 C" .. cas, "y").line):equals("HD")
    end)

    it("answers with the first child, and the others follow", function()
        replicated("write = 'async'")
        backend("b"):slow(0.5)
        local res = send("set foo 0 0 3", "bar")
        expect(res.time):equals(0)
        advance(0.5)
        expect(backend("b"):get("foo")):equals("bar")
    end)

    it("reads each in turn", function()
        replicated()
        send("set foo 0 0 3", "bar")
        seen()
        for _ = 1, 4 do
            expect(send("get foo").value):equals("bar")
        end
        expect(seen()):equals{ "a: get foo", "b: get foo", "c: get foo", "a: get foo" }
    end)

    it("reads near its zone, and reads what was changed elsewhere from the first", function()
        route("return require 'routes.replicated'{ children = { east = a, west = b }, read = 'near', local_zone = 'west' }", "a", "b")
        send("set n 0 0 1", "1")
        seen()
        expect(send("get n").value):equals("1")
        expect(seen()):equals{ "b: get n" }
        expect(send("incr n 4").text):equals("5\r\n")
        expect(seen()):equals{ "a: incr n 4", "b: delete n" }
        expect(send("get n").value):equals("5")
        expect(seen()):equals{ "b: get n", "a: get n" }
    end)

    it("is near the proxy's zone, which it need not have", function()
        config([[
            local_zone("y")
            pools{
                set_x = { x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } },
                set_y = { p = { backends = { "10.0.0.3:1 c" } }, q = { backends = { "10.0.0.4:1 d" } } },
            }
            routes{ map = {
                x = route_replicated{ children = "set_x", read = "near" },
                y = route_replicated{ children = "set_y", read = "near" },
            } }
        ]])
        send("get x/1")
        expect(seen()[1]):equals("b: get x/1")
        send("get y/1")
        expect(seen()[1]):equals("c: get y/1")
    end)

    it("takes the first hit of all, and a miss only from all", function()
        replicated("read = 'fastest'")
        backend("a"):slow(0.3)
        backend("b"):slow(0.1)
        backend("a"):set("foo", "bar")
        backend("b"):set("foo", "bar")
        local res = send("get foo")
        expect(res.value):equals("bar")
        expect(res.time):equals(0.1)
        res = send("get other")
        expect(res.text):equals("END\r\n")
        expect(res.time):equals(0.3)
    end)

    describe("read = \"hedged\"", function()
        it("asks each in turn, and another when the answer is late", function()
            replicated("read = 'hedged'")
            send("set foo 0 0 3", "bar")
            for _ = 1, 99 do
                expect(send("get foo").value):equals("bar")
            end
            for _, name in ipairs(NAMES) do
                expect(#backend(name):seen()):equals(34)
            end
            backend("a"):slow(1)
            local res = send("get foo")
            expect(res.value):equals("bar")
            expect(res.time < 0.1):is_true()
        end)

        it("asks the others when the one that is asked fails", function()
            replicated("read = 'hedged'")
            backend("c"):set("foo", "bar")
            backend("a"):fails("down")
            backend("b"):fails("down")
            for _ = 1, 3 do
                expect(send("get foo").value):equals("bar")
            end
            backend("c"):fails("closed")
            expect(send("get foo").text):equals("SERVER_ERROR backend failure\r\n")
        end)

        it("asks the first when another misses", function()
            for _, miss in ipairs{ "false", "true" } do
                replicated("read = 'hedged', miss = " .. miss)
                backend("a"):set("foo", "bar")
                backend("c"):set("late", "bar")
                for _ = 1, 3 do
                    expect(send("get foo").value):equals("bar")
                    expect(send("get none").line):equals("END")
                end
                local hits = 0
                for _ = 1, 3 do
                    hits = hits + (send("get late").value and 1 or 0)
                end
                expect(hits):equals(miss == "true" and 3 or 1)
                seen()
                send("get none") -- a's turn
                expect(#seen()):equals(miss == "true" and 3 or 1)
                send("get none") -- b's
                expect(#seen()):equals(miss == "true" and 3 or 2)
            end
        end)

        it("heeds the limit", function()
            replicated("read = 'hedged', limit = { rate = 1, burst = 3 }")
            for _, name in ipairs(NAMES) do
                backend(name):answers("SERVER_ERROR busy")
            end
            for _ = 1, 20 do
                send("get foo")
            end
            expect(#seen() <= 20 + 1 + 2 * 3):is_true()
        end)

        it("heeds the limit after misses, but asks the first", function()
            replicated("read = 'hedged', miss = true, limit = { rate = 1, burst = 1 }")
            send("get foo")
            expect(seen()):equals{ "a: get foo", "b: get foo" }
            send("get foo")
            expect(seen()):equals{ "b: get foo", "a: get foo" }
        end)

        it("asks one in twenty besides at most", function()
            replicated("read = 'hedged'")
            for _ = 1, 99 do
                send("get foo")
            end
            for _, name in ipairs(NAMES) do
                backend(name):slow(1)
            end
            for _ = 1, 100 do
                send("get foo")
            end
            expect(stat("replicated_hedged_sent")):near(7, 1)
        end)

        it("waits for a first child that hangs once", function()
            for _, miss in ipairs{ "false", "true" } do
                replicated("read = 'hedged', miss = " .. miss)
                backend("a"):fails("timeout")
                local res = send("get foo")
                expect(res.line):equals("END")
                expect(res.time):near(3, 1e-6)
                local lines = seen()
                expect(lines[1]):equals("a: get foo")
                expect(lines[2]):equals("b: get foo")
                expect(#lines):equals(miss == "true" and 3 or 2)
                backend("a"):works()
            end
        end)

        it("waits for the first child where that is asked besides", function()
            replicated("read = 'hedged'")
            for _ = 1, 90 do
                send("get foo")
            end
            backend("a"):set("foo", "bar")
            backend("a"):slow(0.5)
            backend("c"):slow(0.1)
            send("get foo") -- a's turn
            send("get foo") -- b's, which misses
            seen()
            local res = send("get foo") -- c's; a is asked besides, and answers after c's miss
            expect(res.value):equals("bar")
            expect(res.time):near(0.5, 0.01)
            expect(seen()):equals{ "c: get foo", "a: get foo" }
        end)

        it("does with two", function()
            route("return require 'routes.replicated'{ children = { a, b }, read = 'hedged' }", "a", "b")
            send("set foo 0 0 3", "bar")
            for _ = 1, 60 do
                send("get foo")
            end
            backend("a"):slow(1)
            expect(send("get foo").time < 0.1):is_true()
            expect(send("get foo").time < 0.1):is_true()
        end)

        it("needs no other child", function()
            route("return require 'routes.replicated'{ children = { a }, read = 'hedged' }", "a")
            expect(send("get foo").line):equals("END")
            expect(seen()):equals{ "a: get foo" }
        end)
    end)

    it("sends reads of CAS values and what changes items to the first", function()
        for _, read in ipairs{ "spread", "fastest", "near", "hedged" } do
            replicated("read = '" .. read .. "'")
            for _, line in ipairs{ "gets foo", "mg foo c", "mg foo v c" } do
                send("set foo 0 0 1", "1")
                seen()
                send(line)
                expect(seen()):equals{ "a: " .. line }
            end
            for _, line in ipairs{ "incr foo 1", "decr foo 1", "gat 5 foo", "gats 5 foo", "touch foo 5", "mg foo T5", "ma foo" } do
                send("set foo 0 0 1", "1")
                seen()
                send(line)
                expect(seen()):equals{ "a: " .. line, "b: delete foo", "c: delete foo" }
            end
            for _, line in ipairs{ "append foo 0 0 1", "prepend foo 0 0 1", "replace foo 0 0 1", "ms foo 1 MA", "ms foo 1 MR" } do
                send("set foo 0 0 1", "1")
                seen()
                send(line, "2")
                expect(seen()):equals{ "a: " .. line, "b: delete foo", "c: delete foo" }
                send("delete foo")
                seen()
            end
            send("add foo 0 0 1", "1")
            expect(seen()):equals{ "a: add foo 0 0 1", "b: delete foo", "c: delete foo" }
        end
    end)

    it("sends what the first refused to nobody", function()
        replicated()
        for _, line in ipairs{ "incr foo 1", "touch foo 5", "gat 5 foo", "mg foo T5", "md foo C5" } do
            send(line)
            expect(seen()):equals{ "a: " .. line }
        end
    end)

    it("compares CAS values with the first, and deletes elsewhere", function()
        replicated()
        send("set foo 0 0 1", "1")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        seen()
        expect(send("ms foo 1 C" .. cas, "2").line):equals("HD")
        expect(seen()):equals{ "a: ms foo 1 C" .. cas, "b: delete foo", "c: delete foo" }
        cas = string.match(send("mg foo c").text, "c(%d+)")
        seen()
        expect(send("md foo C" .. cas).line):equals("HD")
        expect(seen()):equals{ "a: md foo C" .. cas, "b: delete foo", "c: delete foo" }
    end)

    it("deletes elsewhere only if an mg has won", function()
        replicated()
        send("mg foo N30 v t")
        expect(seen()):equals{ "a: mg foo N30 v t", "b: delete foo", "c: delete foo" }
        send("mg foo N30 v t")
        expect(seen()):equals{ "a: mg foo N30 v t" }
    end)

    it("deletes a key that is a word elsewhere", function()
        replicated()
        send("ma noreply N0")
        expect(seen()):equals{ "a: ma noreply N0", "b: md noreply", "c: md noreply" }
    end)

    it("deletes binary keys elsewhere", function()
        replicated()
        send("ma AAEC/w== b N0")
        expect(seen()):equals{ "a: ma AAEC/w== b N0", "b: md AAEC/w== b", "c: md AAEC/w== b" }
    end)

    it("does not say that a delete is done while a child that was away may serve the item again", function()
        replicated()
        send("set foo 0 0 3", "old")
        backend("b"):fails("down", 1)
        expect(send("delete foo").error):is_true()
        expect(send("delete foo").line):equals("NOT_FOUND")
        for _ = 1, 3 do
            expect(send("get foo").line):equals("END")
        end
    end)

    it("counts what a child has not been told", function()
        replicated("name = 'x'")
        backend("b"):fails("down", 2)
        send("set foo 0 0 1", "1")
        send("incr foo 1")
        for _ = 1, 6 do -- reads do not count, whoever fails
            backend("b"):fails("down", 1)
            send("get foo")
        end
        expect(tonumber(stat("x_behind"))):equals(2)
    end)

    it("bounds a storm", function()
        replicated("limit = { rate = 1, burst = 5 }")
        for _, name in ipairs(NAMES) do
            backend(name):answers("SERVER_ERROR busy")
        end
        for _ = 1, 20 do
            send("get foo")
        end
        expect(#seen()):equals(25)
        replicated("limit = { share = 0.5, burst = 1 }")
        for _, name in ipairs(NAMES) do
            backend(name):answers("SERVER_ERROR busy")
        end
        for _ = 1, 20 do
            send("get foo")
        end
        expect(#seen()):near(30, 1)
    end)

    it("has a first child by name, and wants the zone that it is given", function()
        expect(function()
            route("return require 'routes.replicated'{ children = { x = a }, local_zone = 'y' }", "a")
        end):errors("replicated.local_zone: there is no zone \"y\"")
    end)

    it("works with one child", function()
        route("return require 'routes.replicated'{ children = { a } }", "a")
        send("set n 0 0 1", "1")
        expect(send("incr n 1").text):equals("2\r\n")
        expect(send("get n").value):equals("2")
    end)

    it("takes functions for children, which may answer with strings", function()
        route([[return require "routes.replicated"{ children = { function() return "SERVER_ERROR x\r\n" end, function() return "END\r\n" end } }]])
        expect(send("get foo").text):equals("END\r\n")
        expect(send("mg foo T1").text):equals("SERVER_ERROR x\r\n")
        expect(send("delete foo").text):equals("SERVER_ERROR x\r\n")
    end)
end)
