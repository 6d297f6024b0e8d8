// What a function takes that others wait for, it cannot wait for itself.

package engine

import "testing"

func TestTakenTwice(t *testing.T) {
	for name, d := range map[string]struct{ route, sees string }{
		"turnstile": {`
    local g = mcp.turnstile{ max = 1, queue = 5 }
    mcp.attach(mcp.CMD_GET, function(r)
        assert(g:enter() == true)
        local ok, why = pcall(g.enter, g, 0.01)
        return tostring(ok) .. " " .. why .. "\r\n"
    end)`, "false turnstile:enter: this function is already in the turnstile, and would wait for itself\r\n"},
		"turnstile with room": {`
    local g = mcp.turnstile{ max = 9 }
    mcp.attach(mcp.CMD_GET, function(r)
        g:enter()
        g:enter()
    end)`, lineLuaFailure},
		"two turnstiles": {`
    local g, h = mcp.turnstile{ max = 1 }, mcp.turnstile{ max = 1 }
    mcp.attach(mcp.CMD_GET, function(r)
        return tostring(g:enter()) .. tostring(h:enter()) .. "\r\n"
    end)`, "truetrue\r\n"},
		"flights": {`
    local f = mcp.flights()
    mcp.attach(mcp.CMD_GET, function(r)
        assert(f:join(r) == nil)
        local ok, why = pcall(f.join, f, r)
        return tostring(ok) .. " " .. why .. "\r\n"
    end)`, "false flights:join: this function already has a flight, which it is to land first\r\n"},
		"flights of other keys": {`
    local f = mcp.flights()
    mcp.attach(mcp.CMD_GET, function(r)
        f:join(r)
        f:join(mcp.request("get other\r\n"))
    end)`, lineLuaFailure},
		"a flight that was landed": {`
    local f = mcp.flights()
    mcp.attach(mcp.CMD_GET, function(r)
        assert(f:join(r) == nil)
        f:land(mcp.internal(r))
        return tostring(f:join(r)) .. "\r\n"
    end)`, "nil\r\n"},
		"a key that it writes": {`
    local f = mcp.flights()
    mcp.attach(mcp.CMD_GET, function(r)
        f:write(r)
        return tostring(f:join(r)) .. tostring(f:join(r)) .. "\r\n"
    end)`, "nilnil\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := routed(t, d.route)
			for range 2 { // what is taken is given back
				c.says("get a\r\n")
				c.sees(d.sees)
			}
		})
	}
}

// A turn that was waited for in vain may be asked for again, and so may the read that another's flight has answered.
func TestTakenAgain(t *testing.T) {
	c, b, p := routed(t, `
    local g = mcp.turnstile{ max = 1, queue = 5 }
    mcp.attach(mcp.CMD_GET, function(r) g:enter() return p(r) end)
    mcp.attach(mcp.CMD_GETS, function(r)
        local _, one = g:enter(0.001)
        local _, two = g:enter(0.001)
        return one .. " " .. two .. "\r\n"
    end)`)
	c.says("get a\r\n")
	b.sees("get a\r\n")
	two := dial(t, p)
	two.says("gets a\r\n")
	two.sees("timeout timeout\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")

	one, b, p := routed(t, `
    local f = mcp.flights()
    local inside = mcp.turnstile{ max = 9 }
    mcp.attach(mcp.CMD_TOUCH, function() return string.format("%d %d\r\n", inside:inside()) end)
    mcp.attach(mcp.CMD_GET, function(r)
        inside:enter()
        local res = f:join(r)
        if res then
            return tostring(f:join(r)) .. "\r\n"
        end
        res = p(r)
        f:land(res)
        return res
    end)`)
	two = dial(t, p)
	one.says("get a\r\n")
	b.sees("get a\r\n")
	two.says("get a\r\n")
	dial(t, p).seeing("2 0\r\n")
	b.says("END\r\n")
	one.sees("END\r\n")
	two.sees("nil\r\n")
}
