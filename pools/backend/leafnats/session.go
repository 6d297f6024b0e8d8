// Sessions: a reply subject and what is known of the leaf that answers to it.

package leafnats

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// session is a backend's use of one connection, from when it comes up to when it is lost: a reply subject that was never
// used before, so that nothing of an earlier connection comes to it.
type session struct {
	b          *Backend
	name       string // of the leaf
	inbox      string
	maxPayload int // of the server at hand
	sub        *nats.Subscription
	wire       *wire         // where answers are taken off; nil: nats.go has them
	wakes      backend.Wakes // the reader's

	// Guarded by Backend.mu.
	route   *route // nil until the first hello
	heard   int64  // when hello was last answered, or the session began
	unheard int64  // when the first hello was said of those that have not been answered; 0: all were
	stops   bool   // the leaf has said that it drains

	received atomic.Uint64 // bytes of answers from the present instance; written by the reader
	ackSent  atomic.Uint64 // of them, what the leaf has been told of
	ackEvery atomic.Uint64 // so many are acknowledged without waiting for a frame to go with; set with each hello

	// The writer's.
	told    []*backend.Term // by lane: what the leaf knows to be the membership of the frames to come
	toldFor *route          // whom
}

// route is how frames get to one instance of a leaf. It does not change.
type route struct {
	instance   uint64
	lanes      []string // subjects
	maxPayload int
}

// subscribe makes the reply subject. nats.go drops nothing of what comes to it: the window bounds how much that is.
func (s *session) subscribe(nc *nats.Conn) error {
	if !validName(s.name) {
		return fmt.Errorf("NATS server %q is not a leaf (the address wants /NAME at its end to say which leaf is meant): %w", s.name, backend.ErrProtocol)
	}
	if s.maxPayload < minPayload {
		return fmt.Errorf("NATS server allows messages of %d bytes, want at least %d: %w",
			s.maxPayload, minPayload, backend.ErrProtocol)
	}
	sub, err := nc.Subscribe(s.inbox, s.receive)
	if err == nil {
		s.sub = sub
		err = sub.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return fmt.Errorf("cannot subscribe (%v): %w", err, backend.ErrDisconnected)
	}
	if s.wire != nil { // nobody knows the subject yet
		s.wire.take(s.inbox, s.read)
	}
	return nil
}

// receive is the subscription's callback. What has headers comes here in any case: "no responders", without data. Of the rest nothing does before the
// wire has handed over its last.
func (s *session) receive(m *nats.Msg) {
	if s.wire == nil || !s.wire.plain.Load() || len(m.Data) == 0 {
		s.read(m.Data)
	}
}

// ackNow gives the bytes to acknowledge, which the caller is about to send.
func (s *session) ackNow() uint64 {
	n := s.received.Load()
	s.ackSent.Store(n)
	return n
}

// retireLocked ends the present session; the writer unsubscribes it.
func (b *Backend) retireLocked() {
	if b.sess != nil {
		b.retired = append(b.retired, b.sess)
		b.sess = nil
	}
}

// unsubscribe gets rid of an old session's subscription. Only the writer calls it, or Close after it.
func (s *session) unsubscribe() {
	if s.wire != nil {
		s.wire.forget(s.inbox)
	}
	if s.sub != nil {
		_ = s.sub.Unsubscribe() // if it fails, the connection is closed and it is gone
	}
}

// connected: a connection is there. Called by conn.
func (b *Backend) connected(nc *nats.Conn) {
	b.mu.Lock()
	b.nc, b.noSession = nc, false
	b.ups++
	b.retireLocked()
	b.mu.Unlock()
	b.wakeWriter()
}

// disconnected: it is gone, and with it whatever was under way. Called by conn.
func (b *Backend) disconnected(cause error) {
	err := backend.ErrDisconnected
	if cause != nil {
		err = fmt.Errorf("%w (%v)", backend.ErrDisconnected, cause)
	}
	b.lose(backend.EventDisconnected, err, func() { b.nc = nil; b.retireLocked() })
}

// connectFailed: an attempt to connect did not succeed. Called by conn.
func (b *Backend) connectFailed(cause error) {
	b.lose(backend.EventConnecting, fmt.Errorf("cannot connect (%v): %w", cause, backend.ErrDisconnected), func() {})
}

