// A connection: what it holds, how it begins and ends.

package server

import (
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// What the server itself says to clients, in memcached's words where memcached has them.
var (
	lineTooMany  = []byte("ERROR Too many open connections\r\n")
	lineNoMemory = []byte("SERVER_ERROR out of memory storing object\r\n")
	lineTooLong  = []byte("CLIENT_ERROR line too long\r\n")
)

// Why a connection ends.
var (
	errTooMany = errors.New("too many open connections")
	errGone    = errors.New("the client has gone")
	errAsked   = errors.New("the session asked for it")
	errStop    = errors.New("the server is stopping")
	errBad     = errors.New("the client broke the protocol")
	errIdle    = errors.New("idle for too long")
	errSlow    = errors.New("a request took too long to arrive")
	errUnread  = errors.New("the client does not take its answers")
	errPanic   = errors.New("the session panicked")
	errStream  = errors.New("it becomes a stream")
)

// conn is one client's connection. All fields but the atomic ones belong to its goroutine, or while it is away to whoever serves it then.
type conn struct {
	srv  *Server
	lis  *listener
	nc   net.Conn
	raw  syscall.RawConn
	fd   int // valid while turn runs: RawConn.Read holds a reference
	info ConnInfo
	sess Session

	async      Async         // sess, if it is one
	away       atomic.Int32  // whose the connection is; see elsewhere.go
	back       chan struct{} // gives it back to a goroutine that waits for it; nil: it was never away
	elsewhere  bool          // who writes must not wait
	rest       []byte        // what the socket has not taken
	unfinished bool          // the goroutine has something to do: what is left, write rest, and end as endErr says
	endErr     error         // what Serve would have returned
	left       bool          // the session is to complete the batch
	looped
	holding

	parser mc.Parser
	buf    *buffer // nil while nothing is buffered or the rest is in stash
	r, w   int     // buf.b[r:w] is not served yet
	stash  []byte  // a short begun request, kept here while the client is waited for
	skip   int     // bytes of a refused request still to be thrown away
	batch  *Batch  // nil while the client is waited for

	// What the begun request at r waits for: need bytes in all, before which it is not parsed again; or, with need 0, the
	// end of its line, for which the parser looks in the new bytes only.
	need     int
	needLine bool
	muted    bool // the begun request wants no answer

	batches uint64 // served
	final   bool   // the one read that is made after stopping began has been made
	stream  *Stream
	why     error // set: the connection ends

	// Read by the sweeper and by Stats; written by the goroutine.
	seen          atomic.Int64 // tick at which the client was last heard of, answered or seen taking answers
	begun         atomic.Int64 // tick at which a request was begun that is not whole yet, plus one; 0: none
	unchecked     atomic.Bool  // waits without having seen that the socket is empty
	streaming     atomic.Bool  // a stream has it: no time limit is the sweeper's business
	read, written atomic.Uint64
}

func (s *Server) newConn(l *listener, nc net.Conn) (*conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.New("cannot serve a connection without a file descriptor")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{srv: s, lis: l, nc: nc, raw: raw}
	if err := raw.Control(func(fd uintptr) { c.fd = int(fd) }); err != nil {
		return nil, err
	}
	c.info = ConnInfo{ID: s.nextID.Add(1), Tag: l.addr.Tag, Network: l.addr.Network, Local: l.addr.Address, Remote: "unix", FD: c.fd}
	if c.info.Network != "unix" {
		c.info.Remote = nc.RemoteAddr().String()
	}
	c.seen.Store(s.tick.Load())
	return c, nil
}

// run is the connection's goroutine, until the connection ends or the loop has it.
func (c *conn) run() {
	for c.serves() && !c.join() {
	}
}

// serves serves the connection. It returns true if the loop is to have it, and false when it has ended.
func (c *conn) serves() (joins bool) {
	defer c.finish(&joins)
	if c.sess == nil {
		c.open()
	}
	c.home()
	c.startAgain()
	turn := c.turn
	for c.why == nil {
		err := c.raw.Read(turn)
		c.home()
		switch {
		case c.joins:
			c.joins = false
			return true
		case c.why != nil:
		case errors.Is(err, os.ErrDeadlineExceeded): // a nudge: look again
			c.nc.SetReadDeadline(time.Time{})
			if c.srv.cut.Load() {
				c.why = errStop
			}
		default:
			c.why = errGone
		}
	}
	if c.why == errStream {
		c.why = c.runStream()
	}
	return false
}

func (c *conn) open() {
	c.sess = c.srv.opts.Handler.Open(c.info)
	c.async, _ = c.sess.(Async)
}

// finish ends the connection, whatever happened, unless it joins the loop.
func (c *conn) finish(joins *bool) {
	p := recover()
	if p == nil && *joins {
		return
	}
	defer c.srv.remove(c)
	defer c.nc.Close()
	if p != nil {
		c.panicked(p)
	}
	switch c.why {
	case errIdle:
		c.srv.counted.idle.Add(1)
	case errSlow:
		c.srv.counted.slow.Add(1)
	}
	if c.why == errPanic { // someone may still hold the requests of the batch: neither it nor their bytes are used again
		c.srv.buffers.forget(c.buf)
	} else {
		c.giveBuffer()
		if c.batch != nil {
			c.srv.putBatch(c.batch)
		}
	}
	if c.sess != nil {
		c.closeSession()
		if f := c.srv.opts.Closed; f != nil {
			f(c.info, c.reason())
		}
	}
	c.srv.opts.Log.Debug("connection closed", "listener", c.lis.addr.String(), "reason", c.why)
	if c.why == errAsked || c.why == errBad || c.why == errStop {
		c.linger()
	}
}

// reason words why the connection ends.
func (c *conn) reason() Reason {
	switch c.why {
	case errGone, errAsked:
		return ReasonNormal
	case errIdle:
		return ReasonIdle
	case errStop:
		return ReasonShutdown
	}
	return ReasonError
}

func (c *conn) closeSession() {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
		}
	}()
	c.sess.Close()
}

func (c *conn) panicked(p any) {
	c.why = errPanic
	c.srv.counted.panics.Add(1)
	c.srv.opts.Log.Error("session panicked", "listener", c.lis.addr.String(), "panic", p, "stack", string(debug.Stack()))
}

// linger tells the client that nothing more will come and waits for it to close: closing a socket that holds unread
// bytes resets the connection, which can destroy answers that the client has not read yet.
func (c *conn) linger() {
	cw, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || c.srv.opts.Linger == 0 || cw.CloseWrite() != nil {
		return
	}
	until := time.Now().Add(c.srv.opts.Linger)
	b := c.srv.buffers.get(0)
	defer c.srv.buffers.put(b)
	for {
		c.nc.SetReadDeadline(until) // again each time: a nudge sets it too
		if c.srv.cut.Load() {
			return
		}
		_, err := c.nc.Read(b.b)
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until)) {
			return
		}
	}
}
