// Function generators and request contexts, by what clients and backends see.

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// threeConfig has three pools of one backend each, b[1] to b[3], and func(n, f): a generator with n handles to them, f its function.
const threeConfig = `
function mcp_config_pools()
    local pools = {}
    for i, port in ipairs({ "$1", "$2", "$3" }) do
        pools[i] = mcp.pool({ mcp.backend{ label = "b" .. i, host = "127.0.0.1", port = port } })
    end
    return pools
end
function mcp_config_routes(p)
    local function gen(targets, f, name)
        local g = mcp.funcgen_new()
        local h = {}
        for i, t in ipairs(targets) do h[i] = g:new_handle(t) end
        g:ready{ n = name, f = function(rctx) return f(rctx, h) end }
        return g
    end
    ROUTE
end`

func threeBackends(t *testing.T, route string, change ...func(*Options)) (*client, [3]*fakeBackend, *Proxy) {
	t.Helper()
	var b [3]*fakeBackend
	var ports []string
	for i := range b {
		b[i] = newFakeBackend(t)
		ports = append(ports, port(b[i].addr()))
	}
	change = append(change, func(o *Options) { o.Workers = 1 })
	p := startProxy(t, writeConfig(t, strings.ReplaceAll(threeConfig, "ROUTE", route), ports...), change...)
	return dial(t, p), b, p
}

const (
	hit  = "VALUE k 0 1\r\nx\r\nEND\r\n"
	miss = "END\r\n"
	bad  = "SERVER_ERROR no\r\n"
)

// Each step says what a backend (1 to 3) answers, or with 0 what the client sees.
type said struct {
	who  int
	text string
}

// play goes through the steps; a backend answers when it has been asked.
func play(c *client, b [3]*fakeBackend, steps []said) {
	c.t.Helper()
	for _, s := range steps {
		if s.who == 0 {
			c.sees(s.text)
			continue
		}
		b[s.who-1].sees("get k\r\n")
		b[s.who-1].says(s.text)
	}
}

