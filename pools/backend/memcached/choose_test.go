// Which connection a request takes, and that a client's requests do not overtake one another.

package memcached

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestChoose(t *testing.T) {
	f := func(workers int, lane uint32, depths [4]int64, bad [4]bool, want int) {
		t.Helper()
		b := unconnected(t, Options{Connections: 4 / workers, Workers: workers})
		for i, c := range b.conns {
			c.depth.Store(depths[i])
			for bad[i] && c.health.Allow() {
				c.health.Failure(backend.ErrTimeout)
			}
		}
		if got := b.sendTo(t, lane); got != want {
			t.Errorf("%d workers, lane %d, depths %v, bad %v: connection %d, want %d", workers, lane, depths, bad, got, want)
		}
	}
	var good [4]bool
	f(1, 7, [4]int64{0, 0, 0, 0}, good, 0)
	f(1, 7, [4]int64{1, 0, 0, 0}, good, 1)
	f(1, 7, [4]int64{1, 5, 0, 0}, good, 2)
	f(1, 7, [4]int64{3, 2, 4, 2}, good, 1)
	f(1, 7, [4]int64{0, 2, 4, 2}, [4]bool{true}, 1)
	f(1, 7, [4]int64{0, 0, 4, 2}, [4]bool{true, true}, 3)
	f(1, 7, [4]int64{5, 4, 3, 2}, [4]bool{true, true, true, true}, 0)
	f(2, 6, [4]int64{0, 0, 0, 0}, good, 0)
	f(2, 7, [4]int64{0, 0, 0, 0}, good, 2)
	f(2, 6, [4]int64{1, 0, 5, 4}, good, 1)
	f(2, 7, [4]int64{1, 0, 5, 4}, good, 3)
	f(2, 7, [4]int64{0, 0, 5, 4}, [4]bool{false, false, false, true}, 2)
	f(4, 6, [4]int64{0, 0, 9, 0}, good, 2)
}

// unconnected is a backend whose connections take requests and answer none.
func unconnected(t *testing.T, o Options) *Backend {
	t.Helper()
	o.Host, o.Port, o.Down = "h", "1", true
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.conns {
		c.refuse = nil
	}
	return b
}

// sendTo sends one request and gives the number of the connection that has it.
func (b *Backend) sendTo(t *testing.T, lane uint32) int {
	t.Helper()
	had := make([]uint64, len(b.conns))
	for i, c := range b.conns {
		had[i] = c.queued
	}
	b.Send(req(t, "get k\r\n"), &backend.Pending{Waiter: newWaiter(), Lane: lane})
	for i, c := range b.conns {
		if c.queued > had[i] {
			return i
		}
	}
	return -1
}

// While a client waits for an answer all it sends goes one way, however much there is to do; others, and later ones, go elsewhere.
func TestAClientKeepsItsConnection(t *testing.T) {
	b := unconnected(t, Options{Connections: 3, Workers: 2})
	f := func(lane uint32, want int) {
		t.Helper()
		if got := b.sendTo(t, lane); got != want {
			t.Errorf("lane %d: connection %d, want %d", lane, got, want)
		}
	}
	finish := func(i int, n uint64) {
		b.conns[i].finished.Add(n)
		b.conns[i].depth.Add(-int64(n))
	}
	f(2, 0)
	f(2, 0)
	f(4, 1)
	f(2, 0)
	f(6, 2)
	f(4, 1)
	finish(0, 2) // one of lane 2 is left
	f(2, 0)
	f(3, 3)
	finish(0, 2)
	f(8, 0)
	f(8, 0)
	f(2, 2) // none was left
	f(2, 2)
	f(2+2*numPlaces, 2) // shares the place, and so the connection
	f(3, 3)
	for b.conns[2].health.Allow() {
		b.conns[2].health.Failure(backend.ErrTimeout)
	}
	f(2, 0) // away from one that has gone bad
}

func TestAllocEnqueue(t *testing.T) {
	b := unconnected(t, Options{Connections: 2})
	c := b.conns[0]
	r, p := req(t, "get k\r\n"), &backend.Pending{Waiter: newWaiter(), Lane: 3}
	c.wbuf = make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(100, func() { b.Send(r, p); c.unsent.Pop() }); n != 0 {
		t.Errorf("queueing allocates %v times", n)
	}
}

// A get finds the set that its client sent before, although that is not done when it comes, and another connection has nothing to do.
func TestAGetDoesNotOvertakeItsSet(t *testing.T) {
	var stored atomic.Bool
	arrived := make(chan struct{})
	host, port := serve(t, func(p *peer) {
		for line := p.line(); line != ""; line = p.line() {
			switch {
			case strings.HasPrefix(line, "set "):
				p.line()
				close(arrived)
				_, _ = p.in.Peek(1) // a slow connection: it does what it was told when the next request is there
				stored.Store(true)
				p.say("STORED\r\n")
			case stored.Load():
				p.say("VALUE k 0 1\r\nv\r\nEND\r\n")
			default:
				p.say("END\r\n")
			}
		}
	})
	b, _ := at(t, host, port, Options{Connections: 2})
	w := newWaiter()
	b.Send(req(t, "set k 0 0 1\r\nv\r\n"), &backend.Pending{Waiter: w, Lane: 3, Start: 1e9})
	<-arrived
	get := &backend.Pending{Waiter: w, Lane: 3, Start: 2e9}
	b.Send(req(t, "get k\r\n"), get)
	for !slices.Contains(w.take(1), get) {
	}
	if got := text(get); got != "VALUE k 0 1\r\nv\r\nEND\r\n" {
		t.Errorf("get after set: %q", got)
	}
}
