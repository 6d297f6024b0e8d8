// Functions that wait in what they call.

package engine

import "testing"

// What a function calls last becomes another function, which waits in the midst: requests of one batch are under way together all the same.
func TestTailCallOfWhatChanges(t *testing.T) {
	c, b, _ := threeBackends(t, `
    local changes = {}
    mcp.attach(mcp.CMD_GET, gen({ p[1], p[2] }, function(rctx, h)
        local function one(r) return rctx:enqueue_and_wait(r, h[1]) end
        local function both(r)
            rctx:enqueue_and_wait(r, h[1])
            return rctx:enqueue_and_wait(r, h[2])
        end
        local step = one
        changes[#changes + 1] = function() step = both end
        return function(r) return step(r) end
    end, "steps"))
    mcp.attach(mcp.CMD_MG, function(r)
        for _, change in ipairs(changes) do change() end
        return "HD\r\n"
    end)`)
	c.says("get a\r\nget b\r\n")
	b[0].sees("get a\r\nget b\r\n")
	b[0].says(miss + miss)
	c.sees(miss + miss)
	c.says("mg k\r\n")
	c.sees("HD\r\n")
	for range 3 {
		c.says("get a\r\nget b\r\n")
		b[0].sees("get a\r\nget b\r\n")
		b[0].says(miss + miss)
		b[1].sees("get a\r\nget b\r\n")
		b[1].says(miss + miss)
		c.sees(miss + miss)
	}
}

// A request that waits for the turn of another one of its batch does not keep that from ending.
func TestTurnBeforeATailCall(t *testing.T) {
	for _, route := range []string{
		`local function limited(gate, r) gate:enter() return p[1](r) end
    mcp.attach(mcp.CMD_GET, function(r) return limited(gate, r) end)`,
		`local function limited(r) gate:enter() return p[1](r) end
    mcp.attach(mcp.CMD_GET, function(r) return limited(r) end)`,
		`local pool = p[1]
    local function limited(r) local x = gate:enter() return pool(r) end
    mcp.attach(mcp.CMD_GET, function(r) local res = limited(r) return res end)`,
	} {
		c, b, _ := threeBackends(t, "local gate = mcp.turnstile{ max = 1, queue = 100 }\n    "+route)
		c.says("get a\r\nget b\r\n")
		b[0].sees("get a\r\n")
		b[0].says(miss)
		b[0].sees("get b\r\n")
		b[0].says(miss)
		c.sees(miss + miss)
	}
}

// Functions that were suspended, called and waited in place end in any order, and others are served after them.
func TestCalledAndSuspendedTogether(t *testing.T) {
	c, b, p := threeBackends(t, `
    local pool, far, third = p[1], p[2], p[3]
    local function direct(r) return pool(r) end
    mcp.attach(mcp.CMD_GET, function(r) local res = direct(r) return res end)
    mcp.attach(mcp.CMD_MG, function(r)
        local res
        string.gsub("a", "a", function() res = far(r) end)
        return res
    end)
    mcp.attach(mcp.CMD_MD, function(r) return third(r) end)`)
	d := dial(t, p)
	for range 3 {
		c.says("get a\r\n")
		b[0].sees("get a\r\n")
		d.says("mg b v\r\n")
		b[1].sees("mg b v\r\n")
		b[0].says(miss)
		c.sees(miss)
		b[1].says("EN\r\n")
		d.sees("EN\r\n")
		c.says("md a\r\nget a\r\n")
		b[2].sees("md a\r\n")
		b[0].sees("get a\r\n")
		b[2].says("HD\r\n")
		b[0].says(miss)
		c.sees("HD\r\n" + miss)
	}
}

// A timeout of nil is none.
func TestTurnstileWithoutTimeout(t *testing.T) {
	c, b, _ := threeBackends(t, `local gate = mcp.turnstile{ max = 1, queue = 1 }
    mcp.attach(mcp.CMD_GET, function(r) gate:enter(nil) return p[1](r) end)`)
	c.says("get a\r\n")
	b[0].sees("get a\r\n")
	b[0].says(miss)
	c.sees(miss)
}

// Two answers come at once. The first lets a function go on that waits in place for the second.
func TestWaitingInPlaceForWhatHasCome(t *testing.T) {
	c, b, _ := threeBackends(t, `mcp.attach(mcp.CMD_GET, gen({ p[1], p[2] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h)
        rctx:wait_cond(1, mcp.WAIT_ANY)
        local a, b
        string.gsub("a", "a", function() a, b = rctx:wait_handle(h[1]), rctx:wait_handle(h[2]) end)
        return a
    end end))`)
	for range 200 {
		c.says("get k\r\n")
		b[0].sees("get k\r\n")
		b[1].sees("get k\r\n")
		b[0].says(miss)
		b[1].says(miss)
		c.sees(miss)
	}
}
