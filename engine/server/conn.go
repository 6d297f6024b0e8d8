// A connection: reading when there is something to read, cutting into batches, writing answers.

package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

const (
	// trustEdges is the number of batches after which a connection no longer makes sure, with a read that finds nothing,
	// that the socket is empty before it waits. See turn.
	trustEdges = 8
	// maxStash is the longest begun request, in bytes, that is set aside so that the read buffer can be given back.
	maxStash = 1024
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
)

// conn is one client's connection. All fields but the atomic ones belong to its goroutine.
type conn struct {
	srv  *Server
	lis  *listener
	nc   net.Conn
	raw  syscall.RawConn
	fd   int // valid while turn runs: RawConn.Read holds a reference
	sess Session

	parser mc.Parser
	buf    *buffer // nil while nothing is buffered or the rest is in stash
	r, w   int     // buf.b[r:w] is not served yet
	stash  []byte  // a short begun request, kept here while the client is waited for
	skip   int     // bytes of a refused request still to be thrown away
	batch  *Batch  // nil while the client is waited for

	// The rest in the buffer is not parsed again before it is this long, or a line end has come if the parser does not know
	// how much it needs: one byte at a time must not cost a scan of everything each time.
	need     int
	needLine bool
	muted    bool // the begun request wants no answer

	batches int   // served, counted up to trustEdges
	final   bool  // the one read that is made after stopping began has been made
	why     error // set: the connection ends

	// Read by the sweeper and by Stats; written by the goroutine.
	seen          atomic.Int64 // tick of the last read that brought something
	begun         atomic.Int64 // tick at which a request was begun that is not whole yet, plus one; 0: none
	unchecked     atomic.Bool  // waits without having seen that the socket is empty
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
	c.seen.Store(s.tick.Load())
	return c, nil
}

