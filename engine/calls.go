// What a session does for the Lua calls of its requests: it implements luaapi.Caller.

package engine

import (
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
)

// begin starts a request's Lua function.
func (s *session) begin(i int, sl *slot, trim int) {
	s.loose = true
	s.lock()
	call, err := s.w.api.Begin(s, i, sl.route.Gen, sl.req, trim)
	switch {
	case err != nil:
		s.scriptError(sl.route.Name, sl.req, err)
		s.answer(sl, lineNoMatch)
	case !sl.done:
		sl.call = call
	}
	s.queue.Start()
	s.share()
}

// slice is how many steps (some hundred microseconds) the requests of one batch may take before others get at the worker. The lock
// is not given to who asks for it first; but one that has waited for a millisecond is served next.
const slice = 10_000

// share lets others at the worker when this session has had its slice, and has somebody else go on with what it would keep waiting.
func (s *session) share() {
	if s.spent > slice {
		s.kick()
		s.unlock()
		s.leaves()
	}
}

// Ran implements luaapi.Caller.
func (s *session) Ran(steps int64) { s.spent += steps }

// FD implements luaapi.Caller.
func (s *session) FD() int { return s.info.FD }

// Client implements luaapi.Caller.
func (s *session) Client() uint64 {
	if s.info.Network == "nats" {
		return 0
	}
	return s.info.ID
}

// Queue implements luaapi.Caller.
func (s *session) Queue() *luaapi.Queue { return &s.queue }

// runQueue lets everything go on that can, once all requests of the batch have been started.
func (s *session) runQueue() {
	if !s.queue.Empty() {
		s.lock()
		s.queue.Run()
	}
}

// Ended implements luaapi.Caller.
func (s *session) Ended(c *luaapi.Call) {
	sl := &s.slots[c.Slot]
	ans := c.End()
	sl.call = nil
	sl.restore = ans.Restore
	if ans.Lingers {
		s.lingers(c)
	}
	switch ans.Kind {
	case luaapi.AnswerResponse:
		s.answered(sl, ans.Pending)
	case luaapi.AnswerText:
		s.answer(sl, ans.Text)
	default:
		s.failed(sl, &ans)
	}
}

// failed answers a slot whose function raised an error or returned what cannot be sent.
func (s *session) failed(sl *slot, ans *luaapi.Answer) {
	if s.g.cut.Load() { // whatever the script made of it
		s.answer(sl, lineBackendFailure)
		return
	}
	s.scriptError(sl.route.Name, sl.req, ans.Err)
	if ans.Kind == luaapi.AnswerFailed {
		s.answer(sl, lineLuaFailure)
	} else {
		s.answer(sl, lineBadResponse)
	}
}

func (s *session) scriptError(route string, r *mc.Request, err error) {
	s.p.scriptError(s.info.Tag, route, r, err)
}

// Failed implements luaapi.Caller.
func (s *session) Failed(c *luaapi.Call, err error) { s.scriptError(c.Route(), c.Request(), err) }

// drop gives up a slot's call.
func (s *session) drop(sl *slot) {
	s.lock()
	if sl.call.Drop() {
		s.lingers(sl.call)
	}
	sl.call = nil
}

// Alarm implements luaapi.Caller.
func (s *session) Alarm(c *luaapi.Call) { s.alarms = append(s.alarms, c) }

// untilAlarm is how long it is until the first deadline; negative if there is none.
func (s *session) untilAlarm() time.Duration {
	if len(s.alarms) == 0 {
		return -1
	}
	first := int64(-1)
	keep := s.alarms[:0]
	for _, c := range s.alarms {
		st := c.State()
		st.Lock()
		d := c.Deadline()
		mine := d > 0 && c.Serves(s)
		st.Unlock()
		if mine {
			keep = append(keep, c)
			if first < 0 || d < first {
				first = d
			}
		}
	}
	clear(s.alarms[len(keep):])
	if s.alarms = keep; first < 0 {
		return -1
	}
	return max(0, time.Duration(first-s.p.now()))
}

