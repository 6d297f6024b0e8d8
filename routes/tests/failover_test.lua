-- Tests of routes/failover.lua.

local model = require "model"

local NAMES = { "a", "b", "c" }

-- predict says what a failover of a, b, c answers and sends.
local function predict(list, req, miss, count)
    local sent, best, ended = {}, nil, nil
    for i, o in ipairs(list) do
        if i <= count and not ended then
            sent[#sent + 1] = model.sent(NAMES[i], o, req)
            if not best or model.rank[o] > model.rank[list[best]] then
                best = i
            end
            ended = o == "hit" or o == "miss" and not (miss and req.fetch)
        end
    end
    return model.text(NAMES[best], list[best], req), sent
end

describe("failover, whatever its children do:", function()
    for _, miss in ipairs{ false, true } do
        for _, count in ipairs{ 1, 2, 3 } do
            for _, req in ipairs(model.requests) do
                it(req.line .. ", miss = " .. tostring(miss) .. ", failover_count = " .. count, function()
                    route("return require 'routes.failover'{ children = { a, b, c }, miss = " .. tostring(miss) .. ", failover_count = " .. count ..
                        " }", "a", "b", "c")
                    model.combinations(3, function(list)
                        for i, o in ipairs(list) do
                            model.apply(NAMES[i], o, req)
                        end
                        local text, sent = predict(list, req, miss, count)
                        local what = table.concat(list, " ") .. " => "
                        expect(what .. send(req.line, req.value).text):equals(what .. text)
                        expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                    end)
                end)
            end
        end
    end
end)

describe("failover", function()
    local function failover(fields)
        route("return require 'routes.failover'{ children = { a, b, c }, " .. fields .. " }", "a", "b", "c")
    end

    it("answers the miss that one child had, not the error of the last", function()
        failover("miss = true")
        backend("b"):fails("down")
        backend("c"):answers("SERVER_ERROR busy")
        expect(send("get foo").text):equals("END\r\n")
    end)

    it("does not ask the next what the client has done wrong", function()
        failover("miss = true")
        backend("a"):set("foo", "no number")
        backend("b"):set("foo", "1")
        expect(send("incr foo 1").line):matches("^CLIENT_ERROR")
        expect(seen()):equals{ "a: incr foo 1" }
    end)

    it("stops at the client's mistake, also after an error", function()
        failover("miss = true")
        backend("a"):answers("SERVER_ERROR busy")
        backend("b"):set("foo", "no number")
        expect(send("incr foo 1").line):matches("^CLIENT_ERROR")
        expect(#seen()):equals(2)
    end)

    it("does not let an add that one child refuses succeed at another", function()
        failover("miss = true")
        backend("a"):set("foo", "1")
        expect(send("add foo 0 0 1", "2").line):equals("NOT_STORED")
    end)

    describe("wait", function()
        it("goes on after so many seconds", function()
            failover("wait = 0.1")
            backend("a"):slow(1)
            backend("b"):set("foo", "bar")
            local res = send("get foo")
            expect(res.value):equals("bar")
            expect(res.time):equals(0.1)
        end)

        it("takes an answer that comes late, if it comes before the end", function()
            failover("wait = 0.1")
            backend("a"):slow(0.15)
            backend("a"):set("foo", "bar")
            backend("b"):slow(0.2)
            backend("c"):slow(0.2)
            local res = send("get foo")
            expect(res.value):equals("bar")
            expect(res.time):equals(0.2)
            expect(seen()):equals{ "a: get foo", "b: get foo" }
        end)

        it("answers the best that is there in the end, late or not", function()
            failover("wait = 0.1, miss = true")
            backend("a"):slow(0.15)
            backend("b"):fails("down")
            backend("c"):answers("SERVER_ERROR busy")
            expect(send("get foo").text):equals("SERVER_ERROR busy\r\n")
            backend("c"):never()
            expect(send("get foo").text):equals("END\r\n")
        end)

        it("answers an error when nobody has", function()
            failover("wait = 0.1")
            for _, name in ipairs(NAMES) do
                backend(name):never()
            end
            local res = send("get foo")
            expect(res.text):equals("SERVER_ERROR timeout\r\n")
            expect(res.time):near(0.3, 0.001)
        end)
    end)

    describe("limit", function()
        it("bounds a storm by time, and answers the error that it has", function()
            failover("limit = { rate = 10, burst = 20 }")
            backend("a"):answers("SERVER_ERROR busy")
            for i = 1, 100 do
                expect(send("get foo").text):equals(i <= 20 and "END\r\n" or "SERVER_ERROR busy\r\n")
            end
            expect(#backend("b"):seen()):equals(20)
            advance(1)
            for _ = 1, 100 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(10)
            advance(100)
            for _ = 1, 100 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(20)
        end)

        it("has a burst of a second's rate", function()
            failover("limit = { rate = 3 }")
            backend("a"):fails("down")
            for _ = 1, 10 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(3)
        end)

        it("has a burst of one at least", function()
            failover("limit = { rate = 0.5 }")
            backend("a"):fails("down")
            for _ = 1, 3 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(1)
            advance(2)
            send("get foo")
            expect(#backend("b"):seen()):equals(1)
        end)

        it("bounds a storm by the share of requests", function()
            failover("limit = { share = 0.25, burst = 2 }")
            backend("a"):fails("down")
            for _ = 1, 102 do
                send("get foo")
            end
            expect(#backend("b"):seen()):near(27, 1)
        end)

        it("may be as many as there are requests", function()
            failover("limit = { share = 1, burst = 1 }")
            backend("a"):fails("down")
            for _ = 1, 50 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(50)
        end)

        it("has a burst of 100 for a share", function()
            failover("limit = { share = 0.000001 }")
            backend("a"):fails("down")
            for _ = 1, 110 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(100)
        end)

        it("may be nothing", function()
            for _, text in ipairs{ "{ share = 0 }", "{ rate = 0 }" } do
                failover("limit = " .. text)
                backend("a"):fails("down")
                for _ = 1, 10 do
                    send("get foo")
                end
                advance(1000)
                send("get foo")
                expect(backend("b"):seen()):equals{}
            end
            failover("limit = { share = 0, burst = 3 }")
            for _ = 1, 10 do
                send("get foo")
            end
            expect(#backend("b"):seen()):equals(3)
        end)

        for text, problem in pairs{
            ["{}"] = "want rate or share",
            ["{ rate = 1, share = 0.1 }"] = "want rate or share, and not both",
            ["{ rte = 1 }"] = "there is no field \"rte\"",
            ["{ rate = -1 }"] = "rate: want a number that is not negative, got %-1",
            ["{ rate = '1' }"] = "rate: want a number",
            ["{ rate = 0/0 }"] = "rate: want a number",
            ["{ rate = 1, burst = 0 }"] = "burst: want at least 1, got 0",
            ["{ share = 1.01 }"] = "share: want at most 1, got 1.01",
        } do
            it("refuses " .. text, function()
                expect(function() failover("limit = " .. text) end):errors("failover.limit: " .. problem)
            end)
        end
    end)

    describe("order", function()
        local function order(n)
            local got = {}
            for i, line in ipairs(seen()) do
                got[i] = string.sub(line, 1, 1)
            end
            expect(#got):equals(n)
            return table.concat(got)
        end

        it("shuffles once", function()
            local first
            for _, fields in ipairs{ "shuffle = true", "order = 'shuffle'" } do
                failover(fields .. ", miss = true")
                for _ = 1, 5 do
                    send("get foo")
                    local got = order(3)
                    first = first or got
                    expect(got):equals(first)
                end
            end
        end)

        it("shuffles in every way", function()
            local got = {}
            route([[
                local failover = require "routes.failover"
                local all = {}
                for i = 1, 60 do
                    all[i] = failover{ children = { a, b, c }, shuffle = true, miss = true }
                end
                local map = {}
                for i, one in ipairs(all) do
                    map["k" .. i] = one
                end
                return mcp.router_new{ map = map, mode = "prefix", stop = "/" }
            ]], "a", "b", "c")
            for i = 1, 60 do
                send("get k" .. i .. "/x")
                got[order(3)] = true
            end
            local n = 0
            for _ in pairs(got) do
                n = n + 1
            end
            expect(n):equals(6)
        end)

        it("puts a child that has failed behind the others, and gives it another try", function()
            failover("order = 'least_failures'")
            advance(100)
            backend("a"):fails("timeout", 1) -- three seconds later
            send("get foo")
            expect(order(2)):equals("ab")
            send("get foo")
            expect(order(1)):equals("b")
            advance(7)
            send("get foo")
            expect(order(1)):equals("b")
            advance(1)
            send("get foo")
            expect(order(1)):equals("a")
        end)

        it("puts who has failed most last", function()
            failover("order = 'least_failures', miss = true")
            backend("a"):fails("closed", 2)
            backend("b"):fails("closed", 1)
            send("get foo")
            expect(order(3)):equals("abc")
            send("get foo")
            expect(order(3)):equals("cab")
            send("get foo")
            expect(order(3)):equals("cba")
        end)

        it("does not hold many failures against a child for ever", function()
            failover("order = 'least_failures', miss = true")
            backend("a"):fails("closed")
            for _ = 1, 100 do
                send("get foo")
            end
            backend("a"):works()
            seen()
            advance(37)
            send("get foo")
            expect(order(3)):equals("bca")
            advance(1)
            send("get foo")
            expect(order(3)):equals("abc")
        end)

        it("goes by the key", function()
            failover("order = 'rendezvous', miss = true")
            local count, orders = { a = 0, b = 0, c = 0 }, {}
            for i = 1, 600 do
                send("get key" .. i)
                local got = order(3)
                count[string.sub(got, 1, 1)] = count[string.sub(got, 1, 1)] + 1
                orders[got] = (orders[got] or 0) + 1
            end
            for _, name in ipairs(NAMES) do
                expect(count[name]):near(200, 50)
            end
            for _, x in ipairs{ "abc", "acb", "bac", "bca", "cab", "cba" } do
                expect(orders[x]):near(100, 40)
            end
        end)

        it("goes by the key alone", function()
            failover("order = 'rendezvous', miss = true")
            for i = 1, 20 do
                send("get key" .. i)
                local first = order(3)
                send("delete other")
                seen()
                send("get key" .. i)
                expect(order(3)):equals(first)
            end
        end)
    end)

    describe("zones", function()
        local function zones(fields)
            route("return require 'routes.failover'{ children = { x = a, y = b, z = c }, miss = true" .. fields .. " }", "a", "b", "c")
            send("get foo")
            return table.concat(seen(), " ")
        end

        it("are taken by name", function()
            expect(zones("")):equals("a: get foo b: get foo c: get foo")
        end)

        it("are asked once each", function()
            expect(zones(", failover_count = 3")):equals("a: get foo b: get foo c: get foo")
            expect(zones(", failover_count = 3, local_zone = 'z'")):equals("c: get foo a: get foo b: get foo")
            expect(zones(", failover_count = 3, local_zone = 'x'")):equals("a: get foo b: get foo c: get foo")
        end)

        it("shuffle but for the local one", function()
            local got = {}
            route([[
                local map = {}
                for i = 1, 30 do
                    map["k" .. i] = require "routes.failover"{
                        children = { x = a, y = b, z = c }, shuffle = true, miss = true, local_zone = "y" }
                end
                return mcp.router_new{ map = map, mode = "prefix", stop = "/" }
            ]], "a", "b", "c")
            for i = 1, 30 do
                send("get k" .. i .. "/foo")
                local lines = seen()
                expect(string.sub(lines[1], 1, 1)):equals("b")
                got[string.sub(lines[2], 1, 1)] = true
            end
            expect(got.a and got.c):is_true()
        end)

        it("begin with the local one", function()
            expect(zones(", local_zone = 'y'")):equals("b: get foo a: get foo c: get foo")
            expect(zones(", local_zone = 'z', shuffle = true")):matches("^c: ")
        end)

        it("do without the local one, as routelib's", function()
            expect(zones(", local_zone = 'w'")):equals("a: get foo b: get foo c: get foo")
        end)

        it("begin with the proxy's", function()
            config([[
                local_zone("y")
                pools{ set_x = { x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } } }
                routes{ default = route_failover{ children = "set_x", miss = true } }
            ]])
            send("get foo")
            expect(seen()):equals{ "b: get foo", "a: get foo" }
        end)
    end)

    describe("deletes = \"all\"", function()
        before_each(function()
            failover("deletes = 'all'")
        end)

        it("sends a delete to every child", function()
            backend("c"):set("foo", "bar")
            expect(send("delete foo").line):equals("DELETED")
            expect(seen()):equals{ "a: delete foo", "b: delete foo", "c: delete foo" }
            expect(send("md foo").line):equals("NF")
        end)

        it("does not say that a delete is done while a child that was away may serve the item again", function()
            backend("a"):set("foo", "old")
            backend("a"):fails("down", 1)
            expect(send("delete foo").error):is_true()
            expect(send("get foo").value):equals("old")
            expect(send("delete foo").line):equals("DELETED")
            expect(send("get foo").line):equals("END")
        end)

        it("sends everything else to one", function()
            send("set foo 0 0 1", "x")
            expect(seen()):equals{ "a: set foo 0 0 1" }
        end)
    end)

    it("counts what went to others", function()
        failover("stats = true, stats_name = 'x'")
        backend("a"):fails("down")
        backend("b"):fails("down")
        send("get foo")
        backend("a"):works()
        send("get foo")
        expect(tonumber(stat("x_retries"))):equals(2)
    end)

    it("is routelib's", function()
        config([[
            pools{ foo = { backends = { "10.0.0.1:1 a" } }, bar = { backends = { "10.0.0.2:1 b" } } }
            routes{ map = { foo = route_failover{ children = { "foo", "bar" }, stats = true, miss = true, shuffle = false, failover_count = 2 } } }
        ]])
        backend("b"):set("foo/1", "x")
        expect(send("get foo/1").value):equals("x")
        expect(tonumber(stat("foo_retries"))):equals(1)
    end)

    it("has one order", function()
        expect(function() failover("shuffle = true, order = 'rendezvous'") end):errors("failover.shuffle: does not go with order = \"rendezvous\"")
    end)

    it("takes functions for children, which may answer with strings", function()
        route([[
            local children = { function() return "END\r\n" end, function() return "SERVER_ERROR x\r\n" end }
            return require "routes.failover"{ children = children, miss = true }
        ]])
        expect(send("get foo").text):equals("END\r\n")
        route([[return require "routes.failover"{ children = { function() return "SERVER_ERROR x\r\n" end, a } }]], "a")
        expect(send("get foo").text):equals("END\r\n")
        route([[return require "routes.failover"{ children = { function() return "CLIENT_ERROR x\r\n" end, a } }]], "a")
        expect(send("get foo").text):equals("CLIENT_ERROR x\r\n")
    end)
end)
