// Probe: what a session that is watched does, and when.

package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// probe watches the one request that its session serves. Its session's goroutine tells it what is sent, with the worker's lock held where Lua
// does it; backends' goroutines tell it of answers.
type probe struct {
	s     *session
	w     *worker // that is watched; nil before the batch begins
	key   *mc.Request
	start int64
	all   chan struct{} // gets one when the last answer has come

	mu      sync.Mutex
	live    Live
	sent    []*LiveSent
	numbers map[*backend.Pending]int // of those that are under way, or answered and not released
	waiting int                      // requests that are not answered
	taken   []bool                   // by number-1: a wait has counted the answer
	open    map[*luaapi.Call]*LiveWait
	closed  bool // a wait of the last step is over: what is sent now is another step
	told    bool // nothing is noted any more
}

// begin is called when the session has a generation.
func (o *probe) begin() {
	o.w, o.start = o.s.w, o.s.now
	st := o.w.state
	st.Lock()
	defer st.Unlock()
	o.w.api.Watch(o)
	o.live.Generation = o.s.g.number
	if o.s.hooks == nil || o.s.hooks[o.key.Cmd] == nil {
		return
	}
	route := o.s.hooks[o.key.Cmd]
	if route.Router != nil {
		o.live.Native = true
		route, _ = route.Router.Find(o.key.Cmd, o.key.Key)
	}
	if o.live.Route = "no match"; route != nil {
		o.live.Route, o.live.Tree = route.Name, route.Node()
	}
}

// end lets the worker go unwatched again.
func (o *probe) end() {
	if o.w != nil {
		o.w.state.Lock()
		o.w.api.Watch(nil)
		o.w.state.Unlock()
	}
}

// since is t in microseconds from the beginning.
func (o *probe) since(t int64) float64 { return float64((t-o.start)/100) / 10 }

// step is where what happens now belongs.
func (o *probe) step(sends bool) *LiveStep {
	if n := len(o.live.Steps); n > 0 && !(sends && o.closed) {
		return o.live.Steps[n-1]
	}
	o.closed = false
	st := &LiveStep{Sent: []*LiveSent{}}
	o.live.Steps = append(o.live.Steps, st)
	return st
}

// sends notes a request that is about to be sent; c is nil where a pool is attached.
func (o *probe) sends(c *luaapi.Call, t luaapi.Target, r *mc.Request, p *backend.Pending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told {
		return
	}
	number := len(o.sent) + 1
	s := &LiveSent{stamps: &backend.Stamps{}, call: c}
	by := ""
	if c != nil {
		by = sender(o.live.Tree, p)
	}
	s.Sent = sentTo(t, r, number, by)
	s.Queued = o.since(backend.Now())
	p.Stamps = s.stamps
	p.Waiter = &probeWaiter{o, s, p.Waiter}
	o.numbers[p] = number
	o.sent, o.taken = append(o.sent, s), append(o.taken, false)
	o.waiting++
	st := o.step(true)
	st.Sent = append(st.Sent, s)
}

// Sends implements luaapi.Watcher.
func (o *probe) Sends(c *luaapi.Call, t luaapi.Target, r *mc.Request, p *backend.Pending) {
	if c.Serves(o.s) {
		o.sends(c, t, r, p)
	}
}

// Runs implements luaapi.Watcher.
func (o *probe) Runs(c *luaapi.Call, r *mc.Request, p *backend.Pending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.Serves(o.s) || o.told {
		return
	}
	s := &LiveSent{stamps: &backend.Stamps{}, call: c, Result: firstLine(p.Resp.Raw)}
	s.Sent = Sent{Number: len(o.sent) + 1, By: nodeOf(o.live.Tree, c), Line: string(r.Line), Key: string(r.Key), Backend: OwnStore}
	s.Queued = o.since(backend.Now())
	s.Answered = s.Queued
	o.numbers[p] = s.Number
	o.sent, o.taken = append(o.sent, s), append(o.taken, false)
	st := o.step(true)
	st.Sent = append(st.Sent, s)
}

// Waits implements luaapi.Watcher.
func (o *probe) Waits(c *luaapi.Call, within int64, limited bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.Serves(o.s) || o.told {
		return
	}
	w := &LiveWait{By: nodeOf(o.live.Tree, c), From: o.since(backend.Now())}
	if limited {
		w.Within = max(0.1, float64(within/100)/10) // 0 is no limit
	}
	o.open[c] = w
	st := o.step(false)
	st.Waits = append(st.Waits, w)
}

// GoesOn implements luaapi.Watcher.
func (o *probe) GoesOn(c *luaapi.Call, expired bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.open[c]
	if w == nil || o.told {
		return
	}
	delete(o.open, c)
	w.To, w.Over = o.since(backend.Now()), expired
	for i, s := range o.sent {
		if s.call == c && s.Answered > 0 && !o.taken[i] {
			o.taken[i] = true
			w.Got = append(w.Got, s.Number)
		}
	}
	o.closed = true
}

// answered notes whose answer the client gets.
func (o *probe) answered(p *backend.Pending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live.From = o.numbers[p]
}

// tell waits a moment for what is late, and tells what has happened.
func (o *probe) tell(answer string) *Live {
	took := backend.Now()
	late := time.NewTimer(o.s.p.lateness)
	defer late.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.told {
		waiting := o.waiting > 0
		o.mu.Unlock()
		if !waiting && !o.s.lingersNow() {
			o.mu.Lock()
			break
		}
		again := time.NewTimer(time.Millisecond) // nobody tells when what lingers is done
		over := false
		select {
		case <-o.all:
		case <-again.C:
		case <-late.C:
			over = true
		}
		again.Stop()
		o.mu.Lock()
		o.told = over
	}
	o.told = true
	l := o.live
	l.Answer, l.Took = answer, o.since(took)
	if l.Steps == nil {
		l.Steps = []*LiveStep{}
	}
	for _, s := range o.sent {
		if at := s.stamps.Written(); at > 0 {
			s.Written = o.since(at)
		}
	}
	return &l
}

// lingersNow reports whether something goes on behind an answer that the client has had.
func (s *session) lingersNow() bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	return len(s.calls) > 0
}

// probeWaiter waits in the place of a request's Waiter.
type probeWaiter struct {
	o      *probe
	s      *LiveSent
	waiter backend.Waiter
}

// Done implements backend.Waiter.
func (w *probeWaiter) Done(p *backend.Pending) bool {
	o := w.o
	o.mu.Lock()
	if !o.told {
		w.s.Answered = o.since(p.End)
		if p.Err != nil {
			w.s.Error = p.Err.Error()
		} else {
			w.s.Result = firstLine(p.Resp.Raw)
		}
	}
	o.mu.Unlock()
	p.Waiter = w.waiter
	wake := w.waiter.Done(p)
	if !wake { // else when the waiter is awake: it may send more
		w.passed()
	}
	return wake
}

// Wake implements backend.Waiter.
func (w *probeWaiter) Wake() {
	w.waiter.Wake()
	w.passed()
}

// passed notes that the waiter has the answer.
func (w *probeWaiter) passed() {
	o := w.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting--; o.waiting == 0 {
		select {
		case o.all <- struct{}{}:
		default:
		}
	}
}

// firstLine is the first line of an answer, without its end.
func firstLine(raw []byte) string {
	if i := slices.Index(raw, '\r'); i >= 0 {
		raw = raw[:i]
	}
	return string(raw)
}
