// The limits that scripts set, and the statistics that tell of them.

package engine

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// limited starts a proxy of one worker whose configuration says limit, in front of one backend.
func limited(t *testing.T, limit string, change ...func(*Options)) (c *client, b *fakeBackend, p *Proxy, path string) {
	t.Helper()
	b = newFakeBackend(t)
	path = writeConfig(t, limitConfig(limit), port(b.addr()))
	p = startProxy(t, path, append(change, func(o *Options) { o.Workers = 1 })...)
	return dial(t, p), b, p, path
}

func limitConfig(limit string) string {
	return `
function mcp_config_pools()
    ` + limit + `
    return mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = $1 } })
end
function mcp_config_routes(p)
    local g = mcp.funcgen_new()
    local h = g:new_handle(p)
    g:ready{ n = "all", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
    mcp.attach(mcp.CMD_ANY_STORAGE, mcp.router_new{ map = {}, default = g })
    mcp.attach(mcp.CMD_MA, function(r) return "NF\r\n" end)
end`
}

func (c *client) wantStats(sub string, want map[string]string) {
	c.t.Helper()
	c.says(strings.TrimSpace("stats "+sub) + "\r\n")
	got := c.lines()
	for name, v := range want {
		if got[name] != v {
			c.t.Errorf("stats %s: %s is %q, want %q", sub, name, got[name], v)
		}
	}
}

func TestActiveRequestLimitOfScripts(t *testing.T) {
	c, b, p, path := limited(t, "mcp.active_req_limit(3)")
	c.wantStats("proxy", map[string]string{"active_req_limit": "3"})
	c.says("mg a\r\nversion\r\nmg b\r\nmg c\r\nmg d\r\nms e 1\r\nx\r\nma f\r\n") // what needs no route does not count
	b.sees("mg a\r\nmg b\r\nmg c\r\n")
	other := dial(t, p)
	other.says("mg x\r\nget\r\n")
	other.sees(lineActiveLimit)
	other.line("CLIENT_ERROR.*\r")
	other.wantStats("", map[string]string{"proxy_req_active": "3", "proxy_conn_requests": "7"})
	b.says("EN\r\nEN\r\nEN\r\n")
	c.sees("EN\r\n")
	c.line("VERSION .*\r")
	c.sees("EN\r\nEN\r\n" + strings.Repeat(lineActiveLimit, 3))
	c.says("mg a\r\n") // they have all been given back
	b.sees("mg a\r\n")
	b.says("EN\r\n")
	c.sees("EN\r\n")
	c.wantStats("", map[string]string{"proxy_req_active": "0"})

	rewrite(t, path, limitConfig("mcp.active_req_limit(0)"), port(b.addr()))
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.wantStats("proxy", map[string]string{"active_req_limit": "0"})
	c.says(strings.Repeat("mg a\r\n", 5))
	b.sees(strings.Repeat("mg a\r\n", 5))
	b.says(strings.Repeat("EN\r\n", 5))
	c.sees(strings.Repeat("EN\r\n", 5))
}

func TestLimitsAreSharedByWorkers(t *testing.T) {
	for _, d := range []struct {
		limit   int64
		workers int
		want    int64
	}{{0, 4, 0}, {1, 4, 1}, {8, 4, 8}, {9, 4, 2}, {100, 4, 25}, {100, 1, 100}} {
		if got := share(d.limit, d.workers); got != d.want {
			t.Errorf("%d among %d: %d, want %d", d.limit, d.workers, got, d.want)
		}
	}
}

func TestBufferMemoryLimit(t *testing.T) {
	var mu sync.Mutex
	var due []func() // what shall count no longer, later
	c, b, p, path := limited(t, "mcp.buffer_memory_limit(20)", func(o *Options) {
		o.after = func(_ time.Duration, f func()) {
			mu.Lock()
			due = append(due, f)
			mu.Unlock()
		}
	})
	c.wantStats("proxy", map[string]string{"buffer_memory_limit": "20480"})
	w, other := watcher(t, p, "proxyevents"), dial(t, p)
	set := "set a 0 0 30000\r\n" + strings.Repeat("x", 30000) + "\r\n"
	c.says(set)
	b.sees(set)
	other.says(set + "mg b\r\n") // is swallowed, and what follows is heard
	b.sees("mg b\r\n")
	other.sees(lineNoMemory)
	b.says("STORED\r\n") // there is no room for it either: it costs the connection
	c.sees(lineBackendFailure)
	other.sees(lineBackendFailure)
	w.line(head + `type=proxy_backend error=outofmemory name=127.0.0.1 port=\d+ label=b depth=2 rbuf=STORED%0D%0A`)
	c.wantStats("", map[string]string{"proxy_conn_oom": "1"})
	other.says(set) // it counts a while longer
	other.sees(lineNoMemory)
	mu.Lock()
	for _, f := range due {
		f()
	}
	mu.Unlock()
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are held for nobody", n)
	}
	if !p.room() {
		t.Error("there is no room when all has been let go")
	}

	rewrite(t, path, limitConfig("mcp.buffer_memory_limit(0)"), port(b.addr()))
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	until(t, "the other connection to have given its buffer back", func() bool { return p.server.Stats().Buffered == 0 })
	c.wantStats("proxy", map[string]string{"buffer_memory_limit": "0", "buffer_memory_used": "0"})
	if !p.room() {
		t.Error("the limit is gone, and there is no room")
	}
}

