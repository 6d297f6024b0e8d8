// Sessions: order, errors of scripts, what has no route, limits, reloads under way.

package engine

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnswersComeInRequestOrder(t *testing.T) {
	slow, fast := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
pool{ name = "slow", backends = { "$1" } }
pool{ name = "fast", backends = { "$2" } }
router{ prefix_trim = false }`, slow.addr(), fast.addr()))
	c := dial(t, p)
	c.says("get /fast/1\r\nget /slow/1\r\nget /fast/2\r\nmn\r\nget /none/1\r\n")
	fast.sees("get /fast/1\r\nget /fast/2\r\n")
	slow.sees("get /slow/1\r\n")
	fast.says("VALUE /fast/1 0 1\r\n1\r\nEND\r\nVALUE /fast/2 0 1\r\n2\r\nEND\r\n")
	c.sees("VALUE /fast/1 0 1\r\n1\r\nEND\r\n") // what is ready does not wait for the slow one
	slow.says("END\r\n")
	c.sees("END\r\nVALUE /fast/2 0 1\r\n2\r\nEND\r\nMN\r\nSERVER_ERROR no route\r\n")
	c.silence()
}

func TestScriptMistakesCostOneRequest(t *testing.T) {
	for _, d := range []struct{ name, route, sees string }{
		{"error", `error("oh")`, lineLuaFailure},
		{"error object", `error({ code = 1 })`, lineLuaFailure},
		{"nil index", `return nil + 1`, lineLuaFailure},
		{"endless loop", `while true do end`, lineLuaFailure},
		{"endless loop in pcall", `while true do pcall(function() while true do end end) end`, lineLuaFailure},
		{"endless recursion", `local function f() return 1 + f() end return f()`, lineLuaFailure},
		{"backtracking", `return string.find(string.rep("a", 29), string.rep("a-", 8) .. "b") and "x" or "y"`, "y"},
		{"huge string", `return string.rep("x", 1e9)`, lineLuaFailure},
		{"yield", `coroutine.yield(1)`, lineLuaFailure},
		{"nothing", ``, lineBadResponse},
		{"nil", `return nil`, lineBadResponse},
		{"number", `return 5`, lineBadResponse},
		{"request", `return r`, lineBadResponse},
		{"string", `return "HD\r\n"`, "HD\r\n"},
		{"empty string", `return ""`, ""},
		{"wrong argument", `return p(5)`, lineLuaFailure},
		{"control byte", `r:token(2, "a\r\nflush_all") return p(r)`, lineLuaFailure},
		{"oversized key", `r:ltrimkey(100) return p(r)`, lineLuaFailure},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, b, _ := routed(t, `mcp.attach(mcp.CMD_ANY_STORAGE, function(r) if r:key() == "good" then return p(r) end `+d.route+` end)`)
			for range 3 {
				c.says("get bad\r\nget good\r\n")
				b.sees("get good\r\n")
				b.says("VALUE good 0 1\r\nx\r\nEND\r\n")
				want := d.sees
				if want == "y" {
					want = lineLuaFailure // cut by the budget: backtracking is charged
				}
				c.sees(want + "VALUE good 0 1\r\nx\r\nEND\r\n")
				c.silence()
			}
		})
	}
}

func TestResponsesCannotBeKept(t *testing.T) {
	c, b, _ := routed(t, `
    local kept
    mcp.attach(mcp.CMD_GET, function(r)
        local res = p(r)
        if kept then return kept end
        kept = res
        return res
    end)`)
	c.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("VALUE a 0 1\r\n1\r\nEND\r\n")
	c.sees("VALUE a 0 1\r\n1\r\nEND\r\n")
	other := dialAddr(t, c.c.RemoteAddr().String())
	for range 4 { // whichever worker has it: nobody gets the answer of an earlier request
		other.says("get b\r\n")
		b.sees("get b\r\n")
		b.says("VALUE b 0 1\r\n2\r\nEND\r\n")
		line, err := other.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "VALUE a") {
			t.Fatalf("another request's answer: %q", line)
		}
		if strings.HasPrefix(line, "VALUE") {
			other.sees("2\r\nEND\r\n")
		}
	}
}

func TestWithoutARoute(t *testing.T) {
	c, b, _ := routed(t, "mcp.attach(mcp.CMD_GET, p)")
	for _, d := range []struct{ client, sees string }{
		{"set a 0 0 1\r\nx\r\n", "STORED\r\n"}, // the proxy's own store
		{"mg a v\r\n", "VA 1\r\nx\r\n"},
		{"gat 0 a b\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"},
		{"flush_all\r\n", lineNotAllowed},
		{"verbosity 1\r\n", lineNotAllowed},
		{"flush_all noreply\r\nflush_all 10 noreply\r\nverbosity 1 noreply\r\nshutdown noreply\r\n", ""},
		{"get\r\n", "CLIENT_ERROR parsing request\r\n"},
		{"set a b\r\n", "CLIENT_ERROR parsing request\r\n"},
	} {
		c.says(d.client)
		c.sees(d.sees)
		c.silence()
	}
	c.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
	c.says("version\r\n")
	if line, _ := c.r.ReadString('\n'); !strings.HasPrefix(line, "VERSION ") {
		t.Errorf("version answers %q", line)
	}
	c.says("get a\r\nquit\r\nget a\r\n")
	b.sees("get a\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
	c.ends()
}

func TestInternalStore(t *testing.T) {
	c, _, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return mcp.internal(r) end)")
	for _, d := range []struct{ client, sees string }{
		{"set a 5 0 1\r\nx\r\n", "STORED\r\n"},
		{"set a 5 0 1 noreply\r\ny\r\n", ""},
		{"ms a 1 q\r\nz\r\n", ""},
		{"get a b\r\n", "VALUE a 0 1\r\nz\r\nEND\r\n"},
		{"incr a 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
		{"delete a\r\n", "DELETED\r\n"},
	} {
		c.says(d.client)
		c.sees(d.sees)
		c.silence()
	}
}

func TestTags(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() return true end
function mcp_config_routes()
    mcp.attach(mcp.CMD_ANY_STORAGE, function() return "plain\r\n" end)
    mcp.attach(mcp.CMD_GET, function() return "tagged\r\n" end, "b")
end`), func(o *Options) {
		o.Listen = []string{"127.0.0.1:0", "tag_b_:127.0.0.1:0", "tag_c_:127.0.0.1:0"}
	})
	for i, want := range []string{"plain\r\nplain\r\n", "tagged\r\nplain\r\n", "plain\r\nplain\r\n"} {
		c := dialAddr(t, p.Addrs()[i])
		c.says("get a\r\ntouch a 1\r\n")
		c.sees(want)
	}
}

