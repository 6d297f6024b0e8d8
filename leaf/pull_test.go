// What an heir reads of several previous owners.

package leaf

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// heirs makes a pool of the two leaves a and c, which hold n items of 1000 bytes each, about half of them its own, and has b be the only owner after
// them. addr changes where b finds them.
func heirs(t *testing.T, n int, memory int64, addr func(l *Leaf) string) (a, b, c *Leaf) {
	t.Helper()
	leaves := map[string]*Leaf{}
	for _, name := range []string{"a", "b", "c"} {
		o := Options{Name: name, Lanes: 1}
		if name == "b" {
			o.Memory, o.MaxItem = memory, 64<<10
		}
		leaves[name] = start(t, o)
	}
	a, b, c = leaves["a"], leaves["b"], leaves["c"]
	before := frame.Membership{Pool: "users", Epoch: uint64(time.Now().UnixMilli()) + 1000, Members: []frame.Member{{Name: "a"}, {Name: "c"}}}
	after := before
	after.Epoch, after.After = before.Epoch+1, before.Epoch
	after.Members = []frame.Member{{Name: "b"}}
	after.WarmUntil = time.Now().Add(time.Hour).UnixMilli()
	for _, l := range []*Leaf{a, c} {
		fill(l, "k", n, 1000)
		after.Previous = append(after.Previous, frame.Member{Name: l.Name(), Addr: addr(l)})
	}
	for _, l := range []*Leaf{a, c, b} {
		p := dial(t, l)
		p.tell(0, before)
		p.tell(0, after)
		p.by(after.Epoch, 1, 0, "mn\r\n")
		if h, _ := p.next(); h.Epoch != after.Epoch {
			t.Fatalf("%s goes by %d, want %d", l.Name(), h.Epoch, after.Epoch)
		}
	}
	return a, b, c
}

// TestFullHeirSaysSo: leaves that leave wait until an heir has read what it wants. One that has had enough of the first says so to the others.
func TestFullHeirSaysSo(t *testing.T) {
	a, b, c := heirs(t, 4000, 4<<20, (*Leaf).URL)
	for _, l := range []*Leaf{a, c} {
		waitFor(t, l.Name()+" to have handed over", func() bool { h := l.HandOver(); return h.Done() && h.Heirs == 1 })
	}
	if n := b.Stats().Pulled; n < 500 || n > 1100 {
		t.Errorf("%d items of 1000 bytes came, want a quarter of 4 MiB", n)
	}
}

// gate is an address where a leaf is reached while it is open.
type gate struct {
	net.Listener
	open    atomic.Bool
	refused atomic.Int64 // connections
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	all.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			if !g.open.Load() {
				near.Close()
				g.refused.Add(1)
				continue
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			for _, c := range [][2]net.Conn{{near, far}, {far, near}} {
				all.Go(func() {
					_, _ = io.Copy(c[0], c[1])
					c[0].Close()
				})
			}
		}
	})
	return g
}

// TestPreviousOwnerIsTriedAgain: one that cannot be reached at first is read later, and those behind it are not kept waiting.
func TestPreviousOwnerIsTriedAgain(t *testing.T) {
	var g *gate
	a, b, c := heirs(t, 40, 4<<20, func(l *Leaf) string {
		if l.Name() != "a" {
			return l.URL()
		}
		g = newGate(t, l.Addr())
		return "nats://" + g.Addr().String() + "/a"
	})
	waitFor(t, "c to have handed over", func() bool { h := c.HandOver(); return h.Done() })
	waitFor(t, "a second attempt", func() bool { return g.refused.Load() >= 2 })
	if h := a.HandOver(); h.Done() {
		t.Error("a has handed over while it could not be reached")
	}
	g.open.Store(true)
	waitFor(t, "a to have handed over", func() bool { h := a.HandOver(); return h.Done() })
	if n := b.Local().Store.Stats().Items; n != 40 {
		t.Errorf("%d items of 40", n)
	}
}

// TestPulledForAnAge: what was read for one membership is not taken by the next. The key may have been another's meanwhile, who was written to.
func TestPulledForAnAge(t *testing.T) {
	l := start(t, Options{Name: "b", Lanes: 1})
	p := dial(t, l)
	goBy := func(epoch, after uint64) {
		p.tell(0, frame.Membership{
			Pool: "users", Epoch: epoch, After: after, Members: []frame.Member{{Name: "b"}}, Previous: []frame.Member{{Name: "a"}},
			WarmUntil: time.Now().Add(time.Hour).UnixMilli(),
		})
		p.by(epoch, epoch, 0, "mn\r\n")
		if h, _ := p.next(); h.Epoch != epoch {
			t.Fatalf("it goes by %d, want %d", h.Epoch, epoch)
		}
	}
	first := uint64(time.Now().UnixMilli()) + 1000
	goBy(first, 0)
	put := func(pl *pull, key string) store.Taken {
		return pl.take(&store.Listed{Item: store.Item{Key: []byte(key), Value: []byte("old")}})
	}
	pl := &pull{l: l, warmth: l.Local().Store.Warmth()}
	if got := put(pl, "early"); got != store.TakenStored {
		t.Errorf("taken %d, want %d", got, store.TakenStored)
	}
	goBy(first+2, first+1) // by first+1, of which it has not heard, the keys were another's
	if got := put(pl, "late"); got != store.TakenOver {
		t.Errorf("taken %d, want %d", got, store.TakenOver)
	}
	for _, key := range []string{"early", "late"} {
		p.by(first+2, 1, 0, "mg "+key+" v\r\n")
		if _, got := p.next(); got != "EN\r\n" {
			t.Errorf("%s: %q", key, got)
		}
	}
}