// lose fails everything and counts a failure. change is called with b.mu held.
func (b *Backend) lose(kind backend.EventKind, err error, change func()) {
	var out backend.List
	b.mu.Lock()
	news := b.up || b.hopeful
	b.up, b.hopeful = false, false
	b.takeAllLocked(&out)
	change()
	b.mu.Unlock()
	depth := out.Len()
	failAll(&out, err)
	b.failure(kind, err, depth, news)
	b.wakeWriter()
}

// failed counts a failure that leaves the connection as it is.
func (b *Backend) failed(kind backend.EventKind, err error, depth int) {
	b.failure(kind, err, depth, b.health.Allow())
}

// failure counts a failure, tells of it if it is news, and says so if it was one too many.
func (b *Backend) failure(kind backend.EventKind, err error, depth int, news bool) {
	bad := b.health.Failure(err)
	if news {
		b.tell(backend.Event{Kind: kind, Depth: depth, Err: err})
	}
	if !bad {
		return
	}
	b.mu.Lock()
	b.markedBad++
	b.helloDue = b.sess != nil // whether it is all of it that is silent is to be known soon
	b.mu.Unlock()
	b.wakeWriter()
	h := b.health.State()
	kind = backend.EventMarkedBad
	if h.Flapping {
		kind = backend.EventMarkedBadFlap
	}
	b.tell(backend.Event{Kind: kind, Retry: h.Wait, Err: err})
}

// tell tells whoever listens, and says who is meant.
func (b *Backend) tell(e backend.Event) {
	b.mu.Lock()
	e.Leaf = b.leaf
	b.mu.Unlock()
	e.Name, e.Label = b.o.hostPort(), b.o.Label
	b.o.OnEvent(e)
}

// hello handles a reply to hello: the truth about whether the leaf is there, and which.
func (s *session) hello(data []byte) {
	var r frame.HelloReply
	if err := json.Unmarshal(data, &r); err != nil {
		s.b.o.Log.Warn("leaf: unreadable hello", "backend", s.b.o.Label, "err", err)
		return
	}
	if err := s.judge(&r); err != nil {
		s.b.lose(backend.EventBadValidate, err, func() { s.heard, s.unheard = backend.Now(), 0 })
		return
	}
	s.b.hear(s, &r)
}

// judge says what makes the leaf unusable.
func (s *session) judge(r *frame.HelloReply) error {
	switch {
	case !slices.Contains(r.Versions, frame.Version):
		return fmt.Errorf("leaf speaks frame versions %v, not %d: %w", r.Versions, frame.Version, backend.ErrProtocol)
	case r.Name != s.name, r.Lanes < 1, r.Lanes > maxLanes, r.MaxPayload < minPayload:
		return fmt.Errorf("leaf says an impossible hello (%+v): %w", *r, backend.ErrProtocol)
	}
	return nil
}

// maxLanes bounds what a hello can make us allocate.
const maxLanes = 1024

// hear takes note of a good hello.
func (b *Backend) hear(s *session, r *frame.HelloReply) {
	var out backend.List
	b.mu.Lock()
	if b.sess != s || b.closed {
		b.mu.Unlock()
		return
	}
	b.reading++
	now := backend.Now()
	hung := s.unheard != 0 && now-s.unheard > int64(b.o.Timeout)
	s.heard, s.unheard = now, 0
	fresh := s.route == nil || s.route.instance != r.Instance
	restarted := fresh && s.route != nil
	if fresh {
		if s.route == nil {
			b.opened++
		}
		b.takeFlightsLocked(&out) // they were meant for the one before
		b.adoptLocked(s, r, &out)
	}
	b.fenceLocked(r.Epoch)
	lost := s.settle(r.Sent)
	wasUp := b.up && b.health.Allow()
	b.up = r.State == frame.StateServing && (wasUp || b.forgivenLocked(now, fresh, hung))
	came := b.up && !wasUp
	if b.up {
		b.hopeful, b.welcome = false, false
		b.dealEarlyLocked()
	} else if wasUp || r.State == frame.StateDraining {
		b.hopeful = false
		b.dropEarlyLocked(&out)
	}
	stops := r.State == frame.StateDraining && !s.stops
	s.stops = r.State == frame.StateDraining
	// So that it knows that requests come from now on, or none any more: it may wait for that.
	b.helloDue = b.helloDue || came || stops
	work := b.queued > 0 || came || stops
	b.mu.Unlock()
	if restarted {
		failAll(&out, errRestarted)
	}
	failAll(&out, errDraining)
	b.handed()
	if work {
		b.wakeWriter()
	}
	b.tellHeard(r, came, wasUp && !came && r.State != frame.StateServing, restarted, lost)
}

