// In a Loop: a connection is read, and most often written to, by one goroutine together with all others (sock.Loop). Its reader is not there then. Its
// writer is, for what the socket does not take at once, and for those who send while the Loop waits.

package memcached

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// maxReads is how often a connection is read before others get their turn, and before those who have been answered go on: answers
// that are read faster than clients take them would all be held.
const maxReads = 4

// looped is a connection's part for that.
type looped struct {
	watch  *sock.Watch
	all    bool        // only for ready: the end may be behind what is left in the socket
	direct sock.Direct // the socket
	alarm  *time.Timer // in place of the socket's read deadline
	asked  atomic.Bool // somebody has called it to look at over, or at the time
	rang   atomic.Bool
	joined atomic.Bool // the Loop has it. Changed with mu

	// mu guards these.
	flushing bool   // the Loop writes
	rest     []byte // what the socket has not taken of that: the writer's
	over     bool   // the socket is not to be used any more
}

// flusher is a connection of which a Loop is to write what is queued.
type flusher conn

// join leaves reading to the Loop, if there is one that is on. The caller has been the reader.
func (c *conn) join() bool {
	l := c.b.o.Loop
	if l == nil || !l.On() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	direct, ok := c.nc.(sock.Direct)
	if !ok || c.b.o.TLS.On || c.over {
		return false
	}
	if c.watch == nil {
		c.watch = l.NewWatch(c.ready)
		c.alarm = time.AfterFunc(time.Hour, c.alarmed)
		c.alarm.Stop()
	}
	c.direct = direct
	if c.watch.Join(direct) != nil {
		return false
	}
	if c.armed { // before ready reads, for which the deadline may have passed
		direct.SetReadDeadline(time.Time{})
	}
	c.all = true // ready does nothing before joined is set, and what it was called for must not be lost
	c.joined.Store(true)
	if c.armed {
		c.armLocked(c.expiryLocked())
	}
	c.watch.Again()
	return true
}

// unjoin ends that: reading is the caller's, or that of a goroutine which it starts.
func (c *conn) unjoin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.Part(c.direct)
	c.alarm.Stop()
	c.joined.Store(false)
	switch {
	case c.over:
		c.nc.Close()
	case c.armed:
		c.armLocked(c.expiryLocked())
	}
}

// alarmed is called when an answer may have taken too long.
func (c *conn) alarmed() {
	c.rang.Store(true)
	c.again()
}

// ready is what the Loop calls.
func (c *conn) ready(all bool) {
	switch {
	case !c.joined.Load():
		return
	case !c.b.o.Loop.On():
		c.unjoin()
		go c.read()
		return
	}
	all, c.all = all || c.all, false
	for reads := 0; c.why == nil; reads++ {
		if reads == maxReads {
			c.all = all
			c.watch.Again()
			break
		}
		space := len(c.rbuf) - c.to
		n, err := c.direct.TryRead(c.rbuf[c.to:])
		if err == syscall.EAGAIN {
			break
		}
		if c.took(n, err); n < space && !all {
			break
		}
	}
	if mine := c.reader.Load(); !c.rouse(mine) {
		return
	}
	if c.why == nil && c.asked.Load() {
		c.checks()
	}
	if c.why != nil {
		c.unjoin()
		c.broken <- c.why
	}
}

// again has the Loop look for reasons to end.
func (c *conn) again() {
	c.asked.Store(true)
	c.watch.Again()
}

// checks looks for reasons to end other than what can be read.
func (c *conn) checks() {
	c.asked.Store(false)
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		c.why = failed(backend.EventReading, backend.ErrDisconnected, "cannot read: %w", net.ErrClosed)
	} else if c.rang.Swap(false) && !c.rearm() {
		c.why = c.late()
	}
}

// hangUpLocked has the socket not be used any more, which the reader sees.
func (c *conn) hangUpLocked() {
	if c.over = true; c.joined.Load() {
		c.again()
	} else if c.nc != nil {
		c.nc.Close()
	}
}

// Run implements sock.Runner: it writes what is queued, as much as the socket takes.
func (f *flusher) Run(func()) {
	c := (*conn)(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.joined.Load() {
		c.signal()
		return
	}
	for c.unsent.Len() > 0 && c.writing == 0 && !c.over {
		buf, cuts := c.takeLocked()
		nc, watched := c.nc, c.watched.Take()
		c.flushing = true
		c.mu.Unlock()
		watched.Write()
		n, err := sock.Try(nc, buf)
		c.mu.Lock()
		c.flushing = false
		switch {
		case err != nil:
			c.wroteLocked(buf, cuts)
			c.writeErr = err
			c.hangUpLocked()
		case n < len(buf):
			c.rest, c.spareCut = buf[n:], cuts[:0]
			c.signal()
			return
		default:
			c.wroteLocked(buf, cuts)
		}
	}
	if c.unsent.Len() == 0 {
		c.idle = true
	}
}