// run is the connection's goroutine.
func (c *conn) run() {
	defer c.finish()
	c.open()
	turn := c.turn
	for c.why == nil {
		err := c.raw.Read(turn)
		switch {
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
}

func (c *conn) open() {
	info := ConnInfo{
		ID:      c.srv.nextID.Add(1),
		Tag:     c.lis.addr.Tag,
		Network: c.lis.addr.Network,
		Local:   c.lis.addr.Address,
		Remote:  "unix",
		FD:      c.fd,
	}
	if info.Network != "unix" {
		info.Remote = c.nc.RemoteAddr().String()
	}
	c.sess = c.srv.opts.Handler.Open(info)
}

// turn reads and serves until nothing is left to read. RawConn.Read calls it at first and whenever the socket has become
// readable; it returns false to wait for that, true to stop because c.why is set.
//
// A read that does not fill the buffer has emptied the socket, and what arrives later makes the socket readable anew; so the read that would
// find nothing can be left out. That is one system call in three for a client that sends and waits. What it could miss is the end of
// a stream that arrived together with the last bytes: so a connection makes sure during its first batches (scripts that send, half-close and wait
// are served at once), and later the sweeper wakes it to look once, if it has been quiet for a second.
func (c *conn) turn(uintptr) bool {
	c.unchecked.Store(false)
	for {
		if !c.room() {
			return true
		}
		space := c.buf.b[c.w:]
		n, err := readFD(c.fd, space)
		switch {
		case err == syscall.EAGAIN:
			return c.park()
		case err != nil || n == 0:
			c.why = errGone
			return true
		}
		c.read.Store(c.read.Load() + uint64(n))
		c.seen.Store(c.srv.tick.Load())
		c.w += n
		if !c.work(n) {
			return true
		}
		if c.srv.stopping.Load() {
			if c.final && c.r == c.w || c.srv.cut.Load() {
				c.why = errStop
				return true
			}
			c.final = true
		} else if n < len(space) && c.batches >= trustEdges {
			c.unchecked.Store(true)
			return c.park()
		}
	}
}

// park prepares waiting for the client: buffers are given back. It returns true instead if the connection ends here.
func (c *conn) park() bool {
	tick, rest := c.srv.tick.Load(), c.w-c.r
	if rest == 0 && len(c.stash) == 0 && c.skip == 0 {
		c.begun.Store(0)
		if c.srv.stopping.Load() {
			c.why = errStop
			return true
		}
	} else if c.begun.Load() == 0 {
		c.begun.Store(tick + 1)
	}
	if c.why = c.expired(tick); c.why != nil {
		return true
	}
	if c.buf != nil && rest <= maxStash {
		c.stash = append(c.stash[:0], c.buf.b[c.r:c.w]...)
		c.giveBuffer()
	}
	if c.batch != nil {
		c.srv.putBatch(c.batch)
		c.batch = nil
	}
	return false
}

func (c *conn) giveBuffer() {
	if c.buf != nil {
		c.srv.buffers.put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
}

// expired says whether one of the time limits has passed at tick.
func (c *conn) expired(tick int64) error {
	o := &c.srv.opts
	begun := c.begun.Load()
	switch {
	case begun > 0 && o.RequestTimeout > 0 && tick-begun >= ticks(o.RequestTimeout):
		return errSlow
	case begun == 0 && o.IdleTimeout > 0 && tick-c.seen.Load() > ticks(o.IdleTimeout):
		return errIdle
	}
	return nil
}

// ticks rounds d up to ticks.
func ticks(d time.Duration) int64 { return int64((d + sweepEvery - 1) / sweepEvery) }

// wantsNudge says whether the connection has something to look for at tick. Called by the sweeper.
func (c *conn) wantsNudge(tick int64) bool {
	return c.unchecked.Load() && tick-c.seen.Load() > 1 || c.expired(tick) != nil
}

// nudge wakes the connection if it waits for its client, now or a moment later.
func (c *conn) nudge() { c.nc.SetReadDeadline(past) }

// room sees to it that there is a buffer with space to read into. False: there cannot be, and c.why is set.
func (c *conn) room() bool {
	if c.buf == nil {
		c.buf = c.srv.buffers.get(0)
		c.r, c.w = 0, copy(c.buf.b, c.stash)
		c.stash = c.stash[:0]
	}
	if c.r > 0 {
		c.w = copy(c.buf.b, c.buf.b[c.r:c.w]) // at most one begun request
		c.r = 0
	}
	size := len(c.buf.b)
	if c.w < size {
		return true
	}
	if limit := c.srv.opts.MaxConnBuffer; limit > 0 && (size >= limit || !c.needLine && c.need > limit) {
		return c.refuse()
	}
	// One class up, not at once what the request says it needs: memory follows what the client has really sent.
	want := size + 1
	if size >= bufferSizes[len(bufferSizes)-1] {
		want = max(c.need, 2*size)
	}
	bigger := c.srv.buffers.get(want)
	if bigger == nil {
		return c.refuse()
	}
	copy(bigger.b, c.buf.b)
	c.srv.buffers.put(c.buf)
	c.buf = bigger
	return true
}

// refuse answers the begun request, which may not be buffered, with an error and throws it away, the part that has
// not come yet too. If its length is unknown the connection ends.
func (c *conn) refuse() bool {
	c.srv.counted.refused.Add(1)
	if !c.muted {
		if _, err := c.Write(lineNoMemory); err != nil {
			c.why = err
			return false
		}
	}
	if c.needLine {
		c.why = errBad
		return false
	}
	c.skip = c.need - c.w
	c.r, c.w, c.need = 0, 0, 0
	c.muted = false
	return true
}

// work serves every whole request in the buffer, of which the last fresh bytes are new. False: the connection ends.
func (c *conn) work(fresh int) bool {
	if c.skip > 0 {
		n := min(c.skip, c.w-c.r)
		c.skip -= n
		c.r += n
	}
	if !c.worthParsing(fresh) {
		return c.lineFits()
	}
	c.need, c.needLine = 0, false
	for c.r < c.w && c.need == 0 {
		if c.batch == nil {
			c.batch = c.srv.getBatch(c)
		}
		last := c.parse(c.batch)
		if len(c.batch.Reqs) == 0 {
			continue
		}
		if !c.serve(last) {
			return false
		}
	}
	return c.lineFits()
}

// worthParsing says whether the rest, with its fresh bytes, may hold a whole request now.
func (c *conn) worthParsing(fresh int) bool {
	rest := c.w - c.r
	return rest >= c.need || c.needLine && bytes.IndexByte(c.buf.b[c.w-min(fresh, rest):c.w], '\n') >= 0
}

// lineFits ends the connection if its client sends a line without end.
func (c *conn) lineFits() bool {
	if c.needLine && c.w-c.r > c.srv.opts.MaxLine {
		c.srv.counted.refused.Add(1)
		c.Write(lineTooLong)
		c.why = errBad
	}
	return c.why == nil
}

// parse cuts up to MaxBatch requests from the buffer into b, and notes in c.need if the next is not whole. True: the last
// one is so bad that the connection ends after its answer.
func (c *conn) parse(b *Batch) (last bool) {
	b.Reqs = b.Reqs[:0]
	b.Rules = c.sess.Rules()
	for len(b.Reqs) < c.srv.opts.MaxBatch && c.r < c.w {
		r := b.next()
		n, need, err := c.parser.Next(c.buf.b[c.r:c.w], &b.Rules, r)
		c.r += n
		if err != nil {
			c.muted = need > 0 && r.NoReply
			b.Reqs = b.Reqs[:len(b.Reqs)-1]
			c.need, c.needLine = need, need == 0
			if c.needLine {
				c.need = 2 * (c.w - c.r)
			}
			return false
		}
		if r.Bad != mc.BadNone && r.Bad.Closes() {
			return true
		}
	}
	return false
}

// serve gives the batch to the session and writes the answers. False: the connection ends.
func (c *conn) serve(last bool) bool {
	b := c.batch
	if c.begun.Load() != 0 {
		c.begun.Store(0)
	}
	c.batches = min(c.batches+1, trustEdges)
	err := c.sess.Serve(b)
	if err != nil && !errors.Is(err, ErrClose) {
		c.why = err
		return false
	}
	if werr := b.Flush(); werr != nil {
		c.why = werr
		return false
	}
	switch {
	case err != nil:
		c.why = errAsked
	case last:
		c.why = errBad
	}
	return c.why == nil
}

// Write writes p to the client, waiting for it if need be. Only the connection's goroutine calls it, inside turn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := writeFD(c.fd, p)
	if err == syscall.EAGAIN {
		var m int
		m, err = c.writeSlow(p[n:])
		n += m
	}
	c.written.Store(c.written.Load() + uint64(n))
	return n, err
}

// slowPiece is how much a slow client must take within WriteTimeout.
const slowPiece = 256 << 10

// writeSlow writes what the socket's buffer did not take at once. Meanwhile it counts as buffered.
func (c *conn) writeSlow(p []byte) (n int, err error) {
	if !c.srv.buffers.reserve(len(p)) {
		c.srv.counted.cutWrites.Add(1)
		return 0, errUnread
	}
	defer c.srv.buffers.release(len(p))
	for n < len(p) {
		if d := c.srv.opts.WriteTimeout; d > 0 {
			c.nc.SetWriteDeadline(time.Now().Add(d))
		}
		if c.srv.cut.Load() { // after the deadline was set: cutAll does it the other way round
			return n, errStop
		}
		m, err := c.nc.Write(p[n:min(len(p), n+slowPiece)])
		n += m
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.srv.cut.Load() {
			c.srv.counted.cutWrites.Add(1)
			return n, errUnread
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// finish ends the connection, whatever happened.
func (c *conn) finish() {
	defer c.srv.remove(c)
	defer c.nc.Close()
	if p := recover(); p != nil {
		c.panicked(p)
	}
	switch c.why {
	case errIdle:
		c.srv.counted.idle.Add(1)
	case errSlow:
		c.srv.counted.slow.Add(1)
	}
	c.giveBuffer()
	if c.batch != nil && c.why != errPanic { // after a panic someone may still hold it
		c.srv.putBatch(c.batch)
	}
	if c.sess != nil {
		c.closeSession()
	}
	c.srv.opts.Log.Debug("connection closed", "listener", c.lis.addr.String(), "reason", c.why)
	if c.why == errAsked || c.why == errBad || c.why == errStop {
		c.linger()
	}
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
	c.nc.SetReadDeadline(time.Now().Add(c.srv.opts.Linger))
	if c.srv.cut.Load() {
		return
	}
	b := c.srv.buffers.get(0)
	defer c.srv.buffers.put(b)
	for {
		if _, err := c.nc.Read(b.b); err != nil {
			return
		}
	}
}
