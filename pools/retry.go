// Retries: requests that a leaf has refused because it knows a newer membership.

package pools

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	maxTries    = 3               // times a request is placed anew, each by a newer membership
	refreshTime = 3 * time.Second // etcd may have to be told first that this proxy is there, for which it is given two
)

// refreshes are how the pool asks for a newer membership when requests wait for one.
type refreshes struct {
	mu     sync.Mutex
	begun  uint64 // so far
	asking bool   // one is under way
}

// again takes what a leaf has refused, in the order in which it was sent. It is called by backends' readers.
func (p *Pool) again(list []backend.Again) {
	p.refreshes.mu.Lock()
	begun := p.refreshes.begun
	p.refreshes.mu.Unlock()
	wait := p.m.Load().wait
	for i := range list {
		a := &list[i]
		if a.Pending.Mode > modeMoved { // of a move's own, which goes on without
			backend.Refuse(a.Pending, backend.ErrOutdated)
			continue
		}
		v := moveOf(a.Pending.Waiter)
		queued := v != nil && v.queue != nil
		if v != nil {
			v.abandon(a.Pending)
		}
		p.queues.putBack(a, begun, wait, queued) // last: from here on anybody may send it
	}
	p.advance()
}

// ask has a newer membership than m asked for; an error: there is nobody to ask.
func (p *Pool) ask(m *membership) error {
	if m.refresh == nil {
		return backend.ErrOutdated
	}
	f := &p.refreshes
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.asking {
		f.asking = true
		f.begun++
		go p.refresh(m, f.begun)
	}
	return nil
}

// refresh asks for a newer membership than m. What has waited for that since it began has waited in vain if none comes.
func (p *Pool) refresh(m *membership, number uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTime)
	defer cancel()
	err := errors.Join(backend.ErrOutdated, m.refresh(ctx))
	p.giveUp(p.m.Load().epoch, number, err)
	p.refreshes.mu.Lock()
	p.refreshes.asking = false
	p.refreshes.mu.Unlock()
	p.advance()
}

// giveUp fails what wants a newer membership than that of epoch, and has waited since before that refresh.
func (p *Pool) giveUp(epoch, number uint64, err error) {
	var failed []*waiting
	var empty []*queue
	for i := range p.queues.stripes {
		s := &p.queues.stripes[i]
		s.mu.Lock()
		for q := s.first; q != nil; q = q.next {
			kept := q.waits[:0]
			for _, w := range q.waits {
				if w.last >= epoch && w.came < number {
					failed = append(failed, w)
				} else {
					kept = append(kept, w)
				}
			}
			clear(q.waits[len(kept):])
			if q.waits = kept; len(kept) == 0 && !q.busy && !q.flying {
				q.busy = true
				empty = append(empty, q)
			}
		}
		s.mu.Unlock()
	}
	for _, w := range failed {
		p.queues.count(w, -1)
		backend.Refuse(w.pe, err)
	}
	for _, q := range empty {
		p.run(q)
	}
}
