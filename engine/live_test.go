// A watched request: what it tells, in which order it says that things happened, and that nobody else is told about.

package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// liveConfig has pools a and b of one backend each, and route as what serves; h1 and h2 are handles to the pools.
func liveConfig(t *testing.T, a, b *fakeBackend, route string) string {
	return writeConfig(t, `
function mcp_config_pools()
    local function pool(name, addr)
        return mcp.pool({ mcp.backend{ label = name, host = "127.0.0.1", port = addr:match("%d+$") } }, { name = name })
    end
    return { a = pool("a", "$1"), b = pool("b", "$2") }
end
function mcp_config_routes(p)
    local inner = mcp.funcgen_new()
    local ib = inner:new_handle(p.b)
    inner:ready{ n = "inner", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, ib) end end }
    local g = mcp.funcgen_new()
    local h1, h2, h3, own = g:new_handle(p.a), g:new_handle(p.b), g:new_handle(inner), g:new_handle(mcp.internal_handler)
    g:ready{ n = "g", f = function(rctx) return function(r) `+route+` end end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)
    mcp.attach(mcp.CMD_SET, p.a)
    mcp.attach(mcp.CMD_DELETE, p.b, "t")
end`, a.addr(), b.addr())
}

// watched runs ExplainLive while play plays the backends' parts.
func watched(t *testing.T, p *Proxy, tag, request string, play func()) *Live {
	t.Helper()
	type result struct {
		l   *Live
		err error
	}
	done := make(chan result, 1)
	go func() {
		l, err := p.ExplainLive(tag, []byte(request))
		done <- result{l, err}
	}()
	play()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	for _, st := range r.l.Steps {
		for _, s := range st.Sent {
			if s.Backend == OwnStore {
				continue
			}
			if !(0 <= s.Queued && s.Queued <= s.Written && s.Written <= s.Answered) {
				t.Errorf("%d: queued %v, written %v, answered %v", s.Number, s.Queued, s.Written, s.Answered)
			}
		}
		for _, w := range st.Waits {
			if w.From > w.To || w.Over && w.To < w.Within {
				t.Errorf("waited from %v to %v, within %v", w.From, w.To, w.Within)
			}
		}
	}
	return r.l
}