func TestWaits(t *testing.T) {
	for _, d := range []struct {
		name, body string
		steps      []said
	}{
		{"one", "return rctx:enqueue_and_wait(r, h[1])", []said{{1, hit}, {0, hit}}},
		{"one handle of three", "rctx:enqueue(r, h) return rctx:wait_handle(h[2])", []said{{1, hit}, {2, miss}, {0, miss}, {3, hit}}},
		{"any of three", "rctx:enqueue(r, h) return n(rctx:wait_cond(1))", []said{{3, bad}, {0, "1\r\n"}, {1, hit}, {2, hit}}},
		{"any of three, by strings", "rctx:enqueue(r, h) return n(rctx:wait_cond('1', tostring(mcp.WAIT_ANY), '3'))", []said{{3, bad}, {0, "1\r\n"}, {1, hit}, {2, hit}}},
		{"all", "rctx:enqueue(r, h) return n(rctx:wait_cond(3, mcp.WAIT_ANY))", []said{{3, bad}, {2, miss}, {1, hit}, {0, "3\r\n"}}},
		{"ok", "rctx:enqueue(r, h) return n(rctx:wait_cond(2, mcp.WAIT_OK))", []said{{1, bad}, {2, miss}, {3, hit}, {0, "2\r\n"}}},
		{"good", "rctx:enqueue(r, h) return n(rctx:wait_cond(1, mcp.WAIT_GOOD))", []said{{1, bad}, {2, miss}, {3, hit}, {0, "1\r\n"}}},
		{"none good", "rctx:enqueue(r, h) return n(rctx:wait_cond(2, mcp.WAIT_GOOD))", []said{{1, bad}, {2, miss}, {3, miss}, {0, "0\r\n"}}},
		{"fast good", "rctx:enqueue(r, h) return n(tostring(rctx:wait_cond(3, mcp.WAIT_FASTGOOD) < 3))", []said{{2, miss}, {3, hit}, {0, "true\r\n"}, {1, hit}}},
		{"fast good without", "rctx:enqueue(r, h) return n(rctx:wait_cond(2, mcp.WAIT_FASTGOOD))", []said{{2, miss}, {1, miss}, {0, "2\r\n"}, {3, miss}}},
		{"more than can come", "rctx:enqueue(r, { h[1], h[2] }) return n(rctx:wait_cond(9))", []said{{2, miss}, {1, hit}, {0, "2\r\n"}}},
		{"nothing to come", "return n(rctx:wait_cond(1))", []said{{0, "0\r\n"}}},
		{"nothing", "rctx:enqueue(r, h[1]) rctx:wait_cond(0) return 'now\\r\\n'", []said{{0, "now\r\n"}, {1, hit}}},
		{"one after the other", "local x = rctx:enqueue_and_wait(r, h[1]) if x:hit() then return x end return rctx:enqueue_and_wait(r, h[2])",
			[]said{{1, miss}, {2, hit}, {0, hit}}},
		{"again", "rctx:enqueue_and_wait(r, h[1]) return rctx:wait_handle(h[1])", []said{{1, hit}, {0, hit}}},
		{"what has come counts later", "rctx:enqueue(r, h) rctx:wait_handle(h[3]) return n(rctx:wait_cond(2))", []said{{1, hit}, {2, miss}, {3, hit}, {0, "2\r\n"}}},
		{"timeout", "local x, late = rctx:enqueue_and_wait(r, h[1], 0.01) return tostring(x) .. tostring(late) .. '\\r\\n'", []said{{0, "niltrue\r\n"}, {1, hit}}},
		{"timeout of a count", "rctx:enqueue(r, h) local k, late = rctx:wait_cond(1, mcp.WAIT_ANY, 0.01) return k .. tostring(late) .. '\\r\\n'",
			[]said{{0, "0true\r\n"}, {1, hit}, {2, hit}, {3, hit}}},
		{"sleep", "local x = rctx:sleep(0.005) return tostring(x) .. '\\r\\n'", []said{{0, "true\r\n"}}},
		{"sleep, by a string", "local x = rctx:sleep('0.005') return tostring(x) .. '\\r\\n'", []said{{0, "true\r\n"}}},
		{"handles by strings", "rctx:enqueue(r, h) rctx:wait_handle('1') local x = rctx:enqueue_and_wait(r, '0') return n(tostring(rctx:res_good('0') == x), tostring(rctx:res_any('1')))",
			[]said{{2, miss}, {1, hit}, {0, "true mcp.response\r\n"}, {3, hit}}},
		{"in pcall", "local ok, x = pcall(rctx.enqueue_and_wait, rctx, r, h[1]) return x", []said{{1, hit}, {0, hit}}},
		{"in place", "local x string.gsub('a', 'a', function() x = rctx:enqueue_and_wait(r, h[1]) end) return x", []said{{1, hit}, {0, hit}}},
		{"classes", "rctx:enqueue(r, h) rctx:wait_cond(3) return n(select(2, rctx:result(h[1])), select(2, rctx:result(h[2])), select(2, rctx:result(h[3])))",
			[]said{{1, hit}, {2, miss}, {3, bad}, {0, "8 16 32\r\n"}}},
		{"best", "rctx:enqueue(r, h) rctx:wait_cond(3) return (rctx:best_result(h))", []said{{1, bad}, {2, miss}, {3, hit}, {0, hit}}},
		{"worst", "rctx:enqueue(r, h) rctx:wait_cond(3) return (rctx:worst_result(h))", []said{{1, hit}, {2, bad}, {3, miss}, {0, bad}}},
		{"no result", "return tostring(rctx:res_any(h[1])) .. tostring(rctx:result(h[2])) .. '\\r\\n'", []said{{0, "nilnil\r\n"}}},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, b, _ := threeBackends(t, `
    local function n(...) return table.concat({ ... }, " ") .. "\r\n" end
    mcp.attach(mcp.CMD_GET, gen(p, function(rctx, h) return function(r) `+d.body+` end end))`)
			for range 3 { // the slot is as good as new
				c.says("get k\r\n")
				play(c, b, d.steps)
				c.silence()
			}
		})
	}
}

