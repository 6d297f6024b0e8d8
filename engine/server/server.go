// The server: its options, its contract with the engine, its life.

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// Handler opens a session for each accepted connection. Open is called by the connection's own goroutine, so that a slow
// one delays no other client.
type Handler interface {
	Open(ConnInfo) Session
}

// Session answers the requests of one connection. Its methods are called one at a time, by the connection's goroutine.
type Session interface {
	// Rules is asked before each batch; what it returns holds for the whole batch and is found again in Batch.Rules.
	Rules() mc.Rules
	// Serve runs every request of b in order and appends the answers, in the same order, to b.Out. Requests that could not
	// be parsed are among them (Bad set): they are answered with mc.AnswerBad. ErrClose: b.Out is written, then
	// the connection is closed. *Stream: b.Out is written, then the connection is its. Any other error closes it at once, for the log's eyes only. So does a panic: b.Out is
	// thrown away, because it may end in half an answer or in somebody else's; to the client its requests are lost with
	// their connection, as if the network had failed.
	Serve(b *Batch) error
	// Close is called once, after the last Serve, when the connection has ended for whatever reason.
	Close()
}

// Async is a Session that can serve a batch while the connection's goroutine waits for the client already. That spares a
// switch between goroutines for each request: the answer is written by whoever brings what it waited for. Its methods are
// called one at a time, too, but Begin and Complete by the connection's goroutine and Onward by Home.GoOn.
type Async interface {
	Session
	// Begin does what Serve does, or as much of it as can be done at once: waits tells that it is not done. The session has home.GoOn called when
	// it can go on, which may be before Begin returns. Until done the batch and the bytes of its requests stay as they are. leave, if it is not nil,
	// is called before anything is waited for in Begin.
	Begin(b *Batch, home Home, leave func()) (waits bool, err error)
	// Onward goes on with a batch that waits. With Done, err is what Serve would have returned.
	Onward(b *Batch) (how Outcome, err error)
	// Complete does what is Left of a batch, in the connection's goroutine, which may wait for the client. The error is what Serve would have returned.
	Complete(b *Batch) error
}

// Outcome is how far a batch has come.
type Outcome uint8

// From none to all of it.
const (
	Waits Outcome = iota // GoOn will be called again
	Left                 // all is answered, but that is so much that the goroutine is to write it
	Done
)

// Home is a connection of whose batch the rest is served elsewhere than in its goroutine.
type Home interface {
	// GoOn calls Onward, in the caller's goroutine. It does not wait for the client, and does not panic.
	GoOn()
}

// ConnInfo describes an accepted connection.
type ConnInfo struct {
	ID      uint64 // connection number, unique in this server, from 1
	Tag     string // the listener's tag; "" for none
	Network string // "tcp" or "unix"
	Local   string // the listener's address
	Remote  string // the client's address; "unix" for a unix socket
	FD      int    // the socket's file descriptor, for stats only
}

// Reason is why a connection ended, in the words of memcached's logs.
type Reason string

// The reasons.
const (
	ReasonNormal   Reason = "normal"       // the client has gone, or said quit
	ReasonError    Reason = "error"        // it broke the protocol, or took too long
	ReasonIdle     Reason = "idle_timeout" // it said nothing for IdleTimeout
	ReasonShutdown Reason = "shutdown"     // the server stops
)

// ErrClose is returned by Session.Serve to close the connection after Out has been written.
var ErrClose = errors.New("close the connection")

// ErrCut is wrapped by the error of Shutdown when its context ended before every connection had.
var ErrCut = errors.New("connections were cut")

