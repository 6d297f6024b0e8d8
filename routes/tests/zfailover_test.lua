-- Tests of routes/zfailover.lua.

local model = require "model"

local NAMES = { "a", "b", "c" }

-- predict says what a near a and far b and c answer and send.
local function predict(list, req, miss)
    local sent = { model.sent("a", list[1], req) }
    if list[1] == "hit" or list[1] == "miss" and not (miss and req.fetch) then
        return model.text("a", list[1], req), sent
    end
    sent[#sent + 1] = model.sent("b", list[2], req)
    sent[#sent + 1] = model.sent("c", list[3], req)
    local best = model.best(list)
    return model.text(NAMES[best], list[best], req), sent
end

describe("zfailover, whatever its children do:", function()
    for _, miss in ipairs{ false, true } do
        for _, req in ipairs(model.requests) do
            it(req.line .. ", miss = " .. tostring(miss), function()
                route("return require 'routes.zfailover'{ children = { z1 = a, z2 = b, z3 = c }, local_zone = 'z1', miss = " .. tostring(miss) ..
                    " }", "a", "b", "c")
                model.combinations(3, function(list)
                    for i, o in ipairs(list) do
                        model.apply(NAMES[i], o, req)
                    end
                    local text, sent = predict(list, req, miss)
                    local what = table.concat(list, " ") .. " => "
                    expect(what .. send(req.line, req.value).text):equals(what .. text)
                    expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                end)
            end)
        end
    end
end)

describe("zfailover", function()
    local function zfailover(fields)
        route("return require 'routes.zfailover'{ children = { z1 = a, z2 = b, z3 = c }, " .. fields .. " }", "a", "b", "c")
    end

    it("fails over on a miss unless it is told not to", function()
        zfailover("local_zone = 'z1'")
        backend("c"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
    end)

    it("asks the others at once, and takes the first hit", function()
        zfailover("local_zone = 'z2'")
        backend("a"):slow(0.2)
        backend("a"):set("foo", "slow")
        backend("c"):slow(0.1)
        backend("c"):set("foo", "fast")
        local res = send("get foo")
        expect(res.value):equals("fast")
        expect(res.time):equals(0.1)
    end)

    it("does not take the miss of a zone that has just restarted for the answer", function()
        zfailover("local_zone = 'z1'")
        backend("c"):slow(0.1)
        backend("c"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
    end)

    it("does not take \"not found\" for the answer while a success may come", function()
        zfailover("local_zone = 'z1'")
        backend("a"):fails("down")
        backend("c"):slow(0.1)
        backend("c"):set("foo", "bar")
        expect(send("delete foo").text):equals("DELETED\r\n")
    end)

    it("does not ask the others what the client has done wrong", function()
        zfailover("local_zone = 'z1'")
        backend("a"):set("foo", "no number")
        expect(send("incr foo 1").line):matches("^CLIENT_ERROR")
        expect(seen()):equals{ "a: incr foo 1" }
    end)

    it("does not let an add that the near zone refuses succeed elsewhere", function()
        zfailover("local_zone = 'z1'")
        backend("a"):set("foo", "1")
        expect(send("add foo 0 0 1", "2").line):equals("NOT_STORED")
    end)

    describe("wait", function()
        before_each(function()
            zfailover("local_zone = 'z1', wait = 0.1")
        end)

        it("asks the others after so many seconds", function()
            backend("a"):never()
            backend("b"):set("foo", "bar")
            local res = send("get foo")
            expect(res.value):equals("bar")
            expect(res.time):equals(0.1)
        end)

        it("takes the near zone's answer if it comes late", function()
            backend("a"):slow(0.15)
            backend("a"):set("foo", "bar")
            backend("b"):slow(1)
            backend("c"):slow(1)
            local res = send("get foo")
            expect(res.value):equals("bar")
            expect(res.time):equals(0.15)
        end)

        it("waits for all when the near zone misses late", function()
            backend("a"):slow(0.15)
            backend("b"):slow(0.2)
            backend("c"):slow(0.3)
            backend("c"):set("foo", "bar")
            expect(send("get foo").value):equals("bar")
        end)

    end)

    it("answers an error when nobody has answered in time", function()
        route("return require 'routes.zfailover'{ children = { z1 = a }, local_zone = 'z1', wait = 0.1 }", "a")
        backend("a"):never()
        local res = send("get foo")
        expect(res.text):equals("SERVER_ERROR timeout\r\n")
        expect(res.time):equals(0.1)
    end)

    it("asks no more zones than failover_count", function()
        zfailover("local_zone = 'z2', failover_count = 1")
        send("get foo")
        expect(seen()):equals{ "b: get foo", "a: get foo" }
        zfailover("local_zone = 'z2', failover_count = 0")
        send("get foo")
        expect(seen()):equals{ "b: get foo" }
    end)

    it("bounds a storm", function()
        zfailover("local_zone = 'z1', limit = { rate = 1, burst = 5 }")
        backend("a"):answers("SERVER_ERROR busy")
        for i = 1, 20 do
            expect(send("get foo").text):equals(i <= 5 and "END\r\n" or "SERVER_ERROR busy\r\n")
        end
        expect(#backend("b"):seen()):equals(5)
        zfailover("local_zone = 'z1', limit = { share = 0.5, burst = 1 }")
        backend("a"):answers("SERVER_ERROR busy")
        for _ = 1, 20 do
            send("get foo")
        end
        expect(#backend("b"):seen()):near(10, 1)
    end)

    it("asks the others though there is no such counter, and says so once", function()
        route([[return require 'routes.zfailover'{ children = { z1 = a, z2 = b }, local_zone = "z1", stat = 5000 }]], "a", "b")
        backend("a"):fails("down")
        backend("b"):set("foo", "bar")
        for _ = 1, 3 do
            expect(send("get foo").value):equals("bar")
        end
        expect(table.concat(log(), "\n")):matches("^route_zfailover: stat = 5000: [^\n]+$")
    end)

    it("counts what the near zone could not answer", function()
        config([[
            function mcp_config_pools()
                mcp.add_stat(1, "far")
                return { a = mcp.pool{ mcp.backend("a", "10.0.0.1", 1) }, b = mcp.pool{ mcp.backend("b", "10.0.0.2", 1) } }
            end
            function mcp_config_routes(p)
                mcp.attach(mcp.CMD_ANY_STORAGE, require "routes.zfailover"{
                    children = { z1 = p.a, z2 = p.b }, local_zone = "z1", stat = 1, stats = true, stats_name = "x" })
            end
        ]])
        backend("a"):set("foo", "bar")
        send("get foo")
        send("get other")
        expect(tonumber(stat("far"))):equals(1)
        expect(tonumber(stat("x_retries"))):equals(1)
    end)

    it("is routelib's", function()
        config([[
            local_zone("foo")
            pools{ set_ztest = { foo = { backends = { "10.0.0.1:1 a" } }, baz = { backends = { "10.0.0.2:1 b" } } } }
            routes{ map = { bar = cmdmap{ get = route_zfailover{ children = "set_ztest", stats = true, miss = true } } } }
        ]])
        backend("b"):set("bar/1", "x")
        expect(send("get bar/1").value):equals("x")
        expect(seen()):equals{ "a: get bar/1", "b: get bar/1" }
        expect(tonumber(stat("bar_retries"))):equals(1)
    end)

    it("wants a zone", function()
        expect(function() zfailover("") end):errors("zfailover.local_zone: is missing")
        expect(function() zfailover("local_zone = 'z4'") end):errors("zfailover.children: there is no zone \"z4\"")
        expect(function() route("return require 'routes.zfailover'{ children = { a } }", "a") end):errors("want a table by name, got a list")
    end)

    it("takes functions for children, which may answer with strings", function()
        route([[
            local far = { z1 = function() return "SERVER_ERROR x\r\n" end, z2 = function() return "END\r\n" end }
            return require "routes.zfailover"{ children = far, local_zone = "z1" }
        ]])
        expect(send("get foo").text):equals("END\r\n")
    end)
end)