// A generator behind a handle: what its function returns is the handle's result.
func TestSubCalls(t *testing.T) {
	for _, d := range []struct {
		name, sub, body string
		steps           []said
	}{
		{"a backend's answer", "return rctx:enqueue_and_wait(r, h[1])", "return rctx:enqueue_and_wait(r, h[1])", []said{{1, hit}, {0, hit}}},
		{"its edits are seen", "r:ltrimkey(0) return rctx:enqueue_and_wait(r, h[2])", "local x = rctx:enqueue_and_wait(r, h[1]) return r:key() .. x:code() .. '\\r\\n'",
			[]said{{2, miss}, {0, "k17\r\n"}}},
		{"a string", "return 'text\\r\\n'", "local x = rctx:enqueue_and_wait(r, h[1]) return x .. 'and ' .. x", []said{{0, "text\r\nand text\r\n"}}},
		{"nothing", "return nil", "local x = rctx:enqueue_and_wait(r, h[1]) return x", []said{{0, lineBackendFailure}}},
		{"an error", "error('no')", "local x = rctx:enqueue_and_wait(r, h[1]) return tostring(x:ok()) .. x:code() .. '\\r\\n'", []said{{0, "false23\r\n"}}},
		{"an error after a wait", "rctx:enqueue_and_wait(r, h[1]) error('no')", "return rctx:enqueue_and_wait(r, h[1])", []said{{1, hit}, {0, lineBackendFailure}}},
		{"old words", "return p[3](r)", "return rctx:enqueue_and_wait(r, h[1])", []said{{3, hit}, {0, hit}}},
		{"the proxy's own store", "return rctx:enqueue_and_wait(r, h[4])", "local x = rctx:enqueue_and_wait(r, h[1]) return x:code() .. '\\r\\n'", []said{{0, "17\r\n"}}},
		{"in place", "local x string.gsub('a', 'a', function() x = rctx:enqueue_and_wait(r, h[1]) end) return x",
			"local x string.gsub('a', 'a', function() x = rctx:enqueue_and_wait(r, h[1]) end) return x", []said{{1, hit}, {0, hit}}},
		{"a timeout of the caller", "return rctx:enqueue_and_wait(r, h[1])", "rctx:enqueue_and_wait(r, h[1], 0.005) return 'late\\r\\n'", []said{{0, "late\r\n"}, {1, hit}}},
		{"it goes on when nobody waits", "rctx:enqueue_and_wait(r, h[1]) return rctx:enqueue_and_wait(r, h[2])", "rctx:enqueue(r, h[1]) rctx:wait_cond(0) return 'on\\r\\n'",
			[]said{{0, "on\r\n"}, {1, miss}, {2, hit}}},
		{"it sleeps when nobody waits", "rctx:sleep(0.01) return rctx:enqueue_and_wait(r, h[2])", "rctx:enqueue(r, h[1]) rctx:wait_cond(0) return 'on\\r\\n'",
			[]said{{0, "on\r\n"}, {2, hit}}},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, b, _ := threeBackends(t, `
    local sub = gen({ p[1], p[2], p[3], mcp.internal_handler }, function(rctx, h) return function(r) `+d.sub+` end end, "sub")
    mcp.attach(mcp.CMD_GET, gen({ sub }, function(rctx, h) return function(r) `+d.body+` end end))`)
			for range 3 {
				c.says("get k\r\n")
				play(c, b, d.steps)
			}
			c.silence()
		})
	}
}

// What a sub-call sends later is what the client asked for, although the client has asked for something else since, or has gone.
func TestLingeringCallsKeepTheirRequest(t *testing.T) {
	c, b, _ := threeBackends(t, `
    local sub = gen(p, function(rctx, h) return function(r)
        rctx:enqueue_and_wait(r, h[1])
        return rctx:enqueue_and_wait(r, h[2])
    end end)
    mcp.attach(mcp.CMD_SET, gen({ sub }, function(rctx, h) return function(r) rctx:enqueue(r, h[1]) rctx:wait_cond(0) return "STORED\r\n" end end))
    mcp.attach(mcp.CMD_GET, p[3])`)
	c.says("set first 0 0 5\r\nvalue\r\n")
	c.sees("STORED\r\n")
	b[0].sees("set first 0 0 5\r\nvalue\r\n")
	c.says("get second_and_long\r\n")
	b[2].sees("get second_and_long\r\n")
	b[0].says("STORED\r\n") // while another batch is under way
	b[1].sees("set first 0 0 5\r\nvalue\r\n")
	b[1].says("STORED\r\n")
	b[2].says("END\r\n")
	c.sees("END\r\n")
	c.says("set third 0 0 5 noreply\r\nvalue\r\n")
	c.sees("STORED\r\n") // a string is sent as it is
	b[0].sees("set third 0 0 5 noreplY\r\nvalue\r\n")
	c.c.Close()
	b[0].says("STORED\r\n")
	b[1].sees("set third 0 0 5 noreplY\r\nvalue\r\n")
	b[1].says("STORED\r\n")
}

