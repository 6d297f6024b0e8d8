// What lingers and waits in a place that cannot be suspended.

package engine

import (
	"strings"
	"testing"
)

// Between two requests of its client what lingers may wait in place: it gets its answer, the client's next request waits for it, and other
// clients do not.
func TestLingeringWaitsInPlace(t *testing.T) {
	c, b, p := threeBackends(t, `
    local sub = gen({ p[1], p[2] }, function(rctx, h) return function(r)
        rctx:enqueue_and_wait(r, h[1])
        local res
        string.gsub('a', 'a', function() res = rctx:enqueue_and_wait(r, h[2]) end)
        return res
    end end, "sub")
    mcp.attach(mcp.CMD_GET, gen({ sub, p[3] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h[1])
        rctx:enqueue_and_wait(r, h[2])
        return 'done\r\n'
    end end, "top"))`)
	other := dial(t, p)
	for range 5 {
		c.says("get k\r\n")
		b[0].sees("get k\r\n")
		b[2].sees("get k\r\n")
		b[2].says(miss)
		c.sees("done\r\n")
		b[0].says(miss)
		b[1].sees("get k\r\n")
		c.says("mn\r\n")
		other.silence()
		b[1].says(miss)
		c.sees("MN\r\n")
	}
}

// What waits in place for a sub-call goes on when that has waited for as long as it wanted to.
func TestDeadlinesOfWhatIsWaitedForInPlace(t *testing.T) {
	for _, waits := range []string{`rctx:sleep(0.05)`, `rctx:enqueue_and_wait(r, h[1], 0.05)`, `rctx:enqueue(r, h[1]) rctx:wait_cond(1, mcp.WAIT_ANY, 0.05)`} {
		t.Run(waits, func(t *testing.T) {
			c, b, _ := threeBackends(t, `
    local sub = gen({ p[1] }, function(rctx, h) return function(r)
        `+waits+`
        return "waited\r\n"
    end end, "sub")
    mcp.attach(mcp.CMD_GET, gen({ sub }, function(rctx, h) return function(r)
        local res
        string.gsub("a", "a", function() res = rctx:enqueue_and_wait(r, h[1]) end)
        return res
    end end, "top"))`)
			for range 2 { // the second time by the same connection: none has timed out
				c.says("get k\r\nget k\r\n")
				c.sees("waited\r\nwaited\r\n")
				if strings.Contains(waits, "enqueue") {
					b[0].sees("get k\r\nget k\r\n")
					b[0].says(miss + miss)
				}
			}
		})
	}
}

// What lingers and waits in place is given up when its generation is cut, although the client asks for nothing: its next request is not kept waiting.
func TestWhatLingersInPlaceIsCut(t *testing.T) {
	c, b, p := threeBackends(t, `
    local sub = gen({ p[1] }, function(rctx, h) return function(r)
        rctx:enqueue_and_wait(r, h[1])
        string.gsub('a', 'a', function() rctx:sleep(1000) end)
        return "x\r\n"
    end end, "sub")
    mcp.attach(mcp.CMD_GET, gen({ sub }, function(rctx, h) return function(r)
        rctx:enqueue(r, h[1])
        rctx:wait_cond(0)
        return 'done\r\n'
    end end, "top"))`, func(o *Options) { o.Drain = 1 })
	c.says("get k\r\n")
	b[0].sees("get k\r\n")
	c.sees("done\r\n")
	b[0].says(miss)
	s := p.sessions.one()
	until(t, "it to wait in place", s.block.Load)
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.says("mn\r\n")
	c.sees("MN\r\n")
}

// A client goes in the midst of a batch, while functions of it wait for what others do that wait for nothing from a backend. None serves two afterwards.
func TestDroppedFunctionsServeOneEach(t *testing.T) {
	c, _, p := threeBackends(t, `
    local inner = gen({ p[1] }, function(rctx, h) return function(r)
        rctx:sleep(string.find(r:key(), "long") and 30 or 0.05)
        return r:key() .. '\r\n'
    end end, "inner")
    local sub = gen({ inner }, function(rctx, h) return function(r) local res = rctx:enqueue_and_wait(r, h[1]) return res end end, "sub")
    mcp.attach(mcp.CMD_GET, gen({ sub }, function(rctx, h) return function(r)
        local mine = r:key()
        local res = rctx:enqueue_and_wait(r, h[1])
        return mine .. '=' .. res
    end end, "top"))
    mcp.attach(mcp.CMD_GETS, function(r) return "AT ONCE\r\n" end)`)
	gone := dial(t, p)
	gone.says("gets k\r\nget short\r\nget long\r\nget long\r\n") // what is written when short is done finds nobody
	gone.sees("AT ONCE\r\n")
	gone.resets()
	until(t, "the session's end", func() bool { return p.sessions.count() == 1 })
	const many = 20
	var says, sees strings.Builder
	for i := range many {
		key := string(rune('a' + i))
		says.WriteString("get " + key + "\r\n")
		sees.WriteString(key + "=" + key + "\r\n")
	}
	c.says(says.String())
	c.sees(sees.String())
}