// Of a large answer its own bytes count against a script's limit, not the buffer that it lies in.
func TestBufferMemoryLimitCountsBytes(t *testing.T) {
	c, b, _, _ := limited(t, "mcp.buffer_memory_limit(500)")
	c.says(strings.Repeat("get k\r\n", 5))
	b.sees(strings.Repeat("get k\r\n", 5))
	answer := "VALUE k 0 70000\r\n" + strings.Repeat("x", 70000) + "\r\nEND\r\n"
	go io.WriteString(b.conn, strings.Repeat(answer, 5))
	c.sees(strings.Repeat(answer, 5))
}

// Leaves have no connection of their own that could be given up: their answers are dropped one by one.
func TestBufferMemoryLimitOfLeaves(t *testing.T) {
	s := &session{p: &Proxy{stats: newCounters(), server: server.New(server.Options{})}}
	s.p.opts.MaxBuffered = 1 << 20
	s.p.opts.after = func(_ time.Duration, f func()) { f() }
	s.p.scriptBuffers.Store(100)
	for i, want := range []error{nil, nil, backend.ErrOverloaded} {
		p := &backend.Pending{Buf: make([]byte, 60)}
		if s.hold(p); p.Err != want {
			t.Errorf("answer %d: %v, want %v", i, p.Err, want)
		}
	}
	if s.letGo(); s.p.held.Load() != 0 {
		t.Errorf("%d bytes are held", s.p.held.Load())
	}
}

func TestProxyFuncs(t *testing.T) {
	c, b, p, _ := limited(t, "")
	c.wantStats("proxyfuncs", map[string]string{
		"funcs_all": "1", "slots_all": "1", "funcs_anonymous": "1", "slots_anonymous": "0", "funcs_mcp_router": "1", "slots_mcp_router": "0",
	})
	c.says("mg a\r\nmg b\r\nmg c\r\nma d\r\n")
	b.sees("mg a\r\nmg b\r\nmg c\r\n")
	b.says("EN\r\nEN\r\nEN\r\n")
	c.sees("EN\r\nEN\r\nEN\r\nNF\r\n")
	c.wantStats("proxyf", map[string]string{"funcs_all": "1", "slots_all": "3", "slots_anonymous": "1"})
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.wantStats("proxyfuncs", map[string]string{"funcs_all": "1", "slots_all": "1", "funcs_mcp_router": "1"})
	c.says("stats proxyx\r\n")
	c.line("ERROR\r")
	for _, short := range []string{"p", "pro", "proxy"} {
		c.wantStats(short, map[string]string{"cmd_mg": "3", "cmd_ma": "1"})
	}
}

// After a burst, slots that idle are let go, one in so many requests, down to the last.
func TestIdleSlotsGo(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, limitConfig(""), port(b.addr())), func(o *Options) {
		o.Workers = 1
		o.Slots = SlotRule{Returns: 20, Drop: 5, Wait: -1}
	})
	c := dial(t, p)
	ask := func(n int) {
		c.says(strings.Repeat("mg a\r\n", n))
		b.sees(strings.Repeat("mg a\r\n", n))
		b.says(strings.Repeat("EN\r\n", n))
		c.sees(strings.Repeat("EN\r\n", n))
	}
	ask(10)
	c.wantStats("proxyfuncs", map[string]string{"slots_all": "10"})
	for range 15 { // with 5 of the burst's
		ask(1)
	}
	c.wantStats("proxyfuncs", map[string]string{"slots_all": "10"})
	for range 10 {
		ask(1)
	}
	c.wantStats("proxyfuncs", map[string]string{"slots_all": "8"})
	for range 100 {
		ask(1)
	}
	c.wantStats("proxyfuncs", map[string]string{"slots_all": "1"})
}
