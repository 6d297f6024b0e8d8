// A batch that is gone on with by whoever brings its answers, most often a backend's reader, and not by the connection's goroutine, which waits for the
// client meanwhile.

package engine

import (
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// The values of elsewhere.state.
const (
	atHome    = iota // the connection's goroutine has the batch, or there is none
	waits            // nobody has it: who brings something is to go on
	goesOn           // somebody does
	goesAgain        // and is to look once more
)

// elsewhere is a session's part for that. Who goes on has the session, with its turn's lock, in whatever goroutine.
type elsewhere struct {
	state  atomic.Int32
	home   server.Home
	onward func()        // home.GoOn
	leave  func()        // who goes on calls it before it waits; nil: it has nothing to leave
	ring   backend.Timer // for the first deadline of a call
	rung   bool          // it need not be stopped
	hasty
}

// Begin implements server.Async.
func (s *session) Begin(b *server.Batch, home server.Home, leave func()) (out bool, err error) {
	if !s.turn.TryLock() { // what lingers is at work, and may wait
		if leave != nil {
			leave()
			leave = nil
		}
		s.turn.Lock()
	}
	s.leave = leave
	defer func() {
		if !out {
			s.leave = nil
			s.turn.Unlock()
		}
	}()
	s.enter()
	closing, err := s.begins(b)
	if err == nil && !closing && s.open > 0 && s.next.req == len(b.Reqs) && s.mayGo() {
		if s.home != home {
			s.home, s.onward = home, home.GoOn
		}
		s.state.Store(goesOn)
		if s.pass() {
			out = true
			return true, nil
		}
		s.settle()
	}
	if s.open > 0 || s.next.req < len(b.Reqs) && !closing || s.large() {
		s.leaves()
	}
	err = s.complete(b, err)
	for s.next.req < len(b.Reqs) && !closing && err == nil {
		closing, err = s.some(b)
	}
	s.finish()
	return false, s.result(closing, err)
}

// mayGo reports whether a batch may be gone on with elsewhere at all. Where scripts limit what is held of answers, it counts until the client has taken it,
// for which only the goroutine waits.
func (s *session) mayGo() bool {
	return s.probe == nil && s.p.opts.Clock == nil && s.p.trace == nil && s.p.scriptBuffers.Load() == 0
}

// Onward implements server.Async.
func (s *session) Onward(b *server.Batch) (how server.Outcome, err error) {
	how = server.Done // also if it panics
	defer func() {
		if how != server.Waits {
			s.leave = nil // not before: what lingers may be gone on with here, too
		}
		if how == server.Done {
			s.turn.Unlock()
		}
	}()
	s.take()
	if err := s.writeEarly(b); err != nil {
		s.settle()
		return how, s.ended(b, err)
	}
	if s.pass() {
		how = server.Waits
		return how, nil
	}
	s.settle()
	if s.large() {
		how = server.Left
		return how, nil
	}
	return how, s.ended(b, nil)
}

// large reports whether the client may have to be waited for while the answers are written.
func (s *session) large() bool { return s.held.Load()+int64(s.wordy) > flushSize }

// Complete implements server.Async.
func (s *session) Complete(b *server.Batch) error {
	defer s.turn.Unlock()
	return s.ended(b, nil)
}

// ended answers and ends the batch, in which nothing is under way any more, or which an error ends.
func (s *session) ended(b *server.Batch, err error) error {
	err = s.complete(b, err)
	s.finish()
	return s.result(false, err)
}

// pass leaves the batch to whoever brings more, and reports true: then nothing of the session is the caller's any longer. False: all is answered.
//
// Nothing is missed: who brings an answer sets told, and who cuts the generation cut, before they summon or wake. What was said while nobody
// listened (before Begin, or to somebody who waited in place) is seen there; and what comes after that look has made state goesAgain, or finds waits.
func (s *session) pass() bool {
	for s.open > 0 {
		if s.later.Len() == 0 {
			s.setRing()
			if len(s.slots) > 1 && s.slots[s.head].done {
				s.hasten()
			}
			s.parked.Store(true)
			if !s.told.Load() && !s.g.cut.Load() && s.state.CompareAndSwap(goesOn, waits) {
				return true
			}
			s.parked.Store(false)
			s.state.Store(goesOn)
		}
		s.take()
	}
	return false
}

// settle ends going on elsewhere: from here on Wake is for the connection's goroutine, or for the next batch.
func (s *session) settle() {
	if s.ring != nil && !s.rung {
		s.rung = true
		s.ring.Stop()
	}
	s.state.Store(atHome)
	if s.told.Load() { // its Wake may have been swallowed
		s.rouse()
	}
}

// leaves has somebody else go on with what the caller was at, before it waits.
func (s *session) leaves() {
	if s.leave != nil {
		s.leave()
		s.leave = nil
	}
}

// summon sees to it that a batch that is elsewhere is gone on with. mine: by the caller, now.
func (s *session) summon() (mine, ok bool) {
	for {
		switch s.state.Load() {
		case waits:
			if s.state.CompareAndSwap(waits, goesOn) {
				s.parked.Store(false)
				return true, true
			}
		case goesOn:
			if s.state.CompareAndSwap(goesOn, goesAgain) {
				return false, true
			}
		case goesAgain:
			return false, true
		default:
			return false, false
		}
	}
}

// Runs implements backend.Runner.
func (s *session) Runs() bool { return s.state.Load() != atHome }

// Run implements backend.Runner.
func (s *session) Run(leave func()) {
	if !s.away.Load() && !s.block.Load() {
		if mine, ok := s.summon(); mine {
			s.leave = leave
			s.home.GoOn()
			return
		} else if ok {
			return
		}
	}
	s.Wake()
}

// Wake implements backend.Waiter.
func (s *session) Wake() {
	if !s.block.Load() {
		if s.away.Load() {
			s.p.spawn(s.catchUp)
			return
		}
		if mine, ok := s.summon(); mine {
			s.leave = nil
			s.p.spawn(s.onward)
			return
		} else if ok {
			return
		}
	}
	s.rouse()
}

// rouse ends a pause, or has the next one end at once.
func (s *session) rouse() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// setRing has the batch gone on with when the first deadline of a call has come.
func (s *session) setRing() {
	switch d := s.untilAlarm(); {
	case d < 0:
		return
	case s.ring == nil:
		s.ring = s.p.afterFunc(d, s.rings)
	default:
		s.ring.Reset(d)
	}
	s.rung = false
}

func (s *session) rings() { s.Run(func() {}) }
