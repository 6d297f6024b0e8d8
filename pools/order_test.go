// The order of what one client sends for one key, while memberships change under it.

package pools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// held is a leaf that answers, or refuses, when it is told to. Requests are known by their lines.
type held struct {
	name string
	on   func(line string) // called before a request is taken; nil: nothing is

	mu    sync.Mutex
	asked []string
	open  []*backend.Pending
	reqs  []mc.Request
	tell  []func()
}

func (h *held) Name() string           { return h.name }
func (h *held) Status() backend.Status { return backend.Status{Name: h.name} }
func (h *held) Close() error           { return nil }
func (h *held) Fenced() uint64         { return 1 << 62 }
func (h *held) Send(r *mc.Request, p *backend.Pending) {
	if r.Cmd == mc.CmdMN {
		backend.Refuse(p, nil)
		return
	}
	if h.on != nil {
		h.on(string(r.Line))
	}
	var own mc.Request
	read(mc.AppendWire(nil, r), &own)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, string(r.Line))
	h.open, h.reqs = append(h.open, p), append(h.reqs, own)
}

func (h *held) Follow(lane uint32, key []byte, epoch uint64, tell func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range h.open {
		if p.Lane == lane && string(h.reqs[i].Key) == string(key) && p.Term.Epoch == epoch {
			if tell != nil {
				h.tell = append(h.tell, tell)
			}
			return true
		}
	}
	return false
}

func (h *held) Owes(epoch uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.open, func(p *backend.Pending) bool { return p.Term.Epoch == epoch })
}

// take gives the oldest request; it is not under way any more when done was called.
func (h *held) take(done func(*backend.Pending, mc.Request)) {
	h.mu.Lock()
	p, r := h.open[0], h.reqs[0]
	h.mu.Unlock()
	if done == nil {
		p.Term.Again([]backend.Again{{Request: r, Pending: p}})
	}
	h.mu.Lock()
	h.open, h.reqs = h.open[1:], h.reqs[1:]
	tell := h.tell
	h.tell = nil
	h.mu.Unlock()
	if done != nil {
		done(p, r)
	}
	for _, f := range tell {
		f()
	}
}

// refuse refuses the oldest request for its epoch.
func (h *held) refuse() { h.take(nil) }

// answer answers the oldest request.
func (h *held) answer(t *testing.T, text string) {
	t.Helper()
	h.take(func(p *backend.Pending, _ mc.Request) {
		p.Buf = append(p.Buf[:0], text...)
		if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
			t.Fatal(err)
		}
		if w := p.Waiter; w.Done(p) {
			w.Wake()
		}
	})
}

func (h *held) was(t *testing.T, asked ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.asked, asked) {
		t.Fatalf("%s was asked %q, want %q", h.name, h.asked, asked)
	}
}

// ordered is a pool, and one of its clients.
type ordered struct {
	*Pool
	t     *testing.T
	epoch uint64
	done  chan *backend.Pending
	fresh chan struct{} // what Refresh waits for
}

func newOrdered(t *testing.T) *ordered {
	return &ordered{Pool: mustPool(t, Options{Dist: DistRendezvous}, nil), t: t, epoch: now, done: make(chan *backend.Pending, 100), fresh: make(chan struct{})}
}

// owns makes b the owner of everything; was owned it before, and is asked if it is not nil.
func (o *ordered) owns(b, was backend.Backend) {
	o.t.Helper()
	ms := Membership{Epoch: o.epoch + 1, After: o.epoch, Members: []Member{{Backend: b}}, Settled: func() bool { return true }}
	ms.Refresh = func(context.Context) error { <-o.fresh; return nil }
	if was != nil {
		ms.Previous, ms.WarmUntil = []Member{{Backend: was}}, time.Now().Add(time.Hour)
	}
	o.epoch++
	if err := o.SetMembership(ms); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordered) send(lines ...string) {
	for _, line := range lines {
		pe := backend.NewPending()
		pe.Waiter = whole(o.done)
		o.Send(request(o.t, line+"\r\n"), pe)
	}
}

