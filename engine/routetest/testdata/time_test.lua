-- Time: it goes on by itself, and takes none.

local DAY = 86400

it("begins at nought", function()
    expect(now()):equals(0)
    advance(2.5)
    expect(now()):equals(2.5)
    route([[return function() return "SERVER_ERROR " .. mcp.time_real_millis() .. " " .. mcp.time_mono_millis() .. " " .. os.time() .. "\r\n" end]])
    expect(send("get foo").line):equals("SERVER_ERROR 1767225602500 2500 1767225602")
end)

it("passes while a route waits", function()
    route([[
        local g = mcp.funcgen_new()
        local h = g:new_handle(a)
        g:ready{ n = "x", f = function(rctx)
            return function(r)
                rctx:sleep(86400)
                local res, late = rctx:enqueue_and_wait(r, h, 2)
                return res or "SERVER_ERROR " .. tostring(late) .. "\r\n"
            end
        end }
        return g]], "a")
    expect(send("get foo").text):equals("END\r\n")
    expect(now()):equals(DAY)
    backend("a"):never()
    local res = send("get foo")
    expect(res.line):equals("SERVER_ERROR true")
    expect(res.time):equals(DAY + 2)
end)

it("passes where a route cannot be suspended", function()
    route([[return function(r)
        local n = 0
        string.gsub("xxx", "x", function() n = n + (a(r):ok() and 1 or 0) end)
        return "SERVER_ERROR " .. n .. "\r\n"
    end]], "a")
    backend("a"):slow(0.5)
    local other = start("get bar")
    local res = send("get foo")
    expect(res.line):equals("SERVER_ERROR 3")
    expect(res.time):equals(1.5)
    expect(other:done()):is_true()
    expect(other:wait().time):equals(1.5)
end)

it("is what rate limiters go by", function()
    route([[
        local limit = mcp.ratelim_tbf{ limit = 3, fillrate = 2, tickrate = 1000 }
        return function(r) return limit(1) and a(r) or "SERVER_ERROR slowly\r\n" end]], "a")
    local function passed()
        local n = 0
        while not send("get foo").error do
            n = n + 1
        end
        return n
    end
    expect(passed()):equals(2)
    advance(1.001)
    expect(passed()):equals(2)
    advance(3600)
    expect(passed()):equals(2)
end)

it("is what crons go by", function()
    config([[
        function mcp_config_pools()
            mcp.register_cron("x", { every = 5, func = function() mcp.log("cron") end })
            mcp.register_cron("once", { every = 7, rerun = false, func = function() mcp.log("once") end })
        end
        function mcp_config_routes() mcp.attach(mcp.CMD_GET, function() return "SERVER_ERROR\r\n" end) end]])
    advance(4.9)
    expect(log()):equals{}
    advance(0.1)
    expect(log()):equals{ "cron" }
    advance(15)
    expect(log()):equals{ "once", "cron", "cron", "cron" }
    expect(stat("proxy_config_cron_runs")):equals(5)
end)

it("brings answers of one moment in the order of what was sent", function()
    route([[return function(r)
        local order = {}
        for i, res in ipairs(mcp.await(r, { a, b, c })) do order[i] = res:line() or "?" end
        return "SERVER_ERROR " .. table.concat(order, " ") .. "\r\n"
    end]], "a", "b", "c")
    backend("a"):answers("HD a")
    backend("b"):answers("HD b")
    backend("c"):answers("HD c")
    expect(send("mg foo a").line):equals("SERVER_ERROR a b c")
    backend("a"):slow(0.2)
    backend("b"):slow(0.1)
    expect(send("mg foo a").line):equals("SERVER_ERROR c b a")
end)

it("passes for what goes on after an answer", function()
    route([[
        local g = mcp.funcgen_new()
        local ha, hb = g:new_handle(a), g:new_handle(b)
        g:ready{ n = "x", f = function(rctx)
            rctx:handle_set_cb(hb, function(res) mcp.log("b says " .. tostring(res:ok())) end)
            return function(r)
                rctx:enqueue(r, { ha, hb })
                return rctx:wait_handle(ha)
            end
        end }
        return g]], "a", "b")
    backend("b"):slow(1)
    expect(send("get foo").time):equals(0)
    expect(seen()):equals{ "a: get foo", "b: get foo" }
    expect(log()):equals{}
    advance(1)
    expect(log()):equals{ "b says true" }
end)