func TestCallbacks(t *testing.T) {
	for _, d := range []struct{ name, cb, wait, answer, want string }{
		{"called", "seen = res:code() .. req:key()", "1", miss, "1 17k\r\n"},
		{"good after all", "return mcp.WAIT_GOOD", "1, mcp.WAIT_GOOD", miss, "1 nil\r\n"},
		{"not good after all", "return mcp.WAIT_OK", "1, mcp.WAIT_GOOD", hit, "0 nil\r\n"},
		{"no other class", "return mcp.WAIT_ANY", "1, mcp.WAIT_GOOD", hit, "1 nil\r\n"},
		{"an error is no class", "error('no')", "1, mcp.WAIT_GOOD", hit, "1 nil\r\n"},
		{"ends the wait", "return mcp.WAIT_ANY, mcp.WAIT_RESUME", "2, mcp.WAIT_GOOD", miss, "0 nil\r\n"},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, b, _ := threeBackends(t, `
    local seen
    mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h)
        rctx:handle_set_cb(h[1], function(res, req) `+d.cb+` end)
        return function(r) rctx:enqueue(r, h[1]) local n = rctx:wait_cond(`+d.wait+`) return n .. " " .. tostring(seen) .. "\r\n" end
    end))`)
			c.says("get k\r\n")
			b[0].sees("get k\r\n")
			b[0].says(d.answer)
			c.sees(d.want)
		})
	}
}

// A wait for one handle that another's callback ends gives that one's result.
func TestCallbackEndsTheWaitForAnother(t *testing.T) {
	c, b, _ := threeBackends(t, `
    mcp.attach(mcp.CMD_GET, gen({ p[1], p[2] }, function(rctx, h)
        rctx:handle_set_cb(h[2], function(res) return mcp.WAIT_ANY, not res:hit() and mcp.WAIT_RESUME end)
        return function(r)
            rctx:enqueue(r, h[2])
            return rctx:enqueue_and_wait(r, h[1])
        end
    end))`)
	c.says("get k\r\n")
	b[0].sees("get k\r\n")
	b[1].sees("get k\r\n")
	b[1].says(miss)
	c.sees(miss)
	b[0].says(hit)
	c.silence()
}

// Every request under way at once has a function of its own; the last to be given back is the first to serve again.
func TestSlots(t *testing.T) {
	c, b, p := threeBackends(t, `
    local made = 0
    mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h)
        made = made + 1
        if made > 3 then error("enough") end
        local me = made
        return function(r) rctx:enqueue_and_wait(r, h[1]) return me .. "\r\n" end
    end, "counted"))`)
	c.says("get a\r\nget b\r\nget c\r\nget d\r\n")
	b[0].sees("get a\r\nget b\r\nget c\r\n")
	b[0].says(miss + miss + miss)
	c.sees("1\r\n2\r\n3\r\n" + lineNoMatch)
	c.says("get e\r\n")
	b[0].sees("get e\r\n")
	b[0].says(miss)
	c.sees("3\r\n")
	n := p.current.Load().funcs.of("counted")
	if n.Funcs.Load() != 1 || n.Slots.Load() != 3 {
		t.Errorf("%d functions with %d slots, want 1 with 3", n.Funcs.Load(), n.Slots.Load())
	}
}