// ends expects all to be answered, and nothing to be left over.
func (o *ordered) ends(answers int) {
	o.t.Helper()
	if len(o.done) != answers {
		o.t.Errorf("%d answers, want %d", len(o.done), answers)
	}
	if n, held, size := o.queues.n.Load(), o.queues.held.Load(), o.queues.bytes.Load(); n+held+size != 0 {
		o.t.Errorf("%d queues, %d requests, %d bytes are left over", n, held, size)
	}
}

// TestBehindAnOlderMembership: what was sent before the owner changed is answered before what comes after it is sent to the new one; others
// do not wait.
func TestBehindAnOlderMembership(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.send("set k 0 0 0\r\n", "set l 0 0 0\r\n")
	o.owns(b, nil)
	o.send("get k", "get m", "delete k")
	pe := backend.NewPending()
	pe.Waiter, pe.Lane = whole(o.done), 1
	o.Send(request(t, "get k\r\n"), pe) // another client's
	b.was(t, "get m", "get k")
	a.answer(t, "STORED\r\n")
	b.was(t, "get m", "get k", "get k", "delete k")
	if o.m.Load().plain.Load() {
		t.Error("plain, while something is under way by the older membership")
	}
	a.answer(t, "STORED\r\n")
	o.settle(o.m.Load())
	if !o.m.Load().plain.Load() {
		t.Error("not plain")
	}
	for range 4 {
		b.answer(t, "END\r\n")
	}
	o.ends(6)
}

