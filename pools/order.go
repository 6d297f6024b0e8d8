// Order: what one client sends for one key is done in the order in which it was sent, also while memberships change.

package pools

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// order keeps the order of what each client (Pending.Lane) sends for each key to a pool that has epochs.
//
// Requests that the same membership has placed reach the same leaf by the same lane, which does or refuses them in their order: for those there is
// nothing to do, and nothing is noted. The order would get lost where a request has yet to be sent to where those behind it go already:
//
//   - it was placed by an older membership, and is under way: it may be refused, or done at another leaf;
//   - it was refused, and waits for a newer membership;
//   - it is a write that waits for a fence;
//   - it is for a key that has moved, and waits for its item.
//
// What comes behind such a request has to wait until it is answered. Only a request that waits itself, or may come to wait for its item, is in a queue
// (queue.go). Of older memberships' requests the leaves' backends know (backend.Follower): they are asked from the moment when another membership is
// there until nothing is under way that an older one has placed. Then the membership is plain, and a request costs one look at that.
//
// Nobody waits for what was sent later, so nobody waits for ever: everything that was sent is answered or fails in time. Who has waited for too
// long fails, so that many do not wait for a leaf that does not answer one after the other.
type order struct {
	mu     sync.Mutex
	elders atomic.Pointer[[]*membership] // older ones whose requests may be under way, the oldest first; written with mu
	looked atomic.Int64                  // when settle has looked last, by backend.Now
}

// lookEvery is how often senders look whether the older memberships' requests have ended, in nanoseconds.
const lookEvery = 1e6

var (
	errBehind     = fmt.Errorf("an earlier request of the client for the key is not answered yet: %w", backend.ErrRefused)
	errUnreadable = fmt.Errorf("request cannot be read again: %w", backend.ErrRefused)
)

// succeed makes m the membership in place of old. From the moment on when anybody can see m, old is not plain, and one of m's elders.
func (p *Pool) succeed(old, m *membership) error {
	p.order.mu.Lock()
	defer p.order.mu.Unlock()
	if old != nil && m.epoch >= old.epoch {
		p.elderLocked(old)
		old.plain.Store(false)
	}
	return p.swapLocked(m)
}

func (p *Pool) elderLocked(m *membership) {
	var list []*membership
	if l := p.order.elders.Load(); l != nil {
		list = *l
	}
	if m.term == nil || slices.ContainsFunc(list, func(o *membership) bool { return o.epoch == m.epoch }) {
		return
	}
	list = append(slices.Clone(list), m.past())
	p.order.elders.Store(&list)
}

// sent is called by everyone who has sent something by m: another membership may have come meanwhile, and nobody may know any more that
// there could be requests of this one.
func (p *Pool) sent(m *membership) {
	if m.plain.Load() || p.m.Load() == m {
		return
	}
	p.order.mu.Lock()
	defer p.order.mu.Unlock()
	p.elderLocked(m)
	p.m.Load().plain.Store(false)
}

