// Fences: no write is done by a membership while a leaf may still serve an older one to somebody else.

package pools

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// fence is what a membership knows of those before it.
//
// Another proxy may go by an older membership yet, and read and write a key at whoever owned it by that. A write or delete that
// was acknowledged here would be unknown there. So what is not a mere read waits until every leaf that owned its key by an older
// membership is fenced, which is when it has answered anything with this epoch or a newer one; or until nobody goes by an older one (Settled).
// Reads need not wait: a new owner holds only what was written when its predecessors were fenced.
type fence struct {
	open      atomic.Bool   // there is nothing to wait for any more
	older     []*membership // that somebody may go by
	strangers bool          // there may be others that this pool has never heard of: only Settled helps

	refresh func(context.Context) error
	settled func() bool
	now     func() time.Time
	wait    time.Duration
}

// forgotten is when a proxy that has not said yet that it goes by a membership does not count as one that goes by an older one: it is longer than
// a proxy's lease in etcd, without which Settled does not count it either. It matters when etcd is away.
const forgotten = 30 * time.Second

const fenceWait = 2 * time.Second // how long a write waits

// past gives what there is to wait for of m when it has been replaced: how it places keys.
func (m *membership) past() *membership {
	return &membership{epoch: m.epoch, members: m.members, dist: m.dist, byKey: m.byKey, term: m.term}
}

// fenceFrom fills in what m has to wait for when it replaces old.
func (m *membership) fenceFrom(old *membership, ms *Membership) {
	known := old != nil && old.term != nil
	if !known {
		m.strangers = ms.After != 0 || ms.Previous != nil
	} else {
		m.strangers = ms.After != 0 && ms.After != old.epoch
		if !old.open.Load() {
			m.older = slices.DeleteFunc(slices.Clone(old.older), (*membership).over)
			m.strangers = m.strangers || old.strangers
		}
		m.older = append(m.older, old.past())
	}
	m.check()
}

// refuses: b refuses whoever goes by o. One that fences nobody cannot be waited for.
func (o *membership) refuses(b backend.Backend) bool {
	f, ok := backend.As[backend.Fencer](b)
	return !ok || f.Fenced() > o.epoch
}

// over: none of its leaves serves m any more.
func (m *membership) over() bool {
	return !slices.ContainsFunc(m.members, func(mb Member) bool { return !m.refuses(mb.Backend) })
}

// check opens m if there is nothing to wait for.
func (m *membership) check() {
	switch {
	case m.open.Load():
	case m.now().UnixMilli()-int64(m.epoch) > forgotten.Milliseconds():
		m.open.Store(true)
	case m.settled != nil && m.settled():
		m.open.Store(true)
	case !m.strangers && !slices.ContainsFunc(m.older, func(o *membership) bool { return !o.over() }):
		m.open.Store(true)
	}
}

// clear reports whether a write of key may go to the i-th member.
func (p *Pool) clear(m *membership, i int, key []byte) bool {
	if m.open.Load() {
		return true
	}
	if m.strangers {
		return false
	}
	for _, o := range m.older {
		// A leaf that was started again elsewhere is another: the one before it may be there yet.
		if j := p.place(o, key); j >= 0 && o.members[j].Backend != m.members[i].Backend && !o.refuses(o.members[j].Backend) {
			return false
		}
	}
	return true
}

// reads: it leaves everything as it is.
func reads(r *mc.Request) bool {
	return r.PureRead() || r.Cmd == mc.CmdGets || r.Cmd == mc.CmdME
}

// greet tells every leaf of m, and of those before, of m's epoch. Its answer says that it is fenced.
func (p *Pool) greet(m *membership) {
	if m.term == nil {
		return
	}
	var asked []backend.Backend
	all := [][]Member{m.members}
	for _, o := range m.older {
		all = append(all, o.members)
	}
	if m.previous != nil {
		all = append(all, m.previous.members)
	}
	for _, members := range all {
		for i := range members {
			b := members[i].Backend
			if f, ok := backend.As[backend.Fencer](b); !ok || f.Fenced() >= m.epoch || slices.Contains(asked, b) {
				continue
			}
			asked = append(asked, b)
			pe := backend.NewPending()
			pe.Waiter, pe.Term, pe.Start = &greeting{p, m}, cmp.Or(m.replaced[b], m.term), backend.Now()
			b.Send(&nop, pe)
		}
	}
}

// nop is a request that does nothing.
var nop = func() (r mc.Request) {
	var parser mc.Parser
	if _, _, err := parser.Next([]byte("mn\r\n"), &mc.Rules{}, &r); err != nil {
		panic(err) // cannot happen
	}
	return r
}()

// greeting waits for a leaf's answer.
type greeting struct {
	p *Pool
	m *membership
}

// Done implements backend.Waiter.
func (g *greeting) Done(pe *backend.Pending) bool {
	pe.Release()
	return true
}

// Wake implements backend.Waiter.
func (g *greeting) Wake() {
	if g.p.m.Load() == g.m {
		g.p.settle(g.m)
		g.p.advance()
	}
}