// A callback is told of answers that come when its function has returned, or the client has gone.
func TestLateCallbacks(t *testing.T) {
	c, b, p := threeBackends(t, `
    local told = {}
    mcp.attach(mcp.CMD_GET, gen(p, function(rctx, h)
        for i = 1, 3 do
            rctx:handle_set_cb(h[i], function(res, req)
                if i == 3 then rctx:enqueue_and_wait(req, h[1]) end -- it is too late for that, and the rest of the function does not run
                table.insert(told, i .. req:key() .. res:code() .. (rctx:cfd() > 0 and "" or "?"))
            end)
        end
        return function(r) rctx:enqueue(r, h) return rctx:wait_handle(h[1]) end
    end))
    mcp.attach(mcp.CMD_MG, function()
        table.sort(told)
        local s = table.concat(told, " ")
        told = {}
        return s .. "\r\n"
    end)`)
	told := func(c *client, want string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if _, active := p.stats.routed(); active == 0 {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%d requests under way", active)
			}
		}
		c.says("mg k\r\n")
		c.sees(want)
	}
	say := func(i int, key, answer string) {
		t.Helper()
		b[i].sees("get " + key + "\r\n")
		b[i].says(answer)
	}
	c.says("get k\r\n")
	say(0, "k", hit)
	c.sees(hit)
	say(1, "k", miss)
	say(2, "k", bad)
	told(c, "1k15 2k17\r\n")

	c.says("get gone\r\n")
	b[0].sees("get gone\r\n")
	c.c.Close()
	say(1, "gone", miss)
	say(2, "gone", miss)
	b[0].says(miss)
	told(dial(t, p), "1gone17 2gone17\r\n")
}

// What a client pipelines reaches a server in the order in which it was asked, through sub-calls or not.
func TestPipelineKeepsOrder(t *testing.T) {
	c, b, _ := threeBackends(t, `
    local function once(r, rctx, h) return rctx:enqueue_and_wait(r, h[1]) end
    local direct = gen({ p[1] }, function(rctx, h) return function(r) return once(r, rctx, h) end end)
    local nested = gen({ direct }, function(rctx, h) return function(r) return once(r, rctx, h) end end)
    mcp.attach(mcp.CMD_TOUCH, gen({ nested }, function(rctx, h) return function(r) return once(r, rctx, h) end end))
    mcp.attach(mcp.CMD_GET, p[1])`)
	c.says("touch k 1\r\nget k\r\ntouch j 1\r\nget j\r\n")
	b[0].sees("touch k 1\r\nget k\r\ntouch j 1\r\nget j\r\n")
	b[0].says("TOUCHED\r\n" + miss + "NOT_FOUND\r\n" + miss)
	c.sees("TOUCHED\r\n" + miss + "NOT_FOUND\r\n" + miss)
}

// Answers that are there at the same time are taken in the order in which their requests were sent.
func TestAnswersInOrder(t *testing.T) {
	c, b, p := threeBackends(t, `
    mcp.attach(mcp.CMD_GET, gen(p, function(rctx, h) return function(r)
        rctx:enqueue(r, h)
        rctx:wait_handle(h[3])
        rctx:wait_cond(1)
        return tostring(rctx:res_any(h[1]) ~= nil) .. tostring(rctx:res_any(h[2]) ~= nil) .. "\r\n"
    end end))`, func(o *Options) { o.Async = func() bool { return false } }) // each backend has a reader of its own
	c.says("get k\r\n")
	for i := range b {
		b[i].sees("get k\r\n")
	}
	var s *session
	p.sessions.mu.Lock()
	for s = range p.sessions.all { // the only one
	}
	p.sessions.mu.Unlock()
	inbox := func(n int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			have := 0
			for p := s.inbox.Load(); p != nil; p = p.Next {
				have++
			}
			if have == n {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%d answers in the inbox, want %d", have, n)
			}
		}
	}
	lua := p.current.Load().workers[0].state
	lua.Lock()
	b[2].says(hit)
	for taken, end := uint64(0), time.Now().Add(patience); taken == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.backends.each(func(_, _ string, s *stat.Snapshot) { taken += s.Count }) // the session has it, and waits for the worker
	}
	b[1].says(hit)
	inbox(1)
	b[0].says(hit)
	inbox(2)
	lua.Unlock()
	c.sees("truefalse\r\n")
}

