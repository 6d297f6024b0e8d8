// One connection's life: connect, greet, serve, fail, and again.

package memcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// conn is one connection and its queue. It outlives its sockets.
type conn struct {
	b        *Backend
	health   *backend.Health
	depth    atomic.Int64  // requests queued or in flight
	finished atomic.Uint64 // requests that were answered or failed; they end in the order of their numbers
	kick     chan struct{} // wakes the writer; one token at most, stale ones are harmless

	// Only for the goroutine in run, and while it is in serve for the reader.
	wakes   backend.Wakes
	due     backend.List   // written, in order; from here answers are matched
	block   *backend.Block // where rbuf lies
	rbuf    []byte         // what was read; rbuf[from:to] is not yet understood
	from    int
	to      int
	quickly int           // sockets in a row that were lost without one answer
	turn    chan struct{} // closed when the connection before it has made its first try; nil: it is the first
	tried   chan struct{} // closed by its own; nil after that, and if nobody follows
	joint   joint         // the answer under way, if it is one to several requests
	resp    mc.Response   // a part of it
	why     *failure      // why there is nothing more to read
	ran     bool          // the reader has been at something else before it read again
	leave   func()        // is left
	reader  atomic.Uint32 // which one it is
	broken  chan *failure // where the reader tells why it has ended

	mu       sync.Mutex
	refuse   error        // why new requests are not taken: nil, ErrDown or ErrClosed
	nc       net.Conn     // the socket; nil while there is none
	up       bool         // greeted
	queued   uint64       // requests ever queued, which is the number of the last one
	unsent   backend.List // queued; their bytes are wbuf
	sent     backend.List // handed to the socket and not yet seen by the reader
	wbuf     []byte       // bytes to write
	joins    bool         // gets may be joined for the server that greeted last
	trial    trial        // whether it takes that
	swallows bool         // it reads the data of an ms that it refuses; the reader's
	tail     tail         // what the next request may be joined to
	spare    []byte       // the other write buffer; nil while the writer has it
	cuts     []int        // TLS: where in wbuf a record must end
	spareCut []int        // the other cuts, likewise
	writing  int          // bytes that the writer has
	idle     bool         // the writer waits for kick
	stop     bool         // the writer is to end
	writeErr error        // why the writer ended by itself
	inflight int          // requests written and not answered
	armed    bool         // the socket has a read deadline, no later than expiry()
	heard    int64        // when bytes last came, or inflight left 0
	whole    int64        // when an answer was last complete, or inflight left 0

	watched backend.Watched // requests of unsent that somebody watches

	looped
}

func newConn(b *Backend) *conn {
	c := &conn{b: b, kick: make(chan struct{}, 1), broken: make(chan *failure, 1)}
	c.leave = c.left
	c.health = backend.NewHealth(backend.HealthOptions{
		FailureLimit: b.o.FailureLimit,
		RetryMin:     b.o.RetryWait,
		RetryMax:     b.o.RetryMax,
		Jitter:       0.1,
		FlapTime:     b.o.FlapTime,
		FlapRamp:     b.o.FlapRamp,
		FlapMax:      b.o.FlapMax,
		Rand:         b.o.Rand,
	})
	if b.o.Down {
		c.refuse = backend.ErrDown
	}
	return c
}

// failure is why a socket was given up.
type failure struct {
	kind backend.EventKind
	err  error // what the requests are told; wraps one of package backend's errors
}

// failed makes a failure that wraps sentinel.
func failed(kind backend.EventKind, sentinel error, format string, args ...any) *failure {
	return &failure{kind, fmt.Errorf("%w: %w", sentinel, fmt.Errorf(format, args...))}
}

// flap reports a loss that anti-flap counts: of the network's making, not of the protocol's, as upstream.
func (f *failure) flap() bool {
	switch f.kind {
	case backend.EventTimeout, backend.EventDisconnected, backend.EventWriting, backend.EventReading:
		return true
	}
	return false
}

// run connects for ever, until the backend is closed.
func (c *conn) run() {
	c.awaitTurn()
	for {
		if !c.sleepUntil(c.health.NextProbe()) {
			break
		}
		f := c.connect()
		if f == nil {
			f = c.serve()
		}
		c.fail(f)
		if c.b.ctx.Err() != nil || !c.sleepUntil(time.Now().Add(c.pause())) {
			break
		}
	}
	c.fail(&failure{"", backend.ErrClosed})
}

// maxTurn is how long a connection waits for the one before it. A connect to a server that is there takes long only where this machine is busy.
const maxTurn = time.Second

// awaitTurn has the connections of a worker arrive at the server in their order, the one that idle times use being the first. A server
// that answers no connect is tried by all of them all the same.
func (c *conn) awaitTurn() {
	if c.turn == nil {
		return
	}
	timer := time.NewTimer(maxTurn)
	defer timer.Stop()
	select {
	case <-c.turn:
	case <-timer.C:
	case <-c.b.ctx.Done():
	}
}

// sleepUntil reports false if the backend was closed before.
func (c *conn) sleepUntil(t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return c.b.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.b.ctx.Done():
		return false
	}
}

// pause keeps a server that greets and hangs up from being called in a tight loop: upstream reconnects at once, and
// so do we the first time.
func (c *conn) pause() time.Duration {
	if c.quickly < 2 || !c.health.Allow() {
		return 0
	}
	return min(10*time.Millisecond<<min(c.quickly-2, 7), time.Second)
}

