// How a session is told of answers, waits for them, and lets its requests go on.

package engine

import (
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
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

// Wake implements backend.Waiter.
func (s *session) Wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// wait waits until a backend's reader wakes the session. If the first answers are ready and the rest is slow, they are
// written meanwhile.
func (s *session) wait(b *server.Batch) error {
	if b.Each != nil {
		s.tell(b, len(s.slots))
		<-s.wakeup
		return nil
	}
	ready := s.head
	for ready < len(s.slots) && s.slots[ready].done {
		ready++
	}
	if ready == s.head {
		<-s.wakeup
		return nil
	}
	if s.timer == nil {
		s.timer = time.NewTimer(flushEarly)
	} else {
		s.timer.Reset(flushEarly)
	}
	select {
	case <-s.wakeup:
		s.timer.Stop()
		return nil
	case <-s.timer.C:
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

// take takes the answers that have come and lets the requests that waited for them go on.
func (s *session) take() {
	for i := 0; i < len(s.later); i++ {
		s.deliver(s.later[i])
	}
	s.later = s.later[:0]
	for p := s.drain(); p != nil; {
		next := p.Next
		p.Next = nil
		s.deliver(p)
		p = next
	}
	if s.g.cut.Load() {
		s.abandon()
	}
	s.unlock()
}

// deliver hands one answer to its request.
func (s *session) deliver(p *backend.Pending) {
	if p.Latency != nil && p.Err == nil {
		p.Latency.Observe(s.stripe, p.End-p.Start)
	}
	c, ok := p.Data.(*luaapi.Call)
	if !ok {
		if i := p.Tag & (1<<32 - 1); uint32(p.Tag>>32) == uint32(s.number) && !s.slots[i].done {
			s.answered(&s.slots[i], p)
		} else {
			p.Release()
		}
		return
	}
	if c.State() != s.w.state {
		p.Release() // a leftover of an earlier batch, on a generation that has gone
		return
	}
	s.lock()
	if c.Deliver(p) {
		s.ran(c, c.Resume())
	}
}

// hold counts a large answer's bytes until its batch has ended. Over the limit the answer is dropped: it would wait here for a
// client that may be in no hurry to read. Backends' readers call it.
func (s *session) hold(p *backend.Pending) {
	n := int64(len(p.Buf))
	if n <= freeAnswer {
		return
	}
	if s.p.held.Add(n) > s.p.bufferLimit.Load() {
		s.p.held.Add(-n)
		s.p.stats.refused.Add(1)
		p.Buf = append(p.Buf[:0:0], lineNoMemory...)
		if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
			p.Err = backend.ErrOverloaded // the line is ours and parses
		}
		return
	}
	s.held.Add(n)
	if s.closed.Load() {
		s.letGo()
	}
}

// letGo uncounts what hold has counted for this session.
func (s *session) letGo() { s.p.held.Add(-s.held.Swap(0)) }

// freeAnswer is the size in bytes up to which an answer is not counted: a batch of them is bounded by its length.
const freeAnswer = 4 << 10

// Block implements luaapi.Caller: the running call waits in a place that cannot be suspended. The answers of other
// calls are kept for later.
func (s *session) Block(c *luaapi.Call) {
	s.locked = false
	for ready := s.g.cut.Load(); !ready; {
		<-s.wakeup
		list := s.drain()
		s.w.state.Lock()
		for p := list; p != nil; {
			next := p.Next
			p.Next = nil
			if p.Data == any(c) {
				c.Deliver(p)
			} else {
				s.later = append(s.later, p)
			}
			p = next
		}
		ready = c.Ready() || s.g.cut.Load()
		s.w.state.Unlock()
	}
	if len(s.later) > 0 {
		s.Wake() // so that wait does not sleep on what has been drained already
	}
	s.locked = true // State.Wait takes the lock again
}

// abandon gives up the requests that still wait, because their generation has been cut.
func (s *session) abandon() {
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.done {
			continue
		}
		if sl.call != nil {
			s.lock()
			sl.call.Drop()
			sl.call = nil
		}
		s.answer(sl, lineBackendFailure)
	}
}
