package leafnats

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// term is a membership of two leaves.
func term(epoch, after uint64, again func([]backend.Again)) *backend.Term {
	text := fmt.Sprintf(`{"pool":"p","epoch":%d,"after":%d,"members":[{"name":"leaf-1"},{"name":"leaf-2"}]}`, epoch, after)
	return &backend.Term{Epoch: epoch, Text: []byte(text), Again: again}
}

// by sends one request that was placed by t.
func (c *client) by(b *Backend, tag int, t *backend.Term, req *mc.Request) {
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Tag, p.Start, p.Term = c, c.lane, tag, backend.Now(), t
	c.mu.Lock()
	c.owed[p] = true
	c.mu.Unlock()
	b.Send(req, p)
}

// TestTerms: a frame holds requests of one membership, in their order, and the leaf has been told of it.
func TestTerms(t *testing.T) {
	l, b := pair(t, leaf.Options{Lanes: 1}, Options{})
	c := newClient(t, 0)
	before := l.Stats().Frames
	one, two := term(1, 0, nil), term(2, 1, nil)
	b.mu.Lock() // so that the writer finds all of it
	lane := &b.lanes[0]
	for i, by := range []*backend.Term{nil, one, one, two, two, two} {
		p := backend.NewPending()
		p.Waiter, p.Tag, p.Term = c, i, by
		c.owed[p] = true
		b.enqueueLocked(0, p, request(t, fmt.Sprintf("ms k %d MA N0\r\n%s\r\n", 1, fmt.Sprint(i))))
		b.count++
	}
	if lane.list.Len() != 3 || len(b.cut) != 2 {
		t.Errorf("%d queued, %d frames cut", lane.list.Len(), len(b.cut))
	}
	b.mu.Unlock()
	b.wakeWriter()
	for i, p := range c.take(6) {
		if text(p) != "HD\r\n" {
			t.Errorf("%d: %q", i, text(p))
		}
	}
	if got := c.do(b, "get k\r\n"); got != hit("k", "012345") {
		t.Errorf("%q", got)
	}
	if n := l.Stats().Frames - before; n != 3+2+1 { // frames, what was told, the get
		t.Errorf("%d messages", n)
	}
	if l.Epoch() != 2 || b.Fenced() != 2 {
		t.Errorf("leaf at %d, known to be fenced at %d", l.Epoch(), b.Fenced())
	}
}

// TestAgain: what a leaf refuses because it knows a newer membership comes back as it was sent; large values too.
func TestAgain(t *testing.T) {
	l, b := pair(t, leaf.Options{Lanes: 1, MaxItem: 4 << 20, MaxPayload: 64 << 10}, Options{})
	c := newClient(t, 0)
	back := make(chan backend.Again, 10)
	old := term(5, 0, func(list []backend.Again) {
		for _, a := range list {
			back <- a
		}
	})
	c.by(b, 1, old, request(t, "mn\r\n"))
	c.take(1)
	l.SetEpoch(6)
	value := strings.Repeat("v", 1<<20)
	c.by(b, 2, old, request(t, "set big 0 0 1048576 noreply\r\n"+value+"\r\n"))
	a := <-back
	if a.Pending.Tag != 2 || string(a.Request.Key) != "big" || string(a.Request.Value) != value+"\r\n" {
		t.Errorf("request %d: %q, %d bytes", a.Pending.Tag, a.Request.Line, len(a.Request.Value))
	}
	if b.Fenced() != 6 {
		t.Errorf("fenced at %d", b.Fenced())
	}
	a.Pending.Term = term(6, 5, nil)
	b.Send(&a.Request, a.Pending)
	if got := text(c.take(1)[2]); got != "STORED\r\n" {
		t.Errorf("%q", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count != 0 || b.bytes != 0 {
		t.Errorf("left over: %d requests, %d bytes", b.count, b.bytes)
	}
}

// TestTermOfARestartedLeaf: it is told at once, and what it is known to be fenced at is its own.
func TestTermOfARestartedLeaf(t *testing.T) {
	addr := freePort(t)
	l := startLeaf(t, leaf.Options{Listen: addr})
	ev := newEvents()
	b := startBackend(t, Options{URL: l.URL(), OnEvent: ev.on})
	c := newClient(t, 0)
	c.by(b, 1, term(9, 0, nil), request(t, "mn\r\n"))
	c.take(1)
	_ = l.Close(cut)
	ev.wait(t, backend.EventDisconnected)
	l = startLeaf(t, leaf.Options{Listen: addr})
	ev.wait(t, backend.EventConnected)
	for l.Epoch() != 9 { // nobody says when all its lanes have
		runtime.Gosched()
	}
}
