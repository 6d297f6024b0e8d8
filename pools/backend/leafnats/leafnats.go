// Package leafnats is the backend that reaches a leaf over NATS, in frames: messages that carry many pipelined commands, or
// their answers.
//
// Who calls it: the pools registry makes a Backend per leaf; pools call Send for every request. Send puts the request's bytes
// into the pending frame of its lane. One writer goroutine yields once, takes everything queued since its last turn and
// publishes one frame per lane (writer.go). Who reads the connection cuts the answers and hands them over (reader.go); unless there is
// TLS, neither way is nats.go's (wire.go). The keeper goroutine fails what is past its deadline and judges by hello whether the leaf is there (keeper.go). Backends that
// reach their leaves through the same server share a NATS connection (conns.go).
//
// Concurrency: everything that changes is guarded by Backend.mu, which is never held while NATS or a Waiter is called. A flight
// (flight.go) is answered by whoever took it out of Backend.flights or a queue: so each Pending is handed over exactly once.
//
// Who owns which bytes: Send copies the request into the lane's buffer. A Pending belongs to the Backend from Send until
// Waiter.Done; its answer is copied from the NATS message into the Pending's own Buf.
//
// No answer reaches another request: answers are matched by a frame id that is never used twice and are taken only from
// the leaf's present instance; those of frames that have been given up are dropped. A frame names the instance it is meant for, so what
// was under way when a leaf was restarted is never executed by its successor.
package leafnats

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Why requests fail, beyond the sentinels of package backend; made once because they are used in thousands.
var (
	errDraining   = fmt.Errorf("leaf is stopping: %w", backend.ErrDown)
	errRestarted  = fmt.Errorf("leaf was restarted: %w", backend.ErrDisconnected)
	errBadAnswer  = fmt.Errorf("answer that cannot be read: %w", backend.ErrProtocol)
	errShort      = fmt.Errorf("fewer answers than requests: %w", backend.ErrProtocol)
	errSilent     = fmt.Errorf("leaf does not answer hello: %w", backend.ErrTimeout)
	errReasons    = reasons()
	errUnknownWhy = fmt.Errorf("frame refused: %w", backend.ErrRefused)
)

// reasons is what each refusal means for the requests of the frame. Nothing of them was executed.
func reasons() map[frame.Reason]error {
	m := map[frame.Reason]error{}
	for why, as := range map[frame.Reason]error{
		frame.ReasonInstance:   backend.ErrRefused,
		frame.ReasonEpoch:      backend.ErrRefused,
		frame.ReasonVersion:    backend.ErrRefused,
		frame.ReasonTooLarge:   backend.ErrRefused,
		frame.ReasonExpired:    backend.ErrTimeout,
		frame.ReasonFormat:     backend.ErrProtocol,
		frame.ReasonOverloaded: backend.ErrOverloaded,
	} {
		m[why] = fmt.Errorf("frame refused (%v): %w", why, as)
	}
	return m
}

// Backend is a leaf, seen from the proxy.
type Backend struct {
	o      Options
	conn   *conn // nil if Options.Down
	health *backend.Health

	wake chan struct{} // one token: the writer has something to do
	quit chan struct{}
	done sync.WaitGroup // writer, keeper
	once sync.Once

	mu      sync.Mutex
	idle    sync.Cond // the reader has put down what it held; with mu
	closed  bool
	nc      *nats.Conn // nil while disconnected
	ups     uint64     // how often it came up: nc is the same over many sockets
	sess    *session   // nil until the reply subject is subscribed
	retired []*session // to be unsubscribed by the writer

	noSession bool // there is a connection, but it is of no use

	leaf string // its name, from the address or from the server at hand; "" while neither has said it

	up      bool  // the leaf serves; only then frames are sent
	hopeful bool  // never judged yet: requests wait for the first hello instead of failing
	early   early // where they wait

	lanes   []lane
	queued  int           // lanes that hold something
	cut     []*flight     // made before the writer's turn, because what came next was placed by another membership
	term    *backend.Term // the newest by which anything was placed; nil: none
	flights map[uint64]*flight
	byTime  flightList // the same, by deadline
	nextID  uint64
	free    *flight
	spare   [][]byte
	reading int // handings over that readers are at
	runs    backend.Runs
	loose   []*flight // taken out for the moment, of those with a term, and not done: follow.go

	count, bytes int   // of requests, queued or in flight
	judged       int64 // when a timeout last counted as a failure; what was queued before is the same outage's
	refusal      int64 // when it was last told that the leaf refuses frames

	timer    *time.Timer // the keeper's
	armed    bool        // while anything is queued or in flight
	armedFor int64       // when that was queued which the timer waits for

	helloDue bool
	greeted  int64 // when the keeper last had it greeted
	asked    int64 // when hello was last said because of a hint
	excused  int64 // when it was last good again before its time
	welcome  bool  // it is to be good again, whatever was before, as soon as it answers hello
	ackDue   bool

	opened, refused, markedBad uint64

	fenced atomic.Uint64 // the highest epoch that the leaf's present instance has told; written with mu
}

var _ backend.Backend = (*Backend)(nil)