// expire lets those go on whose deadline has passed.
func (s *session) expire() {
	if len(s.alarms) == 0 {
		return
	}
	now := s.p.now()
	for _, c := range append([]*luaapi.Call(nil), s.alarms...) {
		s.with(c, func() {
			if c.Serves(s) {
				c.Expire(now)
			}
		})
	}
}

// hurry lets the call go on whose deadline is the first, as if that had passed. It reports whether there is one, for tracers.
func (s *session) hurry() bool {
	var first *luaapi.Call
	var at int64
	for _, c := range s.alarms {
		s.with(c, func() {
			if d := c.Deadline(); d > 0 && c.Serves(s) && (first == nil || d < at) {
				first, at = c, d
			}
		})
	}
	if first != nil {
		s.with(first, func() { first.Expire(at) })
	}
	return first != nil
}

// with calls f with the lock of c's worker, which is another one than the batch's for calls that linger over a reload, and lets go on
// what can.
func (s *session) with(c *luaapi.Call, f func()) {
	s.unlock()
	st := c.State()
	st.Lock()
	s.locked = s.w != nil && st == s.w.state
	defer func() { // also if it panics
		if s.locked {
			s.unlock()
		} else {
			st.Unlock()
		}
	}()
	f()
	s.queue.Run()
}

// Block implements luaapi.Caller: the running call waits in a place that cannot be suspended. Answers of other calls are kept
// for later.
func (s *session) Block(c *luaapi.Call) {
	st, locked := c.State(), s.locked
	s.locked = false
	s.gathered()
	s.leaves()
	if s.w == nil || s.state.Load() != atHome { // Wake is to wake it, and not to have somebody else look
		defer s.block.Store(s.block.Swap(true)) // what it runs may wait in place, too
		if s.told.Load() {                      // and has been called before
			s.Wake()
		}
	}
	for {
		st.Lock()
		for n := s.later.Len(); n > 0; n-- {
			p := s.later.Pop()
			if p == nil { // another that waits in place has taken the rest
				break
			}
			if x, ok := p.Data.(*luaapi.Call); ok && c.Contains(x) {
				x.Deliver(p)
			} else {
				s.later.Push(p)
			}
		}
		s.queue.RunFor(c)
		left := s.expireIn(c)
		ready := c.Ready()
		st.Unlock()
		if ready || s.isCut(c) {
			break
		}
		s.await(left)
	}
	if s.later.Len() > 0 {
		s.Wake() // so that wait does not sleep on what has been drained already
	}
	s.locked = locked // State.Wait takes the lock again
}

// expireIn lets c, and what it has called, go on where a deadline has passed. It gives the first of those that are left; 0: there is none.
func (s *session) expireIn(c *luaapi.Call) (first int64) {
	now := s.p.now()
	for _, x := range append(s.alarmsIn(c), c) {
		x.Expire(now)
	}
	s.queue.RunFor(c)
	for _, x := range append(s.alarmsIn(c), c) {
		if d := x.Deadline(); d > 0 && (first == 0 || d < first) {
			first = d
		}
	}
	return first
}

// alarmsIn gives those of what c has called that wait until a deadline.
func (s *session) alarmsIn(c *luaapi.Call) []*luaapi.Call {
	var in []*luaapi.Call
	for _, x := range s.alarms {
		if x != c && x.State() == c.State() && c.Contains(x) && x.Serves(s) { // in this order: others are not c's worker's to look at
			in = append(in, x)
		}
	}
	return in
}

// isCut reports whether c's generation has been cut.
func (s *session) isCut(c *luaapi.Call) bool {
	for i := range s.calls {
		if l := &s.calls[i]; l.c.Contains(c) {
			return l.g.cut.Load()
		}
	}
	return s.g != nil && s.g.cut.Load()
}

// await waits for answers until a deadline (0: for ever).
func (s *session) await(deadline int64) {
	if s.p.trace != nil && s.p.trace.step(s) {
		deadline = 1 // long past
	}
	left := time.Duration(-1)
	if deadline > 0 {
		left = max(0, time.Duration(deadline-s.p.now()))
	}
	s.pause(left)
	s.collect()
}