// The slot that ready makes is the first to serve: clients, or who has the generator behind a handle. If another cannot be made, what was
// taken for it is given back.
func TestFirstSlotServes(t *testing.T) {
	c, _, p := threeBackends(t, `
    local made = 0
    local once = gen({}, function()
        made = made + 1
        if made > 1 then error("only once") end
        return function(r) return "once\r\n" end
    end, "once")
    local many = gen({}, function() return function(r) return "many\r\n" end end, "many")
    mcp.attach(mcp.CMD_GET, gen({ many, once }, function(rctx, h) return function(r) return rctx:enqueue_and_wait(r, h[2]) end end))`)
	for range 2 {
		c.says("get a\r\nget b\r\nget c\r\n")
		c.sees("once\r\n" + lineNoMatch + lineNoMatch)
	}
	for name, slots := range map[string]int64{"once": 1, "many": 2} {
		if n := p.current.Load().funcs.of(name); n.Funcs.Load() != 1 || n.Slots.Load() != slots {
			t.Errorf("%s: %d functions with %d slots, want 1 with %d", name, n.Funcs.Load(), n.Slots.Load(), slots)
		}
	}
}

func TestFuncgenMistakes(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for body, want := range map[string]string{
		"g:new_handle(3)": "invalid argument to new_handle",
		"g:new_handle(mcp.router_new{ map = { a = print } })": "cannot assign a router to a handle in new_handle",
		"g:ready{}":                     "Must specify generator function ('f') to fgen:ready",
		"g:ready{ f = function() end }": "function generator didn't return a function",
		"g:ready{ f = function() error('why', 0) end }":              "why",
		"g:ready{ f = function() return print end, u = 0 }":          "user obj ('u') in fgen:ready must be between 1 and 255",
		"g:ready{ f = function() return print end } g:new_handle(g)": "cannot modify function generator after calling ready",
		"g:ready{ f = function() return print end, u = 256 }":        "user obj ('u') in fgen:ready must be between 1 and 255",
		"mcp.attach(mcp.CMD_GET, 5)":                                 "mcp.attach: must pass a function",
		"g:new_handle(g) g:ready{ f = function() return print end }": "failed to generate request slot during queue_assign()",
		"local a = mcp.funcgen_new() g:new_handle(a) a:new_handle(g) mcp.attach(mcp.CMD_GET, a) a:ready{ f = function() return print end }":    "failed to generate request slot during queue_assign()",
		"mcp.attach(mcp.CMD_GET, g) mcp.attach(mcp.CMD_GET, print) mcp.attach(mcp.CMD_GET, g)":                                                 "mcp.attach: cannot use a previously replaced function",
		"g:ready{ f = function() return print end } mcp.attach(mcp.CMD_GET, g) mcp.attach(mcp.CMD_GET, print) mcp.attach(mcp.CMD_GET, g)":      "mcp.attach: cannot use a previously replaced function",
		"g:ready{ f = function() return print end } mcp.attach(mcp.CMD_GET, g) mcp.attach(mcp.CMD_GET, print) mcp.funcgen_new():new_handle(g)": "cannot use a replaced function in new_handle",
	} {
		err := Check(Options{Files: []string{writeConfig(t, "function mcp_config_pools() return true end function mcp_config_routes() local g = mcp.funcgen_new() "+body+" end")}, Local: local})
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// A generator can be named before it is ready.
func TestReadyLater(t *testing.T) {
	c, b, p := threeBackends(t, `
    local late, never, outer, self = mcp.funcgen_new(), mcp.funcgen_new(), mcp.funcgen_new(), mcp.funcgen_new()
    local other = mcp.funcgen_new()
    self:new_handle(self)
    other:new_handle(never)
    never:new_handle(other)
    local inner = outer:new_handle(late)
    mcp.attach(mcp.CMD_GET, mcp.router_new{ map = { never = never, outer = outer, self = self }, default = late })
    mcp.attach(mcp.CMD_SET, other)
    mcp.attach(mcp.CMD_DELETE, never)
    mcp.attach(mcp.CMD_DELETE, late)
    local h = late:new_handle(p[1])
    late:ready{ n = "late", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
    outer:ready{ n = "outer", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, inner) end end }`)
	for range 3 {
		for _, key := range []string{"k", "outer/k"} {
			c.says("get " + key + "\r\n")
			b[0].sees("get " + key + "\r\n")
			b[0].says("END\r\n")
			c.sees("END\r\n")
		}
		c.says("get never/k\r\nget self/k\r\nset k 0 0 1\r\nx\r\nmn\r\n")
		c.sees(lineNoMatch + lineNoMatch + lineNoMatch + "MN\r\n")
	}
	if n := p.current.Load().funcs.of("late"); n.Funcs.Load() != 1 || n.Slots.Load() != 2 {
		t.Errorf("late: %d functions with %d slots, want 1 with 2", n.Funcs.Load(), n.Slots.Load())
	}
	for _, line := range []string{"get never/k\r\n", "get self/k\r\n", "set k 0 0 1\r\nx\r\n"} {
		if _, err := p.ExplainLive("", []byte(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// As in memcached's proxy, n is a name if it is a string, and u a count if it is a number.
func TestReadyIgnores(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, what := range []string{"n = 5", "n = true", "n = {}", "u = '2'", "u = true", "u = '256'"} {
		config := writeConfig(t, "function mcp_config_pools() return true end function mcp_config_routes() mcp.funcgen_new():ready{ "+
			"f = function() return print end, "+what+" } end")
		if err := Check(Options{Files: []string{config}, Local: local}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRequestContextMistakes(t *testing.T) {
	for body, want := range map[string]string{
		"rctx:enqueue(r)":                                         "must pass a handle or a table to queue",
		"rctx:enqueue(r, 7)":                                      "attempted to enqueue an invalid handle",
		"rctx:enqueue(r, { 'x' })":                                "invalid handle passed to queue via array table",
		"rctx:enqueue_and_wait(r, 'x')":                           "invalid handle passed to enqueue_and_wait",
		"rctx:enqueue_and_wait(r, 0, nil)":                        "timeout argument to wait or sleep must be a number",
		"rctx:wait_handle(9)":                                     "invalid handle passed to wait_handle",
		"rctx:wait_handle(0)":                                     "wait_handle called on unqueued handle",
		"rctx:wait_cond()":                                        "must pass at least count to wait_cond",
		"rctx:wait_cond(-1)":                                      "wait count for wait_cond must be a positive integer",
		"rctx:wait_cond(1, 9)":                                    "invalid mode sent to wait_cond",
		"rctx:wait_cond('1.5')":                                   "wait count for wait_cond must be a positive integer",
		"rctx:wait_cond(1, 'x')":                                  "invalid mode sent to wait_cond",
		"rctx:enqueue(r, '0')":                                    "must pass a handle or a table to queue",
		"rctx:enqueue_and_wait(r, '7')":                           "attempted to enqueue an invalid handle",
		"assert(not pcall(rctx.handle_set_cb, rctx, '0', print))": "nil",
		"rctx:sleep('x')":                                         "timeout argument to wait or sleep must be a number",
		"rctx:res_good(9)":                                        "invalid queue handle passed to :good/:ok:/:any",
		"rctx:best_result(1)":                                     "must pass a table to :best_result",
		"rctx:worst_result({ 9 })":                                "invalid queue handle passed to worst_result",
		"rctx:handle_set_cb(9, print)":                            "invalid handle passed to queue_set_cb",
		"rctx:enqueue(mcp.request('version\\r\\n'), 0)":           "cannot queue requests without a key",
		"kept = kept or rctx if kept ~= rctx then kept:cfd() end": "",
	} {
		c, _, _ := threeBackends(t, `
    mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h) return function(r)
        local ok, err = pcall(function() `+body+` end)
        return tostring(err) .. "\r\n"
    end end))`)
		c.says("get k\r\n")
		if want == "" {
			want = "nil"
		}
		c.sees(want + "\r\n")
	}
}

// What is sent after a wait was queued then, and not when its batch began.
func TestElapsedAfterAWait(t *testing.T) {
	c, b, _ := threeBackends(t, `mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h) return function(r)
        rctx:sleep(0.25)
        return rctx:enqueue_and_wait(r, h[1]):elapsed() < 250000 and "short\r\n" or "long\r\n"
    end end))`)
	c.says("get k\r\n")
	b[0].sees("get k\r\n")
	b[0].says(miss)
	c.sees("short\r\n")
}
