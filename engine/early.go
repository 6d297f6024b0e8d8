// Answers that are ready while others of their batch are slow, where nobody waits for the batch: they are written early, by one timer for all
// sessions. One for each would be set and stopped for each batch.

package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/server"
)

// hasty is a session's part for that.
type hasty struct {
	due     atomic.Int64 // when the first answers of the batch that is or was under way are to be written; 0: they have been
	listed  atomic.Bool  // early has it
	overdue atomic.Bool  // it is time
}

// early knows the sessions.
type early struct {
	p     *Proxy
	mu    sync.Mutex
	list  []*session
	runs  bool          // tick will be called
	every time.Duration // so often
}

// maxEvery is how long tick waits when it has found nothing lately. Until it finds something, answers may wait so long.
const maxEvery = 8 * flushEarly

// hasten sees to it that the first answers do not wait long for the others.
func (s *session) hasten() {
	due := s.began + int64(flushEarly)
	if s.due.Load() == due && !s.overdue.Load() { // tick may have been about to ring when an answer came
		return
	}
	s.due.Store(due)
	if !s.listed.Load() {
		s.p.early.add(s)
	}
}

// writeEarly writes the first answers, if it is time.
func (s *session) writeEarly(b *server.Batch) error {
	if !s.overdue.Load() {
		return nil
	}
	s.overdue.Store(false)
	ready := s.head
	for ready < len(s.slots) && s.slots[ready].done {
		ready++
	}
	if ready == len(s.slots) || ready == s.head {
		return nil
	}
	if err := s.write(b, ready); err != nil {
		return err
	}
	s.due.Store(0)
	return b.Flush()
}

func (e *early) add(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.listed.Store(true)
	e.list = append(e.list, s)
	if !e.runs {
		e.runs = true
		e.p.afterFunc(max(e.every, flushEarly), e.tick)
	}
}

// tick has those go on whose time has come.
func (e *early) tick() {
	now := e.p.now()
	var late []*session
	e.mu.Lock()
	keep := e.list[:0]
	for _, s := range e.list {
		if s.closed.Load() {
			continue
		}
		if s.due.Load() > now {
			keep = append(keep, s)
			continue
		}
		s.listed.Store(false)
		if s.due.Load() > now { // it has just looked
			s.listed.Store(true)
			keep = append(keep, s)
			continue
		}
		switch s.state.Load() {
		case waits:
			late = append(late, s)
		case goesOn, goesAgain: // it may wait again
			s.listed.Store(true)
			keep = append(keep, s)
		}
	}
	clear(e.list[len(keep):])
	e.list = keep
	if e.every = min(2*e.every, maxEvery); len(late) > 0 || e.every == 0 {
		e.every = flushEarly
	}
	if e.runs = len(e.list) > 0; e.runs {
		e.p.afterFunc(e.every, e.tick)
	}
	e.mu.Unlock()
	ringAll(late)
}

// ringAll has them go on, one after the other; if one is about to wait, somebody else has the rest go on.
func ringAll(late []*session) {
	for i, s := range late {
		left := false
		s.overdue.Store(true)
		s.Run(func() {
			left = true
			go ringAll(late[i+1:])
		})
		if left {
			return
		}
	}
}