// shape writes what happened without its times.
func shape(l *Live) string {
	var b strings.Builder
	for i, st := range l.Steps {
		if i > 0 {
			b.WriteString(" | ")
		}
		for _, s := range st.Sent {
			b.WriteString(strings.TrimSpace(s.Pool+" "+s.By) + "=" + s.Result + s.Error + " ")
		}
		for _, w := range st.Waits {
			b.WriteString("wait")
			if w.Over {
				b.WriteString(" over")
			}
			for _, n := range w.Got {
				b.WriteString(" " + string(rune('0'+n)))
			}
			b.WriteString(" ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ") + " -> " + strings.TrimSpace(strings.ReplaceAll(l.Answer, "\r\n", " ")) + " " + string(rune('0'+l.From))
}

func TestExplainLive(t *testing.T) {
	f := func(route, tag, request string, play func(a, b *fakeBackend), wants ...string) { // any of wants will do
		t.Helper()
		a, b := newFakeBackend(t), newFakeBackend(t)
		p := startProxy(t, liveConfig(t, a, b, route))
		p.lateness = time.Minute // what plays may be slow
		l := watched(t, p, tag, request, func() { play(a, b) })
		if got := strings.ReplaceAll(shape(l), p.opts.Files[0], "CONF"); !slices.Contains(wants, got) {
			t.Errorf("%s:\n%s, want\n%s", route, got, strings.Join(wants, "\nor\n"))
		}
		if l.Generation != 1 || l.Took <= 0 {
			t.Errorf("%+v", l)
		}
		if _, err := json.Marshal(l); err != nil {
			t.Error(err)
		}
	}
	f("", "", "set k 0 0 1\r\nx\r\n", func(a, b *fakeBackend) { a.sees("set k 0 0 1\r\nx\r\n"); a.says("STORED\r\n") }, "a=STORED -> STORED 1")
	f("", "t", "delete k\r\n", func(a, b *fakeBackend) { b.sees("delete k\r\n"); b.says("DELETED\r\n") }, "b=DELETED -> DELETED 1")
	f("local res = rctx:enqueue_and_wait(r, h1) if res:hit() then return res end return rctx:enqueue_and_wait(r, h3)", "", "get k\r\n", func(a, b *fakeBackend) {
		a.sees("get k\r\n")
		a.says("END\r\n")
		b.sees("get k\r\n")
		b.says("VALUE k 0 1\r\nv\r\nEND\r\n")
	}, "a=END wait 1 wait | b generator inner (CONF:9)=VALUE k 0 1 wait 2 -> VALUE k 0 1 v END 2")
	// The first is late, the second wins, and what the first says after all is told. That may come before the route has been gone on with
	// from its last wait, which ends when the third is written.
	f("rctx:enqueue(r, h1) if rctx:wait_cond(1, mcp.WAIT_ANY, 0.002) == 0 then rctx:enqueue(r, h2) rctx:wait_cond(1) end rctx:enqueue(r, h3) rctx:wait_cond(0) return rctx:best_result({ h1, h2 })", "", "mg k v\r\n",
		func(a, b *fakeBackend) {
			a.sees("mg k v\r\n")
			b.sees("mg k v\r\n")
			b.says("VA 1\r\nb\r\n")
			b.sees("mg k v\r\n")
			a.says("EN\r\n")
			b.says("EN\r\n")
		}, "a=EN wait over | b=VA 1 wait 2 wait | b generator inner (CONF:9)=EN wait 3 -> VA 1 b 2",
		"a=EN wait over | b=VA 1 wait 2 wait 1 | b generator inner (CONF:9)=EN wait 3 -> VA 1 b 2")
	f("local res = rctx:enqueue_and_wait(r, own) if res:hit() then return res end return 'NOT_FOUND\\r\\n'", "", "mg k v\r\n", func(a, b *fakeBackend) {}, "=EN wait 1 -> NOT_FOUND 0")
	f("mcp.await(r, { p.b }, 1, mcp.AWAIT_BACKGROUND) return 'x\\r\\n'", "", "mg k v\r\n", func(a, b *fakeBackend) {
		b.sees("mg k v\r\n")
		b.says("HD\r\n")
	}, "b=HD -> x 0")
}

// Requests of others, on the same worker and meanwhile, are not told of; afterwards nobody is watched.
func TestExplainLiveIsOfOneRequest(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, liveConfig(t, a, b, "return rctx:enqueue_and_wait(r, h1)"), func(o *Options) { o.Workers = 1 })
	other := dial(t, p)
	l := watched(t, p, "", "get mine\r\n", func() {
		a.sees("get mine\r\n")
		other.says("get theirs\r\n")
		a.sees("get theirs\r\n")
		a.says("END\r\nEND\r\n")
		other.sees("END\r\n")
	})
	if got := shape(l); got != "a=END wait 1 -> END 1" {
		t.Errorf("%s", got)
	}
	w := p.current.Load().workers[0]
	w.state.Lock()
	defer w.state.Unlock()
	if w.api.Watched() {
		t.Error("the worker is still watched")
	}
}

func TestExplainLiveRefuses(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, liveConfig(t, a, b, "return 'x\\r\\n'"))
	f := func(tag, request, want string) {
		t.Helper()
		if _, err := p.ExplainLive(tag, []byte(request)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %q: %v, want %q", tag, request, err, want)
		}
	}
	for _, bad := range []string{"", "get k", "get k\r\nget j\r\n", "flush_all\r\n", "shutdown\r\n", "watch\r\n", "stats\r\n", "quit\r\n"} {
		f("", bad, "want one request of a command that has a key")
	}
	f("", "get\r\n", "want one request of a command that has a key: the proxy answers")
	f("nil", "get k\r\n", `no route is attached for the tag "nil": there are ["t"]`)
	p.watching.Lock()
	f("", "get k\r\n", "another request is being watched")
	p.watching.Unlock()
	if l := watched(t, p, "", "get k\r\n", func() {}); l.Answer != "x\r\n" || l.From != 0 {
		t.Errorf("%+v", l)
	}
}
