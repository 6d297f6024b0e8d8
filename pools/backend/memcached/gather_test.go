// Senders of many requests, for whose last the writer waits.

package memcached

import (
	"runtime"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// gatherer is a waiter that has writers wait while it gathers.
type gatherer struct {
	*waiter
	gathering bool
	writers   []backend.Kicker
}

func (g *gatherer) Gather(k backend.Kicker) bool {
	if g.gathering {
		g.writers = append(g.writers, k)
	}
	return g.gathering
}

func TestGather(t *testing.T) {
	host, port := serve(t, echo)
	b, _ := at(t, host, port, Options{})
	c := b.conns[0]
	state := func() (idle bool, unsent int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.idle, c.unsent.Len()
	}
	begin := func() *gatherer {
		for idle, _ := state(); !idle; idle, _ = state() {
			runtime.Gosched()
		}
		g := &gatherer{waiter: newWaiter(), gathering: true}
		for _, key := range []string{"a", "b", "c"} {
			p := backend.NewPending()
			p.Waiter, p.Start = g, backend.Now()
			b.Send(req(t, "get "+key+"\r\n"), p)
		}
		if idle, unsent := state(); !idle || unsent != 3 {
			t.Fatalf("with %d gathered the writer is idle: %v", unsent, idle)
		}
		return g
	}
	check := func(g *gatherer) {
		t.Helper()
		for i, p := range g.take(3) {
			if got, want := text(p), valueOf([]string{"a", "b", "c"}[i]); got != want {
				t.Errorf("answer %d is %q, want %q", i, got, want)
			}
			p.Release()
		}
	}

	g := begin()
	g.writers[0].Kick()
	check(g)

	// Whoever sends alone does not wait for another's last.
	g = begin()
	if got := ask(t, b, "get d\r\n"); got != valueOf("d") {
		t.Errorf("%q", got)
	}
	check(g)

	// Nor does what another goroutine sends, which the gatherer is not asked about.
	g = begin()
	p := backend.NewPending()
	p.Waiter, p.Start, p.Late = g, backend.Now(), true
	b.Send(req(t, "get d\r\n"), p)
	if n := len(g.writers); n != 3 {
		t.Fatalf("asked %d times", n)
	}
	for _, p := range g.take(4) {
		p.Release()
	}
	g.writers[0].Kick() // late, and harmless
	if got := ask(t, b, "get e\r\n"); got != valueOf("e") {
		t.Errorf("%q", got)
	}
}