// Options of a Server. Only Handler must be set.
type Options struct {
	Handler Handler
	// MaxConns refuses further connections while this many are open. 0: no limit.
	MaxConns int
	// MaxConnBuffer is how many bytes one connection may buffer for a request that has not arrived whole: a larger
	// one is refused with an error line. The smallest buffer, 16 KiB, is always allowed. 0: whatever the item limit of
	// Session.Rules asks for.
	MaxConnBuffer int
	// MaxBuffered is how many bytes may be buffered in all, in buffers larger than the smallest (16 KiB) and in answers
	// that clients do not take. 0: 512 MiB. When it is used up, see Relieve.
	MaxBuffered int64
	// Held is how many bytes others hold, who look themselves whether MaxBuffered has room for them beside Buffered; see Full. nil: none.
	Held func() int64
	// MaxBatch is how many requests are given to Serve at once. 0: 64.
	MaxBatch int
	// MaxLine is the longest command line in bytes; a longer one closes the connection. 0: 1 MiB (long multigets are real).
	MaxLine int
	// IdleTimeout closes connections that have sent and taken nothing for so long (to the second); the time in which
	// a session works for them does not count. 0: none.
	IdleTimeout time.Duration
	// RequestTimeout closes connections that began a request and have not finished it after so long (to the second), so
	// that slow uploads cannot use up MaxBuffered. 0: one minute; negative: none.
	RequestTimeout time.Duration
	// WriteTimeout cuts a client that for so long has not taken the answers that wait, or 256 KiB of them. 0: one minute; negative: none.
	WriteTimeout time.Duration
	// Linger is how long the server waits, after its last answer, for the client to close first, so that a reset does
	// not destroy answers under way. 0: one second; negative: none.
	Linger time.Duration
	// UnixMode is the permission of unix sockets. 0: 0700.
	UnixMode os.FileMode
	// Backlog is how many clients the kernel lets wait to be accepted on each listener, at most; its own limit stays. 0: that.
	Backlog int
	// Async is asked once a second, and by busy connections now and then, whether sessions that are Async are to be used so. It is for a process with one processor: with more, the
	// others would have done the work meanwhile. Nil: while GOMAXPROCS is 1.
	Async func() bool
	// AsyncAfter is how many batches of a connection are served in its goroutine before. 0: 8; negative: none.
	AsyncAfter int
	// Loop, if it is not nil and while Async says so, serves connections after their first AsyncAfter batches: see loop.go. The server
	// switches it on and off, and does not close it.
	Loop *sock.Loop
	// Closed is told of the end of every connection that a session was opened for, after Session.Close. Nil: nobody is.
	Closed func(ConnInfo, Reason)
	// Log receives what an operator may want to know. Nil: nothing is logged.
	Log *slog.Logger
}

const (
	defaultMaxBuffered = 512 << 20
	defaultMaxBatch    = 64
	defaultMaxLine     = 1 << 20
	sweepEvery         = time.Second // one tick
	// While the server stops, a client that has sent a part of a request, or has answers to take, and does nothing of either for so long, is let go.
	stalled = 3 * sweepEvery
)

func (o *Options) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		} else if *d < 0 {
			*d = 0
		}
	}
	if o.Async == nil {
		o.Async = func() bool { return runtime.GOMAXPROCS(0) == 1 }
	}
	switch {
	case o.AsyncAfter == 0:
		o.AsyncAfter = trustEdges
	case o.AsyncAfter < 0:
		o.AsyncAfter = 0
	}
	def(&o.RequestTimeout, time.Minute)
	def(&o.WriteTimeout, time.Minute)
	def(&o.Linger, time.Second)
	if o.MaxBuffered == 0 {
		o.MaxBuffered = defaultMaxBuffered
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.UnixMode == 0 {
		o.UnixMode = 0o700
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Server accepts clients. Make one with New, bind with Listen, then Serve.
type Server struct {
	opts    Options
	batches sync.Pool   // *Batch
	buffers bufferPools // read buffers by size

	nextID   atomic.Uint64
	tick     atomic.Int64 // seconds since Serve, counted by the sweeper
	async    atomic.Bool  // Async sessions are used so
	stopping atomic.Bool  // Shutdown or Close was called: finish and close
	pressed  atomic.Int64 // MaxBuffered is used up: for so many ticks there may be somebody to cut
	cut      atomic.Bool  // no more waiting: reads fail, and writes that the socket does not take at once

	mu        sync.Mutex
	listeners []*listener
	conns     map[*conn]struct{}
	serving   bool
	stopped   bool          // nothing may be bound or accepted any more
	stop      chan struct{} // closed when stopping begins
	empty     chan struct{} // closed when stopping and the last connection has gone

	wg      sync.WaitGroup // accept loops, sweeper, connections
	counted counters
}

// New makes a server that listens nowhere yet.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{opts: o, conns: map[*conn]struct{}{}, stop: make(chan struct{}), empty: make(chan struct{})}
	s.batches.New = func() any { return &Batch{Reqs: make([]mc.Request, 0, 8)} }
	s.buffers.limit, s.buffers.others = o.MaxBuffered, o.Held
	s.setAsync()
	return s
}

// askAsync is after how many batches of a connection Async is asked: processors come and go within tenths of a second.
const askAsync = 64

// setAsync asks how sessions that are Async are to be used.
func (s *Server) setAsync() {
	on := s.opts.Async()
	s.async.Store(on)
	if s.opts.Loop != nil {
		s.opts.Loop.Set(on)
	}
}

// Serve accepts connections on every listener, also on those that Listen adds later, until Shutdown or Close; then it returns nil.
func (s *Server) Serve() error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil
	}
	if s.serving {
		s.mu.Unlock()
		return errors.New("cannot serve: the server is serving already")
	}
	s.serving = true
	for _, l := range s.listeners {
		s.start(l)
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return nil
		case <-t.C:
			s.sweep()
		}
	}
}

