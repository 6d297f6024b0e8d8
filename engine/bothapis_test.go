// The older API and function generators in one file, one request and one function.

package engine

import "testing"

// A route of each kind beside the other: attached in one file, one behind the other, and the older words inside a generator's function,
// with answers in an order that mixes their waits.
func TestBothAPIsInOneFile(t *testing.T) {
	const route = `
    local inner = gen({ p[2] }, function(rctx, h) return function(r)
        return rctx:enqueue_and_wait(r, h[1])
    end end, "inner")
    mcp.attach(mcp.CMD_GET, function(r) return p[1](r) end)
    mcp.attach(mcp.CMD_GETS, function(r)
        local all = mcp.await(r, { p[1], p[2] }, 2)
        return all[1]:hit() and all[1] or all[2]
    end)
    mcp.attach(mcp.CMD_MG, inner)
    mcp.attach(mcp.CMD_TOUCH, gen({ inner, p[3] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h[2])                        -- under way while the older words wait
        local res = p[1](r)
        if res:code() == mcp.MCMC_CODE_TOUCHED then
            return res
        end
        for _, a in pairs(mcp.await(r, { p[1], p[2] }, 1, mcp.AWAIT_OK)) do
            if a:code() == mcp.MCMC_CODE_TOUCHED then
                return a
            end
        end
        return rctx:enqueue_and_wait(r, h[1]):ok() and rctx:wait_handle(h[2]) or "SERVER_ERROR none\r\n"
    end end, "mixed"))`
	for _, d := range []struct {
		name, asks string
		steps      []said
	}{
		{"a function", "get k\r\n", []said{{1, hit}, {0, hit}}},
		{"await", "gets k\r\n", []said{{2, hit}, {1, miss}, {0, hit}}},
		{"a generator", "mg k v\r\n", []said{{2, "EN\r\n"}, {0, "EN\r\n"}}},
		{"the pool is enough", "touch k 0\r\n", []said{{1, "TOUCHED\r\n"}, {0, "TOUCHED\r\n"}}},
		{"await is enough", "touch k 0\r\n", []said{{1, "NOT_FOUND\r\n"}, {2, "TOUCHED\r\n"}, {1, "SERVER_ERROR x\r\n"}, {0, "TOUCHED\r\n"}}},
		{"all three", "touch k 0\r\n", []said{{1, "NOT_FOUND\r\n"}, {1, "NOT_FOUND\r\n"}, {2, "NOT_FOUND\r\n"}, {2, "NOT_FOUND\r\n"}, {3, "TOUCHED\r\n"}, {0, "TOUCHED\r\n"}}},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, b, _ := threeBackends(t, route)
			c.says(d.asks)
			for _, s := range d.steps {
				if s.who == 0 {
					c.sees(s.text)
					continue
				}
				b[s.who-1].sees(d.asks)
				b[s.who-1].says(s.text)
			}
		})
	}
}
