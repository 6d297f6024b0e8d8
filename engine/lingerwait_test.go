// What lingers and waits in a place that cannot be suspended.

package engine

import "testing"

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