// sweepToTheEnd is Serve's part while the server stops.
func (s *Server) sweepToTheEnd() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-s.empty:
			return
		case <-t.C:
			s.sweep()
		}
	}
}

// sweep lets one second pass: connections whose time is up, and those that wait without having made sure that
// nothing is left to read (see conn.turn), are woken to look for themselves.
func (s *Server) sweep() {
	tick := s.tick.Add(1)
	s.setAsync()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.wantsNudge(tick) {
			c.nudge()
		}
	}
	if s.pressed.Load() > 0 {
		s.pressed.Add(-1)
		s.relieve(tick)
	}
}

// Shutdown stops accepting, lets every connection finish the requests it has read, closes them as they become idle, or as their clients
// neither go on with the request that they have begun nor take their answers for three seconds, and
// when ctx ends cuts those that remain (the error then wraps ErrCut and says how many). It does not wait
// for a Serve that is still running after that; Close does.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginStop()
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	if n := s.cutAll(); n > 0 {
		return fmt.Errorf("cannot finish %d connections in time: %w", n, ErrCut)
	}
	return nil
}

// Close stops accepting, cuts every connection and waits until every goroutine of the server has ended, which
// includes sessions that are still in Serve.
func (s *Server) Close() error {
	s.beginStop()
	s.cutAll()
	s.wg.Wait()
	return nil
}

// beginStop closes the listeners and wakes idle connections so that they close. Calling it again does nothing.
func (s *Server) beginStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	s.stopping.Store(true) // before the nudges: who is woken finds it set
	close(s.stop)
	for _, l := range s.listeners {
		l.close()
	}
	until := time.Now().Add(stalled)
	for c := range s.conns {
		c.nc.SetWriteDeadline(until) // see patiently
		c.nudge()
	}
	if len(s.conns) == 0 {
		close(s.empty)
		return
	}
	s.wg.Go(s.sweepToTheEnd)
}

// cutAll makes every read, and every write that would wait, fail from now on, and says how many connections that hit.
func (s *Server) cutAll() int {
	s.cut.Store(true) // before the deadlines: see conn.Write
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.nc.SetDeadline(past)
		c.again()
	}
	return len(s.conns)
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// add registers an accepted connection, unless the server is stopping or full.
func (s *Server) add(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return net.ErrClosed
	}
	if s.opts.MaxConns > 0 && len(s.conns) >= s.opts.MaxConns {
		return errTooMany
	}
	s.conns[c] = struct{}{}
	c.lis.counted.curr.Add(1)
	c.lis.counted.total.Add(1)
	s.wg.Add(1)
	return nil
}

// remove takes an ended connection out and adds its byte counts to its listener's.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.lis.counted.curr.Add(-1)
	c.lis.counted.read.Add(c.read.Load())
	c.lis.counted.written.Add(c.written.Load())
	if s.stopped && len(s.conns) == 0 {
		close(s.empty)
	}
	s.wg.Done()
}
