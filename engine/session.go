// A session: the requests of one client connection, through routes, to pools, and their answers back in order.

package engine

import (
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// session serves one client connection. Only the connection's goroutine uses it, except Done, Wake and Run, which backends'
// readers call, what lingers (see lingering.go), and what goes on elsewhere (see elsewhere.go).
//
// It works a batch at a time: every request is started before any is completed (but see maxSlots), then answers are taken as they come,
// and when all are in they are written in request order. While a batch is under way its requests' bytes lie in the
// connection's read buffer, so nothing is copied but into backends' queues.
type session struct {
	p      *Proxy
	info   server.ConnInfo
	stripe uint32

	// One batch.
	number int // of what is under way of it, in the Tag of its Pendings: an answer to what was before is stale
	g      *generation
	w      *worker
	hooks  *hooks
	began  int64 // when it, or what of it is under way, was begun
	now    int64 // that too, or what the clock said last
	past   bool  // now was before something was waited for
	locked bool  // the worker's lock is held
	spent  int64 // steps that Lua took since it is
	room
	lent     *room              // what room was taken from
	next     cursor             // what of the batch has no slot yet
	first    int                // the request of slots[0], where none is split
	entered  int                // routes, less those that linger
	wordy    int                // bytes of text in slots
	open     int                // slots that are not done
	head     int                // slots before it have been written
	trimReq  mc.Request         // the request being sent, if its key was cut
	trimLine []byte             // its line
	local    []byte             // answers of the local store
	window   mc.Request         // some keys of a get that it is asked for
	broken   error              // why nothing more can be written
	later    backend.List       // answers that have come and are not delivered
	come     []*backend.Pending // empty but within gather
	timer    *time.Timer
	ends     bool           // the connection ends when what came so far has been answered, or
	probe    *probe         // nil: nobody watches what is done
	watcher  *watch.Watcher // it becomes a stream of this watcher's
	queue    luaapi.Queue   // what has happened to calls
	alarms   []*luaapi.Call // that wait until a deadline

	gathering bool             // the batch is being started: writers are to wait for all of it
	writers   []backend.Kicker // those that do

	inbox  atomic.Pointer[backend.Pending] // answered Pendings, last first
	told   atomic.Bool                     // somebody has promised to call Wake
	held   atomic.Int64                    // bytes of answers since the last batch ended, counted in Proxy.held
	closed atomic.Bool
	wakeup chan struct{}
	parked atomic.Bool // it waits for wakeup, and sends nothing meanwhile
	lingering
	elsewhere
	portion
}

// slot is one request on its way: a client's request, or one key of a multiget.
type slot struct {
	req     *mc.Request
	refused *mc.Request // what the client has sent, if its value is too large: req deletes what it was to replace
	route   *luaapi.Route
	call    *luaapi.Call     // while Lua has it
	pending *backend.Pending // the answer, if a backend gave it
	text    string           // else the answer, as a string of a script or of ours
	from    int              // else the answer is local[from:to]
	to      int
	end     int64 // when it was answered
	done    bool
	told    bool // Batch.Each has had it
	begun   bool // some of a local answer, a hit, has been written
	mute    bool // text is not sent
	restore bool // put the client's key back into the answer
	active  bool // counted in worker.active
	part    part
}

// part is a slot's place in a multiget.
type part uint8

const (
	whole part = iota // a request of its own
	piece             // a key of a multiget
	last              // its last key: END follows
)

// The lines that the proxy itself answers, in the words of memcached's proxy.
const (
	lineBackendFailure = "SERVER_ERROR backend failure\r\n"
	lineBadResponse    = "SERVER_ERROR bad response\r\n"
	lineLuaFailure     = "SERVER_ERROR lua failure\r\n"
	lineNoMatch        = "SERVER_ERROR lua start failure\r\n"
	lineNoMemory       = "SERVER_ERROR out of memory\r\n"
	lineActiveLimit    = "SERVER_ERROR active request limit reached\r\n"
	lineNoKey          = "CLIENT_ERROR nothing is left of the key behind its prefix\r\n"
	lineNotAllowed     = "SERVER_ERROR not allowed\r\n"
)

// flushEarly is how long answers that are ready wait for slower ones of their batch before they are written.
const flushEarly = time.Millisecond

// flushSize is how many bytes of answers are gathered before they are written.
const flushSize = 64 << 10

// Open makes the session of a new connection; it implements server.Handler.
func (p *Proxy) Open(info server.ConnInfo) server.Session {
	s := &session{p: p, info: info, stripe: uint32(info.ID), wakeup: make(chan struct{}, 1)}
	p.sessions.add(s)
	p.connOpened(info)
	return s
}

// Close implements server.Session.
func (s *session) Close() {
	s.closed.Store(true)
	defer s.part()
	s.turn.Lock() // what lingers may be at work
	defer s.turn.Unlock()
	s.gathered()
	if s.g != nil {
		s.abort()
	}
	s.letGo()
}

// Rules implements server.Session.
func (s *session) Rules() mc.Rules {
	return mc.Rules{Routed: s.p.current.Load().hooked(s.info.Tag), Strict: s.p.opts.Memcached != nil, MaxValue: s.p.opts.MaxItem}
}

// Lane implements luaapi.Caller.
func (s *session) Lane() uint32 { return s.stripe }

// Now implements luaapi.Caller. The clock is read once for what is sent without a wait between.
func (s *session) Now() int64 {
	if s.past {
		s.reads()
	}
	return s.now
}

// reads reads the clock.
func (s *session) reads() { s.now, s.past = s.p.now(), false }

// Serve implements server.Session.
func (s *session) Serve(b *server.Batch) error {
	closing, err := s.batch(b)
	return s.result(closing, err)
}

// result is what Serve returns.
func (s *session) result(closing bool, err error) error {
	switch {
	case s.watcher != nil:
		return s.streams(err)
	case err == nil && closing:
		return server.ErrClose
	}
	return err
}

// batch serves one batch. It reports whether the connection closes after it.
func (s *session) batch(b *server.Batch) (closing bool, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.enter()
	for s.next.req < len(b.Reqs) && !closing && err == nil {
		closing, err = s.some(b)
	}
	s.finish()
	return closing, err
}

// enter begins a batch.
func (s *session) enter() {
	s.g = s.p.acquire()
	s.w = s.g.worker(s.info.ID)
	s.hooks = s.w.hooksFor(s.info.Tag)
	s.takeRoom()
	s.reads()
	s.began = s.now
	if s.probe != nil {
		s.probe.begin()
	}
	if s.away.Load() {
		s.away.Store(false) // from here on Wake is for the batch
		if s.told.Load() || len(s.calls) > 0 {
			s.tend()
		}
	}
	s.next = cursor{}
}

// some serves as much of the batch as may be under way at once.
func (s *session) some(b *server.Batch) (closing bool, err error) {
	if s.next != (cursor{}) { // what the batch begins with begins when it does
		s.reads()
		s.began = s.now
	}
	closing, err = s.begins(b)
	return closing, s.complete(b, err)
}

// begins starts what may be under way at once.
func (s *session) begins(b *server.Batch) (closing bool, err error) {
	closing, err = s.start(b)
	s.runQueue()
	s.unlock()
	s.gathered()
	return closing, err
}

// complete has what was started answered, unless there is an error.
func (s *session) complete(b *server.Batch, err error) error {
	for s.open > 0 && err == nil {
		if err = s.wait(b); err == nil {
			s.take()
		}
	}
	if err == nil {
		err = s.write(b, len(s.slots))
	}
	s.clear()
	return err
}

// start starts every request that has a slot, in order. It reports whether the connection closes after the answers.
func (s *session) start(b *server.Batch) (closing bool, err error) {
	s.layOut(b)
	s.gathering = len(s.slots) > 1
	room := s.p.enter(len(s.slots))
	for i := range s.slots {
		sl := &s.slots[i]
		switch {
		case sl.req.Bad == mc.BadTooLarge && (s.hooks == nil || s.hooks[sl.req.Cmd] == nil), sl.req.Bad == mc.BadCommand && s.hooks == nil:
			s.route(b, i, sl) // the local store drops what the value was to replace, and may know words that the parser does not
		case sl.req.Bad == mc.BadTooLarge && i < room && s.drops(sl):
			s.route(b, i, sl)
		case sl.req.Bad != mc.BadNone:
			from := len(s.local)
			s.local = mc.AnswerBad(s.local, sl.req, &b.Rules)
			s.answerLocal(sl, from)
			closing = closing || sl.req.Bad.Closes()
		case sl.req.Cmd == mc.CmdQuit:
			sl.done = true
			closing = true
		case i >= room:
			s.answer(sl, lineActiveLimit)
		case s.hopeless(b, sl.req):
			s.answer(sl, lineNoMemory)
		default:
			s.route(b, i, sl)
			closing = s.ends
		}
		if err = s.unload(b, i); closing || err != nil {
			s.forget(i + 1)
			break
		}
	}
	return closing, err
}

// forget drops the slots from i on: what follows a request that closes the connection is not looked at.
func (s *session) forget(i int) {
	s.p.leave(len(s.slots) - i)
	s.open = 0
	s.slots = s.slots[:i]
	for j := range s.slots {
		if !s.slots[j].done {
			s.open++
		}
	}
}

// route sends one request on its way.
func (s *session) route(b *server.Batch, i int, sl *slot) {
	r := sl.req
	r.Client = int32(s.info.FD)
	var route *luaapi.Route
	if s.hooks != nil {
		route = s.hooks[r.Cmd]
	}
	if route == nil {
		s.unrouted(b, i, sl)
		return
	}
	s.p.stats.hook(s.stripe, r.Cmd)
	if s.g.limits != (limits{}) && !s.admit(sl) {
		s.p.stats.leave(s.stripe, 1)
		return
	}
	s.entered++
	trim := 0
	if route.Router != nil {
		if route, trim = route.Router.Find(r.Cmd, r.Key); route == nil {
			s.answer(sl, lineNoMatch)
			return
		}
	}
	if route.Pool != nil && len(r.Key) == 0 { // no pool can place it
		s.unrouted(b, i, sl)
		return
	}
	sl.route = route
	if route.Pool != nil && trim == 0 {
		s.send(i, route.Pool, r)
		return
	}
	if trim > 0 && trim >= len(r.Key) {
		s.answer(sl, lineNoKey)
		return
	}
	if route.Pool != nil {
		sl.restore = true
		s.send(i, route.Pool, s.trimmed(r, trim))
		return
	}
	s.begin(i, sl, trim)
}

// trimmed is r with the first n bytes of its key blanked. It is valid until the next call: a pool copies what it sends.
func (s *session) trimmed(r *mc.Request, n int) *mc.Request {
	var err error
	s.trimReq = *r
	if s.trimLine, err = s.trimReq.TrimKeyLeft(s.trimLine[:0], n); err != nil {
		return nil
	}
	return &s.trimReq
}

// send sends r straight to a pool.
func (s *session) send(i int, pool luaapi.Target, r *mc.Request) {
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start = s, s.stripe, s.Now()
	p.Tag = s.number<<32 | i
	if s.probe != nil {
		s.probe.sends(nil, pool, r, p)
	}
	pool.Send(r, p)
}

// answer answers a slot with a fixed line.
func (s *session) answer(sl *slot, text string) {
	sl.text = text
	s.wordy += len(text)
	s.close(sl, s.Now())
}

// answerLocal answers a slot with what was appended to s.local.
func (s *session) answerLocal(sl *slot, from int) {
	sl.from, sl.to = from, len(s.local)
	s.close(sl, s.Now())
}

// answered answers a slot with a backend's answer.
func (s *session) answered(sl *slot, p *backend.Pending) {
	if s.p.trace != nil {
		s.p.trace.answered(p)
	}
	if s.probe != nil {
		s.probe.answered(p)
	}
	sl.pending = p
	s.close(sl, p.End)
}

func (s *session) close(sl *slot, end int64) {
	sl.done, sl.end = true, end
	s.open--
	if sl.active {
		sl.active = false
		s.w.active.Add(-1)
	}
}

func (s *session) lock() {
	if !s.locked {
		s.w.state.Lock()
		s.locked, s.spent = true, 0
	}
}

func (s *session) unlock() {
	if s.locked {
		s.locked = false
		s.w.state.Unlock()
	}
}

// clear gives everything back that has a slot.
func (s *session) clear() {
	s.p.leave(len(s.slots))
	s.learn(len(s.slots), s.held.Load())
	s.letGo()
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.call != nil { // the client has gone while its request was under way
			s.drop(sl)
		}
		if sl.pending != nil {
			sl.pending.Release()
		}
		if sl.active {
			s.w.active.Add(-1)
		}
		*sl = slot{}
	}
	s.runQueue()
	s.unlock()
	s.slots = s.slots[:0]
	s.number++ // what comes late for them meets none
	if s.entered > 0 {
		s.p.stats.leave(s.stripe, s.entered)
		s.entered = 0
	}
}

// abort ends a batch that has panicked. It may do so again.
func (s *session) abort() {
	defer s.finish()
	s.settle()
	defer func() { s.room = room{} }() // who panicked may still hold what is in it
	s.clear()
}

// finish gives back what the batch had.
func (s *session) finish() {
	s.giveRoom()
	if cap(s.local) > flushSize {
		s.local = nil
	}
	g := s.g
	s.g, s.w, s.hooks = nil, nil, nil
	g.release()
	if s.loose {
		s.linger()
	} else {
		s.disarm()
	}
}