// TestRefusedInOrder: requests that are refused one after the other, by one leaf and then by the next, are done in the order in which they were
// sent, and what was sent later is behind them.
func TestRefusedInOrder(t *testing.T) {
	a, b, c := &held{name: "a"}, &held{name: "b"}, &held{name: "c"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.send("get k", "incr k 1", "incr k 2")
	a.refuse()
	o.send("incr k 3")
	a.refuse()
	b.was(t)
	o.owns(b, nil)
	b.was(t, "get k", "incr k 1") // incr k 2 is with a
	o.send("incr k 4")
	b.refuse()
	a.refuse()
	b.refuse()
	c.was(t)
	o.owns(c, nil)
	c.was(t, "get k", "incr k 1", "incr k 2", "incr k 3", "incr k 4")
	for range 5 {
		c.answer(t, "1\r\n")
	}
	o.ends(5)
	close(o.fresh)
}

// TestLateSender: who has chosen a backend and then lets another membership come first is known to have sent something.
func TestLateSender(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	a.on = func(string) {
		a.on = nil
		o.owns(b, nil)
		o.settle(o.m.Load())
		if !o.m.Load().plain.Load() {
			t.Error("not plain, although nothing is under way")
		}
	}
	o.send("set k 0 0 0\r\n", "get k")
	b.was(t)
	a.answer(t, "STORED\r\n")
	b.was(t, "get k")
	b.answer(t, "END\r\n")
	o.ends(2)
}

// TestBehindAMove: what comes behind a request that waits for its item waits, too, until the owner is known to need nothing.
func TestBehindAMove(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.owns(b, a)
	o.send("get k", "set k 0 0 0\r\n", "get k", "incr k 1", "get k")
	b.was(t, "get k")
	b.answer(t, "NF W5\r\n")
	a.was(t, "mg k O5")
	a.answer(t, "EN\r\n")
	b.answer(t, "NS\r\n")
	b.was(t, "get k", "md k", "get k")
	b.answer(t, "END\r\n")
	b.was(t, "get k", "md k", "get k", "set k 0 0 0", "get k")
	b.answer(t, "STORED\r\n") // from here on it is known
	b.answer(t, "END\r\n")
	b.was(t, "get k", "md k", "get k", "set k 0 0 0", "get k", "incr k 1", "get k")
	if b.open[0].Mode != 0 {
		t.Errorf("a key that is at home is asked for in mode %d", b.open[0].Mode)
	}
	b.answer(t, "1\r\n")
	b.answer(t, "END\r\n")
	o.ends(5)
}

// TestBehindAHeldKey: a write that waits for the turn of its key, which another client has, is not overtaken.
func TestBehindAHeldKey(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.owns(b, a)
	pe := backend.NewPending()
	pe.Waiter, pe.Lane = whole(o.done), 1
	o.Send(request(t, "incr k 1\r\n"), pe)
	o.send("set k 0 0 0\r\n")
	o.m.Load().home.add(o.queues.keyHash([]byte("k"))) // others have seen that
	o.send("get k")
	b.was(t, "incr k 1")
	b.answer(t, "1\r\n")
	b.was(t, "incr k 1", "set k 0 0 0")
	b.answer(t, "STORED\r\n")
	b.was(t, "incr k 1", "set k 0 0 0", "get k")
	b.answer(t, "END\r\n")
	o.ends(3)
}

// TestBehindTooLong: nobody waits longer for another than is allowed, and not too many do.
func TestBehindTooLong(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.send("set k 0 0 0\r\n")
	o.owns(b, nil)
	o.m.Load().wait = time.Nanosecond
	o.send("get k")
	if pe := <-o.done; !errors.Is(pe.Err, errBehind) {
		t.Errorf("%v", pe.Err)
	}
	o.m.Load().wait = time.Hour
	for range maxHeld {
		o.send("get k")
	}
	o.send("get k")
	if pe := <-o.done; !errors.Is(pe.Err, backend.ErrOverloaded) {
		t.Errorf("%v", pe.Err)
	}
	a.answer(t, "STORED\r\n")
	if pe := <-o.done; string(pe.Resp.Raw) != "STORED\r\n" || len(b.asked) != maxHeld {
		t.Errorf("%q, %d were sent", pe.Resp.Raw, len(b.asked))
	}
	o.ends(0)
}

// TestBehindADeadLeaf: those that wait behind a request which is answered too late are not sent one after the other, to wait as long each.
func TestBehindADeadLeaf(t *testing.T) {
	a, b := &held{name: "a"}, &held{name: "b"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.owns(b, a)
	o.m.Load().wait = time.Nanosecond
	o.send("incr k 1", "incr k 2", "incr k 3")
	b.take(func(p *backend.Pending, _ mc.Request) { backend.Refuse(p, backend.ErrTimeout) })
	b.was(t, "incr k 1")
	o.ends(3)
}

// TestRefreshesOfTheirOwn: what is refused while a newer membership is asked for already is not failed by what comes of that.
func TestRefreshesOfTheirOwn(t *testing.T) {
	a := &held{name: "a"}
	o := newOrdered(t)
	o.owns(a, nil)
	o.send("get k", "get l")
	a.refuse() // has a refresh begun
	o.refreshes.mu.Lock()
	begun := o.refreshes.begun
	o.refreshes.mu.Unlock()
	a.refuse()
	o.fresh <- struct{}{}
	if pe := <-o.done; pe.Tag != 0 || !errors.Is(pe.Err, backend.ErrOutdated) {
		t.Errorf("%v", pe.Err)
	}
	o.fresh <- struct{}{} // its own
	if pe := <-o.done; !errors.Is(pe.Err, backend.ErrOutdated) {
		t.Errorf("%v", pe.Err)
	}
	if begun != 1 || o.refreshes.begun != 2 {
		t.Errorf("%d refreshes, then %d", begun, o.refreshes.begun)
	}
}

// TestOrderAllocs: a plain membership costs nothing.
func TestOrderAllocs(t *testing.T) {
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	ms := Membership{Epoch: now, Members: []Member{{Backend: &counts{}, Name: "a"}}, Settled: func() bool { return true }}
	if err := p.SetMembership(ms); err != nil {
		t.Fatal(err)
	}
	if !p.m.Load().plain.Load() {
		t.Fatal("not plain")
	}
	pe, r := backend.NewPending(), get(t, "k")
	if n := testing.AllocsPerRun(100, func() {
		pe.Waiter = ignore{}
		p.Send(r, pe)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSendByEpoch(b *testing.B) {
	p := mustPool(b, Options{Dist: DistRendezvous}, nil)
	var members []Member
	for i := range 3 {
		members = append(members, Member{Backend: &counts{}, Name: fmt.Sprint(i)})
	}
	if err := p.SetMembership(Membership{Epoch: now, Members: members, Settled: func() bool { return true }}); err != nil {
		b.Fatal(err)
	}
	pe, r := backend.NewPending(), get(b, "k")
	for b.Loop() {
		pe.Waiter = ignore{}
		p.Send(r, pe)
	}
}