func (b *Backend) tellHeard(r *frame.HelloReply, came, stops, restarted bool, lost uint64) {
	log := b.o.Log.With("backend", b.o.Label, "leaf", r.Name, "instance", r.Instance)
	if lost > 0 {
		log.Warn("leaf: answers were lost on the way", "bytes", lost)
	}
	if restarted {
		log.Warn("leaf: was restarted")
	}
	if came {
		log.Info("leaf: up")
		b.tell(backend.Event{Kind: backend.EventConnected})
	}
	if stops {
		log.Info("leaf: is stopping")
		b.tell(backend.Event{Kind: backend.EventDisconnected, Err: errDraining})
	}
}

// forgivenLocked reports whether a hello makes a backend good that is down. Of one that was marked bad, only what is news counts before its time, and not
// while it flaps: a new connection, a new instance, that it is welcome, or that a leaf goes on which had hung, as it had if hello was not answered for longer
// than requests are waited for. One that says hello all the time and lets requests time out would let the next ones, too. So that one which is slow at both is
// not sent requests again and again, a hang that follows the last by less than a HelloInterval is no news.
func (b *Backend) forgivenLocked(now int64, fresh, hung bool) bool {
	if h := b.health.State(); h.Bad && time.Now().Before(h.Probe) {
		again := b.excused != 0 && now-b.excused < int64(b.o.HelloInterval)
		if h.Flapping || !fresh && !b.welcome && (!hung || again) {
			return false
		}
		b.excused = now
	}
	b.health.Greeted()
	return true
}

// adoptLocked makes r's leaf the one that frames are sent to.
func (b *Backend) adoptLocked(s *session, r *frame.HelloReply, out *backend.List) {
	rt := &route{instance: r.Instance, maxPayload: min(s.maxPayload, r.MaxPayload), lanes: make([]string, r.Lanes)}
	for i := range rt.lanes {
		rt.lanes[i] = frame.LaneSubject(s.name, i)
	}
	s.route = rt
	s.received.Store(0)
	s.ackSent.Store(0)
	b.fenced.Store(0)
	if len(b.lanes) == r.Lanes {
		return // what is queued has not been sent to anyone
	}
	for i := range b.lanes {
		b.dropLaneLocked(&b.lanes[i], out)
	}
	b.lanes = make([]lane, r.Lanes)
	for i := range b.lanes {
		b.lanes[i].buf = b.bufLocked()
	}
}

// dealEarlyLocked puts the requests that waited for the first hello where they belong.
func (b *Backend) dealEarlyLocked() {
	from := 0
	for i := 0; b.early.list.Len() > 0; i++ {
		p := b.early.list.Pop()
		at := int(p.Lane % uint32(len(b.lanes)))
		ln := &b.lanes[at]
		if ln.term != p.Term {
			b.turnLocked(at, p.Term)
		}
		ln.buf = append(ln.buf, b.early.buf[from:b.early.ends[i]]...)
		from = b.early.ends[i]
		b.addLocked(ln, p)
	}
	tellAll(&b.early.follow)
	b.early = early{}
}

// settle compares what the leaf had sent when it said hello with what has come. Both travel in order: what is missing is
// lost, and is counted as received so that it does not fill the window for ever. If more has come, the leaf has forgotten this proxy meanwhile, which was
// silent for long, and counts anew: to acknowledge more than it has sent would acknowledge nothing.
func (s *session) settle(sent uint64) (lost uint64) {
	got := s.received.Load()
	if sent < got {
		s.ackSent.Store(0)
	}
	s.received.Store(sent)
	return max(sent, got) - got
}