// settle makes m plain when there is nothing to look after any more.
func (p *Pool) settle(m *membership) {
	if m.term == nil || m.plain.Load() {
		return
	}
	m.check()
	o := &p.order
	o.looked.Store(backend.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.m.Load() != m {
		return
	}
	if l := o.elders.Load(); l != nil && len(*l) > 0 {
		list := slices.DeleteFunc(slices.Clone(*l), (*membership).ended)
		o.elders.Store(&list)
		if len(list) > 0 {
			return
		}
	}
	if m.open.Load() {
		m.plain.Store(true)
	}
}

// ended: nothing is under way that m has placed.
func (m *membership) ended() bool {
	return !slices.ContainsFunc(m.members, func(mb Member) bool {
		f, ok := backend.As[backend.Follower](mb.Backend)
		return ok && f.Owes(m.epoch)
	})
}

// behind reports whether a request of that lane for that key is under way that was sent before and by an older membership than m. It means the
// memberships after that of epoch last alone: by those others are placed anew that were sent before one which last itself was placed by; what is
// under way by last was sent later. tell is called when it is worth asking again; nil: nobody is told.
func (p *Pool) behind(m *membership, lane uint32, key []byte, last uint64, tell func()) bool {
	l := p.order.elders.Load()
	if l == nil {
		return false
	}
	for _, o := range *l {
		if o.epoch <= last || o.epoch >= m.epoch {
			continue
		}
		j := p.place(o, key)
		if j < 0 {
			continue
		}
		if f, ok := backend.As[backend.Follower](o.members[j].Backend); ok && f.Follow(lane, key, o.epoch, tell) {
			return true
		}
	}
	return false
}

// sendInTurn sends r, or has it wait for its turn.
func (p *Pool) sendInTurn(r *mc.Request, pe *backend.Pending) {
	for {
		m := p.m.Load()
		i := p.place(m, r.Key)
		if m.term == nil || i < 0 {
			p.sendAt(m, i, r, pe, nil)
			return
		}
		if !m.plain.Load() && backend.Now()-p.order.looked.Load() > lookEvery {
			p.settle(m)
		}
		// In this order: what is under way is noted in a queue before it is not.
		free := !p.behind(m, pe.Lane, r.Key, 0, nil) && (reads(r) || p.clearNow(m, i, r.Key))
		q, mine, ok := p.queues.join(r, pe, free, m)
		switch {
		case !ok:
			backend.Refuse(pe, backend.ErrOverloaded)
		case q == nil && p.m.Load() != m:
			continue
		case q == nil:
			p.sendAt(m, i, r, pe, nil)
		case mine:
			p.run(q)
		}
		return
	}
}

// sendAt sends r to the i-th member of m; i is -1 if there is none. q is the queue that it was the first of; nil: none.
func (p *Pool) sendAt(m *membership, i int, r *mc.Request, pe *backend.Pending, q *queue) {
	pe.Term, pe.Mode, pe.Latency = m.term, 0, nil
	switch {
	case i < 0:
		backend.Refuse(pe, backend.ErrNoBackend)
		return
	case m.latency != nil:
		pe.Latency = m.latency[i]
	}
	if m.term == nil {
		m.members[i].Backend.Send(r, pe)
		return
	}
	p.sendOn(m, i, r, pe, q)
	p.sent(m)
}

// judge says whether the first of a queue may be sent, and by what; err: it never may. With none of these it has to wait.
func (p *Pool) judge(q *queue, w *waiting) (m *membership, i int, err error) {
	if w.req.Line == nil {
		return nil, 0, errUnreadable
	}
	for {
		m = p.m.Load()
		i = p.place(m, w.req.Key)
		if m.term == nil || i < 0 {
			return m, i, nil
		}
		if w.last >= m.epoch {
			return nil, 0, p.ask(m)
		}
		err = nil
		switch {
		case w.follows.Load():
			err = errBehind
		case p.follows(m, q, w):
			err = errBehind
		case !reads(&w.req) && !p.clearNow(m, i, w.req.Key):
			err = backend.ErrFence
		case p.m.Load() != m:
			continue
		}
		// The same for one that need not wait any more: else each of many could wait for a leaf that does not answer.
		switch late := backend.Now() >= w.until; {
		case late:
			return nil, 0, cmp.Or(err, errBehind)
		case err != nil:
			return nil, 0, nil
		}
		return m, i, nil
	}
}

// follows is behind for one that waits, which looks again when it is told.
func (p *Pool) follows(m *membership, q *queue, w *waiting) bool {
	if l := p.order.elders.Load(); l == nil || len(*l) == 0 {
		return false
	}
	hash, lane, key := q.hash, q.lane, string(q.key)
	w.follows.Store(true)
	found := p.behind(m, q.lane, q.key, w.last, func() {
		w.follows.Store(false)
		p.look(hash, lane, key)
	})
	if !found {
		w.follows.Store(false)
	}
	return found
}

// clearNow is clear, and looks again where nothing was clear before.
func (p *Pool) clearNow(m *membership, i int, key []byte) bool {
	if p.clear(m, i, key) {
		return true
	}
	m.check()
	return p.clear(m, i, key)
}

// tries says what is wrong with sending one more time what was refused; nil: nothing.
func (w *waiting) tries() error {
	if w.last == 0 {
		return nil
	}
	if w.pe.Tries++; w.pe.Tries > maxTries {
		return backend.ErrOutdated
	}
	return nil
}
