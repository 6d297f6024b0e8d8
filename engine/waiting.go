// How a session is told of answers, waits for them, and lets its requests go on.

package engine

import (
	"cmp"
	"runtime"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Done implements backend.Waiter.
func (s *session) Done(p *backend.Pending) bool {
	s.hold(p)
	for {
		old := s.inbox.Load()
		p.Next = old
		if s.inbox.CompareAndSwap(old, p) {
			return s.told.CompareAndSwap(false, true)
		}
	}
}

// wait waits until a backend's reader wakes the session, or a call's deadline has come. If the first answers are ready and the rest
// is slow, they are written meanwhile.
func (s *session) wait(b *server.Batch) error {
	if s.p.trace != nil && s.p.trace.step(s) {
		return nil
	}
	alarm := s.untilAlarm()
	ready := s.head
	if b.Each != nil {
		s.tell(b, len(s.slots))
	} else {
		for ready < len(s.slots) && s.slots[ready].done {
			ready++
		}
	}
	early := b.Each == nil && ready > s.head
	d := alarm
	if early && (alarm < 0 || alarm > flushEarly) {
		d = flushEarly
	}
	if woken := s.pause(d); woken || !early {
		if s.open > 1 { // one turn for everyone else: readers of other backends may be about to bring the rest, which is then taken with this
			runtime.Gosched()
		}
		return nil
	}
	if err := s.write(b, ready); err != nil {
		return err
	}
	return b.Flush()
}

// drain empties the inbox, oldest first.
func (s *session) drain() *backend.Pending {
	s.told.Store(false)
	var list *backend.Pending
	for p := s.inbox.Swap(nil); p != nil; {
		next := p.Next
		p.Next = list
		list, p = p, next
	}
	return list
}

// gather is drain, but where a function waits for several answers it takes those that have come at the same time in the order of what
// was sent. Each connection has a reader of its own, and which of two gets a processor first is chance: one that is about to run is let
// do so, as one thread would have read them all.
func (s *session) gather() *backend.Pending {
	first := s.drain()
	p := first
	for p != nil && !luaapi.Fanned(p) {
		p = p.Next
	}
	if p == nil {
		return first
	}
	runtime.Gosched()
	s.come = s.come[:0]
	for _, list := range [2]*backend.Pending{first, s.drain()} {
		for p := list; p != nil; p = p.Next {
			s.come = append(s.come, p)
		}
	}
	slices.SortStableFunc(s.come, func(a, b *backend.Pending) int { return cmp.Compare(a.Order, b.Order) })
	for i, p := range s.come[1:] {
		s.come[i].Next = p
	}
	first, s.come[len(s.come)-1].Next = s.come[0], nil
	clear(s.come)
	return first
}

// take takes the answers that have come and lets the requests that waited for them go on.
func (s *session) take() {
	s.deliverAll()
	s.unlock()
	s.expire()
	if s.g.cut.Load() {
		s.abandon()
	}
	s.unlock()
}

// deliverAll hands every answer that has come to its request.
func (s *session) deliverAll() {
	s.collect()
	for p := s.later.Pop(); p != nil; p = s.later.Pop() {
		s.deliver(p)
	}
}

// collect moves what has come to later, where a call that waits in place while others are delivered finds it, too.
func (s *session) collect() {
	s.past = true
	for p := s.gather(); p != nil; {
		next := p.Next
		s.later.Push(p)
		p = next
	}
}

// deliver hands one answer to its request.
func (s *session) deliver(p *backend.Pending) {
	switch {
	case p.Err != nil:
		s.p.stats.failure(s.stripe, p.Err)
	case p.Latency != nil:
		p.Latency.Observe(s.stripe, p.End-p.Start)
	}
	c, ok := p.Data.(*luaapi.Call)
	if !ok {
		if i := p.Tag & (1<<32 - 1); s.w != nil && uint32(p.Tag>>32) == uint32(s.number) && !s.slots[i].done {
			s.answered(&s.slots[i], p)
		} else {
			p.Release()
		}
		return
	}
	if s.w == nil || c.State() != s.w.state {
		s.with(c, func() { c.Deliver(p) })
		return
	}
	s.lock()
	c.Deliver(p)
	if !s.queue.Empty() {
		s.queue.Run()
	}
	s.share()
}

// abandon gives up the requests that still wait, because their generation has been cut.
func (s *session) abandon() {
	s.loose = true
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.done {
			continue
		}
		if sl.call != nil {
			s.drop(sl)
		}
		s.answer(sl, lineBackendFailure)
	}
	s.runQueue()
}
