// In the loop: a connection that is busy is read and served by one goroutine together with all others (sock.Loop), as far as that can be done without
// waiting. It has no goroutine then; where there is anything to wait for, or out of the ordinary, it gets one again, which goes on as ever.

package server

import (
	"sync/atomic"
	"syscall"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// looped is a connection's part for that. Whose the connection is, away says: the loop takes it when there is something to read, and it is given back when the
// batch ends, by whoever brought the last answer.
type looped struct {
	watch    atomic.Pointer[sock.Watch] // nil: it has never been in the loop
	leave    func()                     // leaves
	missed   atomic.Bool                // the loop is to look once more when the connection is given back
	all      atomic.Bool                // and the end of the stream may be there
	inLoop   bool
	joins    bool   // the goroutine is about to leave the connection to the loop
	after    uint64 // batches that are to be served before it does so again
	unserved bool   // the batch is to be served by the goroutine
	last     bool   // and is the last
}

// rejoin is after how many batches a connection that had to leave the loop may join it again. Those that have to leave often should not: both ways cost
// some microseconds.
const rejoin = 64

// maxReads is how often a connection is read before others get their turn.
const maxReads = 4

// mayJoin reports whether the loop may have the connection, of which nothing is begun.
func (c *conn) mayJoin() bool {
	l := c.srv.opts.Loop
	return l != nil && l.On() && c.async != nil && c.batches >= max(c.after, uint64(c.srv.opts.AsyncAfter)) &&
		c.buf == nil && len(c.stash) == 0 && c.skip == 0 && !c.srv.stopping.Load() && !c.srv.cut.Load()
}

// join leaves the connection to the loop. It reports false if that cannot be had.
func (c *conn) join() bool {
	w := c.watch.Load()
	if w == nil {
		w = c.srv.opts.Loop.NewWatch(c.ready)
		c.leave = c.leaves
		c.watch.Store(w)
	}
	if w.Join(c.nc.(syscall.Conn)) != nil {
		c.after = c.batches + rejoin
		return false
	}
	c.inLoop = true
	if c.srv.stopping.Load() || c.srv.cut.Load() { // and its nudge came before there was a watch
		c.missed.Store(true)
	}
	c.release()
	return true
}

// part gives the connection a goroutine, which goes on where it is.
func (c *conn) part() {
	c.watch.Load().Part(c.nc.(syscall.Conn))
	c.inLoop, c.elsewhere = false, false
	c.after = c.batches + rejoin
	c.away.Store(awayNot)
	go c.run()
}

// again has the loop look at the connection, if it has it.
func (c *conn) again() {
	if w := c.watch.Load(); w != nil {
		w.Again()
	}
}

// release gives the connection back to the loop.
func (c *conn) release() {
	c.away.Store(awayLoop)
	if c.missed.Load() && c.missed.Swap(false) {
		c.again()
	}
}

// ready is what the loop calls.
func (c *conn) ready(all bool) {
	if all {
		c.all.Store(true)
	}
	if !c.away.CompareAndSwap(awayLoop, awayOut) {
		c.missed.Store(true)
		if !c.away.CompareAndSwap(awayLoop, awayOut) {
			return // who has it sees that
		}
	}
	c.missed.Store(false)
	defer c.recovers()
	c.elsewhere = true
	switch c.look() {
	case ends:
		c.part()
	case goesOn:
		if len(c.rest) > 0 {
			c.part()
			return
		}
		c.elsewhere = false
		c.release()
	}
}

// leaves has another goroutine go on with the loop: from here on, and until the batch waits or ends, its server may wait.
func (c *conn) leaves() {
	c.elsewhere = false
	c.srv.opts.Loop.Leave()
}

// look reads and serves what is there. ends: the goroutine is to go on. waits: the connection is not the caller's any more.
func (c *conn) look() progress {
	if !c.srv.opts.Loop.On() || c.srv.stopping.Load() || c.srv.cut.Load() {
		return ends
	}
	c.unchecked.Store(false)
	all := c.all.Load() && c.all.Swap(false)
	if c.buf != nil && c.r < c.w {
		c.missed.Store(true) // the socket has not been looked at
		if p := c.workBefore(all); p != goesOn {
			return p
		}
		c.missed.Store(false)
	}
	for reads := 0; ; reads++ {
		if reads == maxReads { // a value that is thrown away, or a large one that comes as fast as it is read
			c.all.Store(all)
			c.missed.Store(true)
			return goesOn
		}
		if !c.room() {
			return ends
		}
		space := c.buf.b[c.w:]
		n, err := sock.Read(c.fd, space)
		if err != nil && err != syscall.EAGAIN || err == nil && n == 0 {
			c.why = errGone
			return ends
		}
		if n > 0 {
			c.read.Store(c.read.Load() + uint64(n))
			c.seen.Store(c.srv.tick.Load())
			c.w += n
			if p := c.workBefore(all); p != goesOn {
				return p
			}
		}
		if n == 0 || n < len(space) && !all {
			if c.park() {
				return ends
			}
			return goesOn
		}
	}
}

// workBefore is work; if there is an end behind what has been read, whoever ends the batch has the loop look at that.
func (c *conn) workBefore(end bool) progress {
	if end {
		c.all.Store(true)
		c.missed.Store(true)
	}
	return c.work()
}

// serveInLoop serves the batch, or has the goroutine do it. The connection is not the caller's any more.
func (c *conn) serveInLoop(b *Batch, last bool) {
	if last || c.srv.stopping.Load() {
		c.unserved, c.last = true, last
		c.comeHome()
		return
	}
	if waits, err := c.async.Begin(b, c, c.leave); !waits {
		c.end(err)
	}
}

// more reports whether the loop is to look at the connection as soon as it has it, because something is left in its buffer, or may be left in the socket.
func (c *conn) more() bool {
	if !c.inLoop || c.r == c.w && c.w < len(c.buf.b) {
		return false
	}
	c.missed.Store(true)
	return true
}

// startAgain does what the loop has left to the goroutine of a connection that comes from it: what the socket did not take, and what is in the buffer.
func (c *conn) startAgain() {
	if err := c.writeRest(); err != nil && c.why == nil {
		c.why = err
	}
	if c.why == nil && c.buf != nil && c.r < c.w && c.work() == waits {
		c.home()
	}
}
