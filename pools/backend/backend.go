// Package backend is the seam between pools and what they send to. A backend takes queued protocol bytes and gives
// answers; a leaf over NATS and a memcached server over TCP are the two kinds, in packages below this one.
//
// The way of a request: the caller (a client connection's session) makes a Pending, points it at itself and calls
// Send. The backend copies the request's wire bytes into its queue before Send returns, so the request's own buffer
// is free again at once. Its writer goroutine sends everything queued as one write or frame; its reader goroutine cuts the
// answers, copies each into its Pending and hands it to the Pending's Waiter, exactly once, whatever happens.
package backend

import (
	"errors"
	"fmt"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Backend is one thing that a pool can send to. All methods may be called concurrently.
type Backend interface {
	// Send queues r for the backend and never blocks. p.Done is told exactly once: with an answer, or with
	// p.Err set; possibly before Send returns (a backend that is down). r's bytes are copied before Send returns.
	Send(r *mc.Request, p *Pending)
	// Name is what people see: the label, the leaf's name or host:port.
	Name() string
	// Status is a snapshot for stats and metrics.
	Status() Status
	// Close stops the backend; everything queued or in flight is answered with ErrClosed.
	Close() error
}

// Status is what is known of a backend at one moment.
type Status struct {
	Name, Addr string
	Up         bool   // requests are sent; false while marked bad or not yet connected
	Down       bool   // administratively down: never connects
	Failures   int    // consecutive failures
	Queued     int    // requests queued or in flight
	Oldest     int64  // when the oldest of those was queued, by Now; 0: there is none, or it is not known
	Opened     uint64 // connections opened since the process began
	LastError  string

	Conns     int    // connections it is meant to have
	Bad       int    // those of them that are marked bad; a backend that is Down has none
	MarkedBad uint64 // times one was marked bad since the process began
	Failed    uint64 // times one failed and was opened again at once
	Refused   uint64 // requests refused because too many were queued
}

// Waiter is who waits for a Pending: a session of a client connection.
type Waiter interface {
	// Done takes over p, which is answered now. It must not block and must not call into the backend. It reports
	// whether Wake must be called (false: someone has promised to already).
	Done(p *Pending) bool
	// Wake wakes the waiter. A backend's reader calls it once per waiter after it has handed over everything that
	// one read brought, so that a connection is woken once for many answers.
	Wake()
}

// Runner is a Waiter that can do what Wake wakes somebody for.
type Runner interface {
	Waiter
	// Runs reports whether Run would most likely do it now, and not only call Wake.
	Runs() bool
	// Run is called in place of Wake, by a goroutine that holds no lock. What it runs may send to any backend, call scripts, and wait for locks
	// whose holders wait for no answer. Before it waits for anything else it calls leave, once: by when that returns another goroutine
	// has taken over what the caller was at.
	Run(leave func())
}

// Gatherer is a Waiter that sends many requests in a row, which a backend had better write together.
type Gatherer interface {
	// Gather is told of a writer that has been idle and now has something to write. True: its Kick will be called when the
	// rest is queued, too. It is called by Send, by the sender's goroutine alone (see Pending.Late), and must not block.
	Gather(Kicker) bool
}

// Kicker is a writer that waits to be told to begin.
type Kicker interface{ Kick() }

// Pending is one request on its way to one backend.
type Pending struct {
	// Set by the caller before Send.
	Waiter Waiter
	Lane   uint32 // the client connection's number: keeps one client's requests in order at a leaf
	Start  int64  // monotonic nanoseconds when the request was queued (see Now)
	Tag    int    // the caller's own note
	Order  uint64 // another: which was sent first
	Data   any    // the caller's own note; must be a pointer kind so that setting it does not allocate

	Stamps *Stamps // nil: nobody watches this request

	// Set by the pool.
	Latency *stat.Histogram // where the waiter counts End - Start; nil: nowhere
	Term    *Term           // the membership by which it was placed; nil: of a pool that has no epochs
	Mode    uint8           // how a leaf is to take it: see package frame. 0: as it is
	Late    bool            // it has waited in the pool, and who sends it is not who gathers
	Tries   uint8           // how often it was placed anew because its leaf knew a newer membership

	// Set by the backend before Done.
	Resp    mc.Response // valid when Err is nil; Raw lies in Buf
	Err     error       // one of the sentinels below, possibly wrapped
	End     int64       // monotonic nanoseconds when the answer was read
	Backend Backend     // who was asked
	Buf     []byte      // the answer's bytes; owned by the Pending, reused

	block *Block // where Buf lies, if it is a large answer; small is what Buf was before
	small []byte

	Note uint64   // the backend's own note while it has the Pending
	Next *Pending // for the list of whoever holds it (a backend's queue, then the waiter's inbox)
}

// Why a request was not answered. Every error in Pending.Err is one of these (errors.Is).
var (
	ErrTimeout      = errors.New("backend timed out")
	ErrDown         = errors.New("backend is marked bad")
	ErrDisconnected = errors.New("backend disconnected")
	ErrProtocol     = errors.New("backend broke the protocol")
	ErrOverloaded   = errors.New("backend queue is full")
	ErrNoBackend    = errors.New("pool has no backend")
	ErrClosed       = errors.New("backend is closed")
	ErrRefused      = errors.New("backend refused the request")
)

// What discovered pools say of requests that they could not place.
var (
	ErrFence    = fmt.Errorf("the key's previous owner cannot be reached and may still serve other proxies: %w", ErrDown)
	ErrOutdated = fmt.Errorf("leaf knows a newer membership of its pool: %w", ErrRefused)
)

// maxKeep is the largest answer buffer a pooled Pending keeps.
const maxKeep = 64 << 10

var pendings = sync.Pool{New: func() any { return new(Pending) }}

// NewPending gives a blank Pending. Whoever holds it last calls Release.
func NewPending() *Pending { return pendings.Get().(*Pending) }

// Release blanks p and gives it back. Nothing may use p, p.Resp or p.Buf afterwards.
func (p *Pending) Release() {
	buf := p.Buf[:0]
	if p.small != nil {
		buf = p.small
	}
	if p.block != nil {
		p.block.Release()
	}
	if cap(buf) > maxKeep {
		buf = nil
	}
	*p = Pending{Buf: buf}
	pendings.Put(p)
}
