// Batches that end before all that they sent is answered, or in a panic.

package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// panics is a store that cannot bear one key.
type panics struct{ LocalStore }

func (s panics) Exec(r *mc.Request, dst []byte) []byte {
	if string(r.Key) == "boom" {
		panic("boom")
	}
	return s.LocalStore.Exec(r, dst)
}

// count is how many sessions there are.
func (t *sessionSet) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// one is one of them.
func (t *sessionSet) one() (s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s = range t.all {
	}
	return s
}

// A session that has panicked keeps nothing: neither its generation, for which Shutdown would wait, nor places under the limits.
func TestPanicsKeepNothing(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    mcp.active_req_limit(10)
    return mcp.pool({ mcp.backend("b", "127.0.0.1", "$1") })
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_GET, p)
    mcp.attach(mcp.CMD_GETS, function(r) return p(r) end)
end`, port(b.addr())),
		func(o *Options) { o.Local, o.Workers = panics{o.Local}, 1 })
	c := dial(t, p)
	c.says("get a\r\ngets a\r\nmg boom\r\n")
	c.ends()
	if n := p.inFlight.Load(); n != 0 {
		t.Errorf("%d requests are under way for ever", n)
	}
	g := p.current.Load()
	if n := g.workers[0].active.Load(); n != 0 {
		t.Errorf("%d of them at the worker", n)
	}
	b.sees("get a\r\ngets a\r\n")
	b.says("END\r\nEND\r\n") // the function's answer is waited for, although nobody wants it
	until(t, "what lingers", func() bool { return g.refs.Load() == 1 })
	until(t, "the session's end", func() bool { return p.sessions.count() == 0 })
	other := dial(t, p)
	other.says("gets a\r\n")
	b.sees("gets a\r\n")
	b.says("END\r\n")
	other.sees("END\r\n")
}

// Answers that a cut generation's requests did not wait for come when the client's next batch begins, and while something lingers.
func TestLateAnswersMeetNobody(t *testing.T) {
	c, b, p := routed(t, `
    local fg = mcp.funcgen_new()
    local h = fg:new_handle(p)
    fg:ready({ n = "lingers", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end })
    mcp.attach(mcp.CMD_SET, fg)
    mcp.attach(mcp.CMD_GET, p)`, func(o *Options) { o.Drain = 1 })
	asks := "set k 0 0 1\r\n1\r\nget a\r\nget b\r\nget c\r\n"
	c.says(asks)
	b.sees(asks)
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.sees(lineBackendFailure + lineBackendFailure + lineBackendFailure + lineBackendFailure)
	s := p.sessions.one()
	until(t, "what lingers", s.away.Load)
	s.turn.Lock()
	s.told.Store(true) // so that nobody looks at what comes before the next batch does
	s.turn.Unlock()
	runtime.GC() // empties what rooms are taken from
	runtime.GC()
	b.says("STORED\r\nEND\r\nEND\r\nEND\r\n")
	until(t, "the answers", func() bool {
		s.turn.Lock()
		defer s.turn.Unlock()
		n := 0
		for p := s.inbox.Load(); p != nil; p = p.Next {
			n++
		}
		return n == 4
	})
	c.says("get d\r\n")
	b.sees("get d\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
}

// What a late answer is counted for is given back when nobody waits for it any more, though its client asks for nothing.
func TestLateAnswersAreNotCountedForEver(t *testing.T) {
	const size = 512 << 10
	value := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", size, strings.Repeat("x", size))
	for name, route := range map[string]string{
		"function": `mcp.attach(mcp.CMD_GET, gen({ p[1], p[2] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h)
        rctx:wait_cond(1)
        return 'done\r\n'
    end end, "top"))`,
		"await":      `mcp.attach(mcp.CMD_GET, function(r) mcp.await(r, { p[1], p[2] }, 1, mcp.AWAIT_ANY) return 'done\r\n' end)`,
		"background": `mcp.attach(mcp.CMD_GET, function(r) mcp.await(r, { p[1] }, 1, mcp.AWAIT_BACKGROUND) p[2](r) return 'done\r\n' end)`,
	} {
		t.Run(name, func(t *testing.T) {
			c, b, p := threeBackends(t, route+" mcp.attach(mcp.CMD_GETS, p[1])")
			c.says("get k\r\n")
			b[0].sees("get k\r\n")
			b[1].sees("get k\r\n")
			b[1].says(miss)
			c.sees("done\r\n")
			b[0].says(value)
			other := dial(t, p)
			other.says("gets k\r\n")
			b[0].sees("gets k\r\n")
			b[0].says(miss)
			other.sees(miss) // it came behind the value, which has come, too
			until(t, "nothing to be held", func() bool { return p.held.Load() == 0 })
		})
	}
}