func TestActiveRequestLimit(t *testing.T) {
	c, b, p := routed(t, "mcp.attach(mcp.CMD_GET, p)", func(o *Options) { o.MaxInFlight = 2 })
	c.says("get a\r\n")
	b.sees("get a\r\n")
	other := dial(t, p)
	other.says("get b\r\nget c\r\n")
	b.sees("get b\r\n")
	b.says("END\r\nEND\r\n")
	c.sees("END\r\n")
	other.sees("END\r\n" + lineActiveLimit)
	c.says("get a\r\n") // the limit is free again
	b.sees("get a\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
}

func TestReloadLetsRequestsEndOnTheirGeneration(t *testing.T) {
	b := newFakeBackend(t)
	path := writeConfig(t, strings.ReplaceAll(luaRoute, "ROUTE", `mcp.attach(mcp.CMD_GET, function(r) p(r) return "old\r\n" end)`), port(b.addr()))
	p := startProxy(t, path)
	c := dial(t, p)
	c.says("get a\r\n")
	b.sees("get a\r\n")
	rewrite(t, path, strings.ReplaceAll(luaRoute, "ROUTE", `mcp.attach(mcp.CMD_GET, function(r) p(r) return "new\r\n" end)`), port(b.addr()))
	if n, err := p.Reload(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	other := dial(t, p)
	other.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("END\r\nEND\r\n") // over the same connection: the fake accepts only one
	c.sees("old\r\n")
	other.sees("new\r\n")

	rewrite(t, path, "x = = 1")
	if n, err := p.Reload(); n != 2 || err == nil || !strings.Contains(err.Error(), path+":1: ") {
		t.Fatal(n, err)
	}
	c.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("END\r\n")
	c.sees("new\r\n")
}

func TestOldGenerationIsCut(t *testing.T) {
	c, b, p := routed(t, "mcp.attach(mcp.CMD_GET, function(r) return p(r) end)", func(o *Options) { o.Drain = time.Millisecond })
	c.says("get a\r\n")
	b.sees("get a\r\n")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.sees(lineBackendFailure)
	b.says("VALUE a 0 1\r\n1\r\nEND\r\n") // too late: nobody's
	c.says("get b\r\n")
	b.sees("get b\r\n")
	b.says("VALUE b 0 1\r\n2\r\nEND\r\n")
	c.sees("VALUE b 0 1\r\n2\r\nEND\r\n")
	c.silence()
}

func TestAwaitModes(t *testing.T) {
	for _, d := range []struct {
		name, args    string
		first, second string // answers, in the order in which they come
		sees          string
	}{
		{"all", "{ a, b }", "HD\r\n", "NS\r\n", "2 HD NS\r\n"},
		{"good: the first hit is enough", "{ a, b }, 1", "HD\r\n", "", "1 HD\r\n"},
		{"good: a miss is not", "{ a, b }, 1", "EN\r\n", "HD\r\n", "2 EN HD\r\n"},
		{"any", "{ a, b }, 1, mcp.AWAIT_ANY", "EN\r\n", "", "1 EN\r\n"},
		{"ok: an error is not", "{ a, b }, 1, mcp.AWAIT_OK", "SERVER_ERROR x\r\n", "EN\r\n", "2 SERVER_ERROR x EN\r\n"},
		{"fastgood", "{ a, b }, 2, mcp.AWAIT_FASTGOOD", "HD\r\n", "", "1 HD\r\n"},
		{"fastgood: else n", "{ a, b }, 2, mcp.AWAIT_FASTGOOD", "EN\r\n", "EN\r\n", "2 EN EN\r\n"},
		{"fastgood: all", "{ a, b }, 0, mcp.AWAIT_FASTGOOD", "HD\r\n", "EN\r\n", "2 HD EN\r\n"},
		{"first", "{ a, b }, 1, mcp.AWAIT_FIRST", "EN\r\n", "", "1 EN\r\n"},
		{"background", "{ a, b }, 1, mcp.AWAIT_BACKGROUND", "", "", "0\r\n"},
	} {
		t.Run(d.name, func(t *testing.T) {
			b := newFakeBackend(t) // one backend for both pools, so that the order of the answers is given
			p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    return { a = mcp.pool({ mcp.backend("$1") }), b = mcp.pool({ mcp.backend("$1") }) }
end
function mcp_config_routes(c)
    local a, b = c.a, c.b
    mcp.attach(mcp.CMD_MG, function(r)
        local got = mcp.await(r, `+d.args+`)
        local out = tostring(#got)
        for _, res in ipairs(got) do out = out .. " " .. res:raw_string():gsub("\r\n", "") end
        return out .. "\r\n"
    end)
end`, b.addr()))
			c := dial(t, p)
			for range 2 { // the second time late answers of the first must not be taken for its own
				c.says("mg k\r\n")
				b.sees("mg k\r\nmg k\r\n")
				b.says(d.first + d.second)
				c.sees(d.sees)
				b.says(strings.Repeat("HD\r\n", 2-strings.Count(d.first+d.second, "\n")))
				c.silence()
			}
		})
	}
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	c, b, p := routed(t, "mcp.attach(mcp.CMD_GET, function(r) return p(r) end)")
	c.says("get a\r\n")
	b.sees("get a\r\n")
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	b.says("END\r\n")
	c.sees("END\r\n")
	c.ends()
	wg.Wait()
}

func TestAnswersThatWaitAreBounded(t *testing.T) {
	c, b, p := routed(t, "mcp.attach(mcp.CMD_GET, function(r) return p(r) end)", func(o *Options) { o.MaxBuffered = 64 << 10 })
	value := strings.Repeat("x", 40<<10)
	c.says("get a\r\nget b\r\n") // 80 KiB of answers at once: too much
	b.sees("get a\r\nget b\r\n")
	b.says("VALUE a 0 40960\r\n" + value + "\r\nEND\r\nVALUE b 0 40960\r\n" + value + "\r\nEND\r\n")
	c.sees("VALUE a 0 40960\r\n" + value + "\r\nEND\r\n" + lineNoMemory)
	c.says("get b\r\n") // one at a time is not
	b.sees("get b\r\n")
	b.says("VALUE b 0 40960\r\n" + value + "\r\nEND\r\n")
	c.sees("VALUE b 0 40960\r\n" + value + "\r\nEND\r\n")
	c.silence()
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

func TestKeyThatIsTooLong(t *testing.T) {
	for _, route := range []string{"p", "function(r) return p(r) end"} {
		c, _, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, "+route+")")
		long := strings.Repeat("k", 251)
		c.says("get " + long + "\r\ndelete " + long + "\r\nmg " + long + " v\r\n")
		for range 3 {
			if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "CLIENT_ERROR ") {
				t.Errorf("%s: %q %v", route, line, err)
			}
		}
		c.silence()
	}
}

// A script may attach while it serves: requests that come later take the new route, of that worker.
func TestAttachWhileServing(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() return true end
function mcp_config_routes()
    mcp.attach(mcp.CMD_GET, function(r) return "old\r\n" end)
    mcp.attach(mcp.CMD_TOUCH, function(r)
        mcp.attach(mcp.CMD_GET, function() return "new\r\n" end)
        return "attached\r\n"
    end)
end`), func(o *Options) { o.Workers = 1 })
	c, other := dial(t, p), dial(t, p)
	var wg sync.WaitGroup
	wg.Go(func() { // at the same time, for the race detector
		for range 200 {
			other.says("get a\r\n")
			if line, err := other.r.ReadString('\n'); err != nil || line != "old\r\n" && line != "new\r\n" {
				t.Errorf("%q %v", line, err)
				return
			}
		}
	})
	for range 50 {
		c.says("touch a 1\r\n")
		c.sees("attached\r\n")
	}
	wg.Wait()
	c.says("get a\r\n")
	c.sees("new\r\n")
}
