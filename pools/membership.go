// Memberships with an epoch: what a discovered pool goes by, told to its leaves, and replaced while requests are under way.

package pools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Membership is what a discovered pool consists of from one epoch on. Members with a backend that is no backend.Fencer (a memcached
// server) are neither fenced nor asked for what they held.
type Membership struct {
	Pool    string   // what its leaves know the pool as, whatever it is called here; "": its name
	Epoch   uint64   // higher than that of every membership of this pool before; the time of the decision, Unix milliseconds
	After   uint64   // the epoch of the membership that this one replaced; 0: there was none, or nobody knows
	Members []Member // who own keys

	Previous  []Member  // who owned them before and may be asked until WarmUntil; nil: nobody
	Lost      []string  // those of Previous that are gone for good: they are not asked
	WarmUntil time.Time // the zero time: there is no warming

	// Refresh asks for a newer membership and returns when SetMembership was called with it, or there is none: a leaf knows a
	// newer epoch. It has a goroutine of its own, one at a time. nil: what a leaf refuses fails.
	Refresh func(context.Context) error
	// Settled reports whether no proxy goes by an older membership any more, and none will. It must not block. nil: nobody knows.
	Settled func() bool
	Now     func() time.Time // what WarmUntil is compared with. nil: time.Now
	Wait    time.Duration    // how long a write waits for the fence of who owned its key before. 0: 2 s
}

// SetMembership swaps the membership as SetMembers does, and has the leaves refuse everything that goes by an older one. Every leaf,
// previous owners too, is told at once. Requests carry the epoch; those that a leaf refuses because it knows a newer membership are
// placed anew when that has come, at most three times.
//
// Epoch 0 is a source that has none: then it is SetMembers.
func (p *Pool) SetMembership(ms Membership) error {
	if ms.Epoch == 0 {
		return p.SetMembers(0, ms.Members)
	}
	m, err := p.newMembership(ms.Epoch, ms.Members)
	if err != nil {
		return err
	}
	if ms.Now == nil {
		ms.Now = time.Now
	}
	m.refresh, m.settled, m.now, m.wait = ms.Refresh, ms.Settled, ms.Now, cmp.Or(ms.Wait, fenceWait)
	if err := p.warm(m, &ms); err != nil {
		return err
	}
	if m.term, err = p.newTerm(m, &ms); err != nil {
		return err
	}
	p.mu.Lock()
	old := p.m.Load()
	if old != nil && old.epoch == ms.Epoch && old.term != nil {
		p.mu.Unlock()
		return nil // told twice
	}
	m.fenceFrom(old, &ms)
	if err = p.replace(m); err == nil {
		err = p.succeed(old, m)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	m.welcome(old)
	p.greet(m)
	p.settle(m)
	p.advance()
	return nil
}

// welcome tells the backends that have come with m. Those that a pool is made with are not known to be there.
func (m *membership) welcome(old *membership) {
	if old == nil {
		return
	}
	for i := range m.members {
		b := m.members[i].Backend
		was := slices.ContainsFunc(old.members, func(o Member) bool { return o.Backend == b })
		if w, ok := backend.As[backend.Welcomer](b); ok && !was {
			w.Welcome()
		}
	}
}

// newTerm makes what backends and leaves are told of m.
func (p *Pool) newTerm(m *membership, ms *Membership) (*backend.Term, error) {
	t := frame.Membership{
		Pool: cmp.Or(ms.Pool, p.o.Name), Epoch: ms.Epoch, After: ms.After, Hash: string(p.o.Hash), Seed: p.o.Seed,
		Filter: p.o.Filter, FilterConf: p.o.FilterConf, HashTag: p.o.HashTag,
	}
	if p.o.Dist != DistRendezvous {
		t.Dist = string(cmp.Or(p.o.Dist, DistJump))
	}
	if m.previous != nil {
		t.WarmUntil = m.until.UnixMilli()
		t.Previous = told(m.previous.members, ms.Lost, true)
	}
	t.Members = told(m.members, nil, false)
	m.says = t
	return p.termOf(&t)
}

func (p *Pool) termOf(t *frame.Membership) (*backend.Term, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("cannot set members of pool %q: %w", p.o.Name, err) // a weight that is no number
	}
	return &backend.Term{Epoch: t.Epoch, Text: text, Again: p.again}, nil
}

// nobody is what no leaf is called.
const nobody = "_"

// replace makes what those are told of m that owned keys before it and whose names are others' now, as a leaf's is that was started again elsewhere and
// is there yet: they shall not take the other's keys for their own. Else they would serve what was written over at the other, should they own them again,
// and hand it over.
func (p *Pool) replace(m *membership) (err error) {
	for _, o := range m.older {
		for _, was := range o.members {
			i := slices.IndexFunc(m.members, func(n Member) bool { return n.Name == was.Name })
			if i < 0 || m.members[i].Backend == was.Backend || m.replaced[was.Backend] != nil {
				continue
			}
			t := m.says
			t.Members = slices.Clone(t.Members)
			t.Members[i].Leaf = nobody
			if m.replaced == nil {
				m.replaced = map[backend.Backend]*backend.Term{}
			}
			if m.replaced[was.Backend], err = p.termOf(&t); err != nil {
				return err
			}
		}
	}
	return nil
}

func told(members []Member, but []string, addrs bool) (list []frame.Member) {
	for i := range members {
		m := &members[i]
		if slices.Contains(but, m.Name) {
			continue
		}
		t := frame.Member{Name: cmp.Or(m.HashName, m.Name), Weight: m.Weight}
		if t.Name != m.Name {
			t.Leaf = m.Name
		}
		if addrs {
			t.Addr = m.Backend.Status().Addr
		}
		list = append(list, t)
	}
	return list
}

// sendBy sends r, which was not sent before, to the i-th member of m, which has an epoch.
func (p *Pool) sendBy(m *membership, i int, r *mc.Request, pe *backend.Pending) {
	if !m.plain.Load() || p.queues.n.Load() > 0 {
		p.sendInTurn(r, pe)
		return
	}
	pe.Term, pe.Mode = m.term, 0
	p.sendOn(m, i, r, pe, nil)
	p.sent(m)
}

// sendOn is sendBy for what is in its turn. q is the queue that it was the first of; nil: none.
func (p *Pool) sendOn(m *membership, i int, r *mc.Request, pe *backend.Pending, q *queue) {
	if m.warms() && !m.home.has(p.queues.keyHash(r.Key)) {
		if prev := p.movedFrom(m, i, r.Key); prev != nil {
			p.sendMoved(m, m.members[i].Backend, prev, r, pe, q)
			return
		}
	}
	m.members[i].Backend.Send(r, pe)
}

// owned is a request with bytes of its own, as a backend is sent it.
type owned struct {
	buf []byte
	req mc.Request
}

// keep copies r.
func (o *owned) keep(r *mc.Request) {
	o.buf = mc.AppendWire(o.buf[:0], r)
}

// request gives the copy, which is valid until the next keep; nil: it cannot be read, which no request that came through a pool is.
func (o *owned) request() *mc.Request {
	if !read(o.buf, &o.req) {
		return nil
	}
	return &o.req
}

// read reads a request that AppendWire has written.
func read(buf []byte, r *mc.Request) bool {
	var parser mc.Parser
	n, _, err := parser.Next(buf, &mc.Rules{Routed: true, MaxValue: len(buf)}, r)
	return err == nil && n == len(buf) && r.Bad == mc.BadNone
}