// New gives a Backend that connects in the background.
func New(o Options) (*Backend, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backend{
		o:       o,
		health:  backend.NewHealth(o.Health),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		hopeful: true,
		leaf:    o.LeafName,
		flights: map[uint64]*flight{},
		timer:   time.NewTimer(time.Hour),
	}
	b.idle.L = &b.mu
	if o.Down {
		b.hopeful = false
		return b, nil
	}
	b.conn = o.Conns.get(b)
	b.runs.Start()
	b.done.Go(b.write)
	b.done.Go(b.keep)
	b.conn.join(b)
	return b, nil
}

// Send implements backend.Backend.
func (b *Backend) Send(r *mc.Request, p *backend.Pending) {
	p.Backend = b
	b.mu.Lock()
	err := b.admitLocked()
	if err != nil {
		b.mu.Unlock()
		backend.Refuse(p, err)
		return
	}
	if !b.up {
		b.bytes += b.early.push(r, p)
		b.count++
		b.armLocked(b.early.oldest)
		b.mu.Unlock()
		return
	}
	first := b.enqueueLocked(int(p.Lane%uint32(len(b.lanes))), p, r)
	b.count++
	b.mu.Unlock()
	if first {
		b.wakeWriter()
	}
}

// admitLocked says why a request cannot be taken; nil if it can.
func (b *Backend) admitLocked() error {
	switch {
	case b.closed:
		return backend.ErrClosed
	case !b.up && !b.hopeful, !b.health.Allow():
		return backend.ErrDown
	case b.count >= b.o.QueueLimit || b.bytes >= b.o.MaxInFlight:
		b.refused++
		return backend.ErrOverloaded
	}
	return nil
}

// enqueueLocked adds a request to a lane's frame. It reports whether the writer must be woken.
func (b *Backend) enqueueLocked(i int, p *backend.Pending, r *mc.Request) (first bool) {
	ln := &b.lanes[i]
	if ln.term != p.Term {
		b.turnLocked(i, p.Term)
	}
	before := len(ln.buf)
	if p.Mode != 0 {
		ln.buf = append(ln.buf, p.Mode)
	}
	ln.buf = mc.AppendWire(ln.buf, r)
	b.bytes += len(ln.buf) - before
	return b.addLocked(ln, p)
}

func (b *Backend) addLocked(ln *lane, p *backend.Pending) (first bool) {
	if ln.list.Len() == 0 {
		first = b.queued == 0
		b.queued++
		ln.oldest = startOf(p)
		b.armLocked(ln.oldest)
	}
	ln.list.Push(p)
	ln.watched.Add(p)
	return first
}

// startOf is when p was queued.
func startOf(p *backend.Pending) int64 {
	if p.Start == 0 {
		p.Start = backend.Now()
	}
	return p.Start
}

func (b *Backend) wakeWriter() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Name implements backend.Backend.
func (b *Backend) Name() string { return b.o.Label }

// Status implements backend.Backend.
func (b *Backend) Status() backend.Status {
	h := b.health.State()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := backend.Status{
		Name: b.o.Label, Addr: b.addrLocked(),
		Up:       b.up && !h.Bad,
		Down:     b.o.Down,
		Failures: h.Failures,
		Queued:   b.count,
		Oldest:   b.oldestLocked(),
		Opened:   b.opened, Refused: b.refused, MarkedBad: b.markedBad,
	}
	if !b.o.Down {
		s.Conns = 1
		if h.Bad {
			s.Bad = 1
		}
	}
	if h.Err != nil {
		s.LastError = h.Err.Error()
	}
	return s
}

// oldestLocked is when the oldest request was queued that is not answered; 0: there is none.
func (b *Backend) oldestLocked() (oldest int64) {
	note := func(at int64) {
		if oldest == 0 || at < oldest {
			oldest = at
		}
	}
	if f := b.byTime.head; f != nil {
		note(f.deadline - int64(b.o.Timeout))
	}
	for i := range b.lanes {
		if ln := &b.lanes[i]; ln.list.Len() > 0 {
			note(ln.oldest)
		}
	}
	if b.early.list.Len() > 0 {
		note(b.early.oldest)
	}
	return oldest
}

func (b *Backend) addrLocked() string {
	addr := "nats://" + b.o.hostPort()
	if b.o.LeafName != "" {
		addr += "/" + b.o.LeafName
	}
	return addr
}

// Close implements backend.Backend. When it returns, every Pending has been handed over.
func (b *Backend) Close() error {
	b.once.Do(b.close)
	return nil
}

func (b *Backend) close() {
	var all backend.List
	b.mu.Lock()
	b.closed, b.up, b.hopeful = true, false, false
	b.takeAllLocked(&all)
	b.retireLocked()
	b.mu.Unlock()
	failAll(&all, backend.ErrClosed)
	close(b.quit)
	b.wakeWriter()
	if b.conn != nil {
		b.conn.leave(b) // frees the writer, if it hangs
	}
	b.done.Wait()
	b.timer.Stop()
	for _, s := range b.retired { // the writer, which owned it, is gone
		s.unsubscribe()
	}
	b.mu.Lock()
	for b.reading > 0 {
		b.idle.Wait()
	}
	b.mu.Unlock()
	b.runs.Close()
}

// failAll hands everything in l over with err and wakes who waits.
func failAll(l *backend.List, err error) {
	var w backend.Wakes
	w.FailAll(l, err)
	w.Wake()
}
