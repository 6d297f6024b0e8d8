// What lingers: a route has answered its client, and something that it sent is not answered yet. Its sub-calls go on when the answers
// come, whether or not the client asks for anything more, or is there at all. And answers that nobody waits for any more are let go as they come:
// those of a client that is idle for hours would take the place of others'.

package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// lingering is a session's part that outlives batches. Between two batches nobody waits for answers; so while some may come, Wake starts
// a goroutine that looks at what has.
type lingering struct {
	turn  sync.Mutex  // held by a batch, or by who looks at what has come between two
	loose bool        // answers may come for which nobody waits any more: functions send what they want
	away  atomic.Bool // no batch is under way, and answers may come
	block atomic.Bool // who looks at what has come waits in Block
	calls []lingerer  // turn guards it
	freed []*generation
	alarm backend.Timer
	gone  bool // the connection has ended
}

type lingerer struct {
	c        *luaapi.Call
	g        *generation // held
	detached bool
}

// lingers notes a call of the present batch that lingers.
func (s *session) lingers(c *luaapi.Call) {
	s.g.hold() // it is held by the batch, so this cannot fail
	s.calls = append(s.calls, lingerer{c: c, g: s.g})
	s.entered--
}

// Idle implements luaapi.Caller: c does not linger any more.
func (s *session) Idle(c *luaapi.Call) {
	for i := range s.calls {
		if s.calls[i].c == c {
			s.freed = append(s.freed, s.calls[i].g)  // not here: the last to release it takes the worker's lock, which is held
			s.calls = slices.Delete(s.calls, i, i+1) // it clears what it frees, or the generation would be kept
			s.p.stats.leave(s.stripe, 1)
			return
		}
	}
}

// linger ends a batch while calls linger, or answers may come: calls keep what they need of its bytes.
func (s *session) linger() {
	for i := range s.calls {
		if l := &s.calls[i]; !l.detached {
			l.detached = true
			st := l.c.State()
			st.Lock()
			l.c.Detach()
			st.Unlock()
		}
	}
	s.away.Store(true)
	if s.told.Load() || len(s.calls)+len(s.freed) > 0 { // told: its Wake came before
		s.tend()
	} else {
		s.disarm()
	}
}

// catchUp looks at what has come between two batches.
func (s *session) catchUp() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.away.Load() {
		s.tend()
	}
}

// tend lets lingering calls go on with what has come, until nothing more is there.
func (s *session) tend() {
	for {
		s.deliverAll()
		s.unlock()
		s.expire()
		s.giveUp()
		if s.inbox.Load() == nil {
			break
		}
	}
	for _, g := range s.freed {
		g.release()
	}
	s.freed = nil
	if len(s.calls) == 0 {
		s.disarm()
		if s.w == nil {
			s.letGo()
		}
		if s.gone {
			s.p.sessions.remove(s)
		}
		return
	}
	if d := s.untilAlarm(); d >= 0 {
		if s.alarm == nil {
			s.alarm = s.p.afterFunc(d, s.catchUp)
		} else {
			s.alarm.Reset(d)
		}
	}
}

// disarm forgets deadlines that nobody waits for any more.
func (s *session) disarm() {
	clear(s.alarms)
	s.alarms = s.alarms[:0]
}

// giveUp drops lingering calls of a generation that has been cut.
func (s *session) giveUp() {
	for _, l := range append([]lingerer(nil), s.calls...) {
		if l.g.cut.Load() {
			s.with(l.c, func() { l.c.Drop() })
		}
	}
}

// part ends the session, or leaves it to its lingering calls.
func (s *session) part() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.gone = true; len(s.calls) == 0 {
		s.p.sessions.remove(s)
	}
}
