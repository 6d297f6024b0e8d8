package pools

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// leaf is a fake that fences, and refuses what is older than it knows.
type leaf struct {
	fake
	epoch atomic.Uint64
}

func newLeaf(name string, epoch uint64) *leaf {
	l := &leaf{fake: fake{name: name}}
	l.epoch.Store(epoch)
	return l
}

func (l *leaf) Fenced() uint64 { return l.epoch.Load() }
func (l *leaf) Send(r *mc.Request, p *backend.Pending) {
	if p.Term.Number() < l.epoch.Load() {
		p.Term.Again([]backend.Again{{Request: *r, Pending: p}})
		return
	}
	l.fake.Send(r, p)
}

// answer is a Waiter that hands over what comes.
type answer chan error

func (a answer) Done(p *backend.Pending) bool { a <- p.Err; return false }
func (a answer) Wake()                        {}

func ask(p *Pool, r *mc.Request) error {
	done := make(answer, 1)
	pe := backend.NewPending()
	pe.Waiter = done
	p.Send(r, pe)
	return <-done
}

// TestRetry: a request that was placed by an old membership is placed anew when the new one has come, and fails if none comes.
func TestRetry(t *testing.T) {
	l := newLeaf("a", 5)
	members := []Member{{Backend: l}}
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	asked := 0
	ms := Membership{Epoch: 4, Members: members, Settled: func() bool { return true }}
	ms.Refresh = func(context.Context) error {
		next := ms
		next.Epoch = 5
		asked++
		return p.SetMembership(next)
	}
	if err := p.SetMembership(ms); err != nil {
		t.Fatal(err)
	}
	if err := ask(p, get(t, "k")); err != nil || asked != 1 || l.sent.Load() != 1 {
		t.Errorf("%v after %d refreshes, %d sent", err, asked, l.sent.Load())
	}
	l.epoch.Store(6)
	late := errors.New("etcd is away")
	ms.Epoch, ms.Refresh = 5, func(context.Context) error { return late }
	p2 := mustPool(t, Options{Dist: DistRendezvous}, nil)
	if err := p2.SetMembership(ms); err != nil {
		t.Fatal(err)
	}
	if err := ask(p2, get(t, "k")); !errors.Is(err, backend.ErrRefused) || !errors.Is(err, late) {
		t.Errorf("%v", err)
	}
	ms.Refresh = nil
	p3 := mustPool(t, Options{Dist: DistRendezvous}, nil)
	if err := p3.SetMembership(ms); err != nil {
		t.Fatal(err)
	}
	if err := ask(p3, get(t, "k")); !errors.Is(err, backend.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// now is an epoch of this moment, less some: epochs are times.
var now = uint64(time.Now().UnixMilli()) - 100

// late is a Waiter that hands over whether what comes was sent late.
type late chan bool

func (l late) Done(p *backend.Pending) bool { l <- p.Late; return false }
func (l late) Wake()                        {}

// TestLate: what has waited for its fence is sent by another goroutine than its sender's, and says so.
func TestLate(t *testing.T) {
	a, b := newLeaf("a", now+1), newLeaf("b", 0)
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	ask := func(cmd string) late {
		done := make(late, 1)
		pe := backend.NewPending()
		pe.Waiter = done
		p.Send(request(t, cmd), pe)
		return done
	}
	for _, ms := range []Membership{
		{Epoch: now + 1, Members: []Member{{Backend: a}}},
		{Epoch: now + 2, After: now + 1, Members: []Member{{Backend: b}}, Wait: time.Minute},
	} {
		if err := p.SetMembership(ms); err != nil {
			t.Fatal(err)
		}
	}
	write, read := ask("delete k\r\n"), ask("get other\r\n")
	if <-read {
		t.Error("a read is late")
	}
	a.epoch.Store(now + 2)
	if !<-write {
		t.Error("a write that has waited is not")
	}
}

// TestFenceOfTheSameName: a leaf that was started again elsewhere waits for the one before it, which others may reach yet.
func TestFenceOfTheSameName(t *testing.T) {
	before, after := newLeaf("a", now+1), newLeaf("a", 0)
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	for _, ms := range []Membership{
		{Epoch: now + 1, Members: []Member{{Backend: before}}},
		{Epoch: now + 2, After: now + 1, Members: []Member{{Backend: after}}, Wait: time.Millisecond},
	} {
		if err := p.SetMembership(ms); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(p, request(t, "delete k\r\n")); !errors.Is(err, backend.ErrFence) {
		t.Errorf("%v, want %v", err, backend.ErrFence)
	}
	before.epoch.Store(now + 2)
	if err := ask(p, request(t, "delete k\r\n")); err != nil {
		t.Error(err)
	}
}

// TestFence: a write waits until the leaf that owned its key before is fenced, or nobody goes by the old membership; a read does not.
func TestFence(t *testing.T) {
	a, b := newLeaf("a", now+1), newLeaf("b", 0)
	var settled atomic.Bool
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	set := func(epoch, after uint64, wait time.Duration, l *leaf) {
		t.Helper()
		ms := Membership{Epoch: epoch, After: after, Members: []Member{{Backend: l}}, Wait: wait, Settled: settled.Load}
		if err := p.SetMembership(ms); err != nil {
			t.Fatal(err)
		}
	}
	write := request(t, "delete k\r\n")
	set(now+1, 0, time.Minute, a)
	if err := ask(p, write); err != nil {
		t.Errorf("the first membership: %v", err)
	}
	set(now+2, now+1, time.Nanosecond, b)
	if err := ask(p, write); !errors.Is(err, backend.ErrDown) {
		t.Errorf("a serves others: %v", err)
	}
	if err := ask(p, get(t, "k")); err != nil {
		t.Errorf("a read: %v", err)
	}
	a.epoch.Store(now + 2)
	if err := ask(p, write); err != nil {
		t.Errorf("a is fenced: %v", err)
	}
	set(now+4, now+3, time.Nanosecond, a) // who owned keys in 3?
	b.epoch.Store(now + 4)
	if err := ask(p, write); !errors.Is(err, backend.ErrDown) {
		t.Errorf("strangers may serve others: %v", err)
	}
	settled.Store(true)
	if err := ask(p, write); err != nil {
		t.Errorf("settled: %v", err)
	}
	settled.Store(false)
	set(now+6, now+5, time.Nanosecond, b)
	if err := ask(p, write); err == nil {
		t.Error("strangers again")
	}
	old := mustPool(t, Options{Dist: DistRendezvous}, nil) // a proxy that starts long after the decision, and etcd is away
	ms := Membership{Epoch: now - 60_000, After: 1, Members: []Member{{Backend: a}}, Wait: time.Nanosecond, Settled: settled.Load}
	if err := old.SetMembership(ms); err != nil {
		t.Fatal(err)
	}
	if err := ask(old, write); err == nil || !errors.Is(err, backend.ErrRefused) { // a knows a newer one, and says so
		t.Errorf("long ago: %v", err)
	}
}
