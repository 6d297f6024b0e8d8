// Requests that are gone on with in the goroutine that brings their answers.

package engine

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A function that waits in place, after an answer that was brought to it, for another one of the same backend: whose reader it had become.
func TestWaitingInPlaceElsewhere(t *testing.T) {
	c, b, _ := threeBackends(t, `mcp.attach(mcp.CMD_GET, function(r)
        local res = p[1](r)
        string.gsub("aa", "a", function() res = p[1](r) end)
        string.gsub("a", "a", function() res = p[2](r) end)
        return p[1](r)
    end)`)
	for range 20 {
		c.says("get k\r\n")
		for _, from := range []int{0, 0, 0, 1, 0} {
			b[from].sees("get k\r\n")
			b[from].says(miss)
		}
		c.sees(miss)
	}
}

// Two clients' functions wait in place for each other's backend's readers.
func TestWaitingInPlaceForEachOther(t *testing.T) {
	c, b, p := threeBackends(t, `
    local function crossed(one, other)
        return function(r)
            one(r)
            local res
            string.gsub("a", "a", function() res = other(r) end)
            return res
        end
    end
    mcp.attach(mcp.CMD_GET, crossed(p[1], p[2]))
    mcp.attach(mcp.CMD_GETS, crossed(p[2], p[1]))`)
	d := dial(t, p)
	for range 20 {
		c.says("get k\r\n")
		d.says("gets k\r\n")
		b[0].sees("get k\r\n")
		b[1].sees("gets k\r\n")
		b[0].says(miss)
		b[1].says(miss)
		b[0].sees("gets k\r\n")
		b[1].sees("get k\r\n")
		b[0].says(miss)
		b[1].says(miss)
		c.sees(miss)
		d.sees(miss)
	}
}

// Errors and answers of every kind after an answer that was brought.
func TestOutcomesElsewhere(t *testing.T) {
	c, b, _ := threeBackends(t, `mcp.attach(mcp.CMD_GET, function(r)
        local res = p[1](r)
        local key = r:key()
        if key == "fails" then error("no") end
        if key == "text" then return "TEXT\r\n" end
        if key == "nothing" then return nil end
        if key == "number" then return 3 end
        if key == "twice" then return p[2](r) end
        return res
    end)`)
	for range 20 {
		for _, d := range []struct{ key, sees string }{
			{"same", hit}, {"fails", lineLuaFailure}, {"text", "TEXT\r\n"}, {"nothing", lineBadResponse}, {"number", lineBadResponse}, {"twice", miss},
		} {
			says := "get " + d.key + "\r\n"
			c.says(says)
			b[0].sees(says)
			b[0].says(strings.ReplaceAll(hit, " k ", " "+d.key+" "))
			if d.key == "twice" {
				b[1].sees(says)
				b[1].says(miss)
			}
			c.sees(strings.ReplaceAll(d.sees, " k ", " "+d.key+" "))
		}
	}
}

// A function that waits in place runs another that does, too, and goes on waiting when that is done; also where both linger.
func TestWaitingInPlaceWithin(t *testing.T) {
	const within = `
    local inner = gen({ p[2], p[2] }, function(rctx, h) return function(r)
        string.gsub('a', 'a', function() rctx:enqueue_and_wait(r, h[1]) end)
        return rctx:enqueue_and_wait(r, h[2])
    end end, "inner")
    local outer = gen({ p[1], inner, p[3] }, function(rctx, h) return function(r)
        rctx:enqueue_and_wait(r, h[1])
        string.gsub('a', 'a', function()
            rctx:enqueue(r, h[2])
            rctx:enqueue(r, h[3])
            rctx:wait_cond(2, mcp.WAIT_ANY)
        end)
        return "done\r\n"
    end end, "outer")
    local lingers = gen({ outer }, function(rctx, h) return function(r)
        rctx:enqueue(r, h[1])
        rctx:wait_cond(0)
        return "early\r\n"
    end end, "lingers")`
	for _, top := range []string{"outer", "lingers"} {
		t.Run(top, func(t *testing.T) {
			c, b, _ := threeBackends(t, within+"\nmcp.attach(mcp.CMD_GET, "+top+")")
			for range 3 {
				c.says("get k\r\n")
				b[0].sees("get k\r\n")
				if top == "lingers" {
					c.sees("early\r\n")
				}
				b[0].says(miss)
				b[1].sees("get k\r\n")
				b[2].sees("get k\r\n")
				b[1].says(miss)
				b[1].sees("get k\r\n") // the inner one waits in place no longer
				b[2].says(miss)
				b[1].says(miss)
				if top == "outer" {
					c.sees("done\r\n")
				}
			}
			c.silence()
		})
	}
}

// A request whose generation is cut while it is begun is given up, as one that waits is.
func TestCutWhileBeginning(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() return mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = $1, readtimeout = 3600 } }) end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_GET, function(r)
        local enough = mcp.time_mono_millis() + 300
        while mcp.time_mono_millis() < enough do end
        return p(r)
    end)
end`, port(b.addr())), func(o *Options) { o.Workers, o.Drain, o.LuaSteps = 1, time.Millisecond, 1e10 })
	c := dial(t, p)
	g := p.current.Load()
	c.says("get k\r\n")
	for g.refs.Load() < 2 {
		runtime.Gosched()
	}
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.sees(lineBackendFailure)
}

// Large answers that clients do not take are held, and others are refused for it.
func TestSlowClientsElsewhere(t *testing.T) {
	const size = 16 << 20
	for limit, want := range map[string]struct {
		last int
		sees string
	}{"": {1, lineNoMemory}, "mcp.buffer_memory_limit(20480)": {2, lineBackendFailure}} { // 20 MiB, both; a script's may be exceeded by one
		t.Run(limit, func(t *testing.T) {
			_, b, p, _ := limited(t, limit, func(o *Options) {
				if o.MaxItem = size; limit == "" {
					o.MaxBuffered = 20 << 20
				}
			})
			for i := range want.last + 1 {
				c := dial(t, p)
				if err := c.c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
					t.Fatal(err)
				}
				c.says("get k\r\n")
				b.sees("get k\r\n")
				b.says(fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", size, strings.Repeat("x", size)))
				if i == want.last {
					c.sees(want.sees)
				} else if _, err := c.r.Peek(1); err != nil { // and takes no more
					t.Fatal(err)
				}
			}
		})
	}
}