// connect opens a socket and waits for the answer to `version`.
func (c *conn) connect() *failure {
	ctx, cancel := context.WithTimeout(c.b.ctx, c.b.o.ConnectTimeout)
	defer cancel()
	nc, err := c.b.dial(ctx)
	if c.tried != nil {
		close(c.tried)
		c.tried = nil
	}
	if err != nil {
		kind := backend.EventConnecting
		var ne net.Error
		if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
			kind = backend.EventConnTimeout
		}
		return failed(kind, backend.ErrDisconnected, "cannot connect to %q: %w", c.b.o.addr(), err)
	}
	nc = sock.Wrap(nc)
	c.b.opened.Add(1)
	c.health.Connected()
	c.mu.Lock()
	c.nc, c.over = nc, false
	c.mu.Unlock()
	if c.b.ctx.Err() != nil { // Close, which ends ctx first, may not have seen nc
		return &failure{"", backend.ErrClosed}
	}
	if c.b.o.TLS.On {
		var f *failure
		if nc, f = c.secure(nc); f != nil {
			return f
		}
	}
	if f := c.greet(nc); f != nil {
		return f
	}
	c.health.Greeted()
	c.mu.Lock()
	c.up, c.stop, c.writeErr = true, false, nil
	if c.b.ctx.Err() == nil {
		c.refuse = nil
	}
	c.mu.Unlock()
	c.event(backend.EventConnected, nil, 0, 0)
	return nil
}

// maxGreeting is the longest answer to `version`, in bytes.
const maxGreeting = 512

// greet sends `version` and checks the answer.
func (c *conn) greet(nc net.Conn) *failure {
	if err := nc.SetDeadline(time.Now().Add(c.b.o.ReadTimeout)); err != nil {
		return failed(backend.EventConnecting, backend.ErrDisconnected, "cannot set deadline: %w", err)
	}
	if _, err := io.WriteString(nc, "version\r\n"); err != nil {
		return failed(backend.EventWriting, backend.ErrDisconnected, "cannot send version: %w", err)
	}
	c.grow(readSize)
	c.from, c.to = 0, 0
	for {
		n, err := nc.Read(c.rbuf[c.to:])
		c.to += n
		got := c.rbuf[:c.to]
		if i := bytes.IndexByte(got, '\n'); i >= 0 || c.to > maxGreeting {
			if i != len(got)-1 || !bytes.HasPrefix(got, []byte("VERSION ")) || !bytes.HasSuffix(got, []byte("\r\n")) {
				return failed(backend.EventBadValidate, backend.ErrProtocol, "answered version with %q", got[:min(len(got), 100)])
			}
			break
		}
		if errors.Is(err, io.EOF) {
			return failed(backend.EventDisconnected, backend.ErrDisconnected, "closed instead of answering version")
		}
		if isTimeout(err) {
			return failed(backend.EventReadValidate, backend.ErrDisconnected, "no answer to version: %w", err)
		}
		if err != nil {
			return failed(backend.EventReading, backend.ErrDisconnected, "cannot read the answer to version: %w", err)
		}
	}
	c.mu.Lock()
	c.greetedLocked(c.rbuf[:c.to])
	c.mu.Unlock()
	c.swallows = swallowing.Match(c.rbuf[:c.to])
	c.from, c.to = 0, 0
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return failed(backend.EventReading, backend.ErrDisconnected, "cannot clear deadline: %w", err)
	}
	return nil
}

// serve writes and reads until something breaks; both have ended when it returns.
func (c *conn) serve() *failure {
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		c.write()
	}()
	c.why, c.ran = nil, false
	go c.read()
	f := <-c.broken
	c.mu.Lock()
	c.stop = true
	nc, werr := c.nc, c.writeErr
	c.mu.Unlock()
	nc.Close()
	c.signal()
	<-writer
	if werr != nil && f.kind != backend.EventInvalidProtocol {
		f = failed(backend.EventWriting, backend.ErrDisconnected, "cannot write: %w", werr)
	}
	return f
}

// fail gives the socket up, answers everything that was queued or in flight, and notes how the backend is doing.
func (c *conn) fail(f *failure) {
	wasBad, justBad := !c.health.Allow(), false
	closed := c.b.ctx.Err() != nil
	if closed {
		f = &failure{"", backend.ErrClosed}
	} else {
		justBad = c.health.Lost(f.err, f.flap())
	}

	c.mu.Lock()
	if c.nc != nil {
		c.nc.Close()
	}
	lost := c.due.Len() + c.sent.Len() + c.unsent.Len()
	c.due.Move(&c.sent)
	c.due.Move(&c.unsent)
	if c.up {
		c.quickly++
	}
	c.nc, c.up, c.armed, c.inflight, c.joins, c.writing = nil, false, false, 0, false, 0
	c.wbuf, c.rest, c.tail, c.cuts, c.watched = c.wbuf[:0], nil, tail{}, c.cuts[:0], nil
	switch {
	case closed:
		c.refuse = backend.ErrClosed
	case !c.health.Allow():
		c.refuse = backend.ErrDown
	}
	c.mu.Unlock()

	c.depth.Add(-int64(lost))
	c.finished.Add(uint64(lost))
	c.wakes.FailAll(&c.due, f.err)
	c.wakes.Wake()
	if closed {
		return
	}
	if !wasBad {
		c.event(f.kind, f.err, lost, 0)
	}
	switch {
	case justBad:
		c.b.markedBad.Add(1)
		c.markedBad(f.err)
	case !wasBad:
		c.b.failed.Add(1)
	}
	c.from, c.to, c.joint = 0, 0, joint{}
}

// close ends the socket; run answers what is queued.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = backend.ErrClosed
	c.hangUpLocked()
}

func (c *conn) isUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// isTimeout reports a passed deadline.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
