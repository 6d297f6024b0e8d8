// Reading: when there is something to read, into which buffer, and what is refused room.

package server

import (
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

const (
	// trustEdges is the number of batches after which a connection no longer makes sure, with a read that finds nothing,
	// that the socket is empty before it waits. See turn.
	trustEdges = 8
	// maxStash is the longest begun request, in bytes, that is set aside so that the read buffer can be given back.
	maxStash = 1024
)

// turn reads and serves until nothing is left to read. RawConn.Read calls it at first and whenever the socket has become
// readable; it returns false to wait for that, true to stop because c.why is set or the loop is to have the connection.
//
// A read that does not fill the buffer has emptied the socket, and what arrives later makes the socket readable anew; so the read that would
// find nothing can be left out. That is one system call in three for a client that sends and waits. What it could miss is the end of
// a stream that arrived together with the last bytes: so a connection makes sure during its first batches (scripts that send, half-close and wait
// are served at once), and later the sweeper wakes it to look once, if it has been quiet for a second.
func (c *conn) turn(uintptr) bool {
	if c.home(); c.why != nil {
		return true
	}
	if c.mayJoin() {
		c.joins = true
		return true
	}
	c.unchecked.Store(false)
	for {
		if !c.room() {
			return true
		}
		space := c.buf.b[c.w:]
		n, err := sock.Read(c.fd, space)
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
		before := c.batches
		switch c.work() {
		case ends:
			return true
		case waits:
			return false
		}
		if c.srv.stopping.Load() {
			// What is begun now was begun after the last read: a client that never pauses must not keep the server up.
			if c.final && (c.r == c.w || c.batches > before) || c.srv.cut.Load() {
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
	if rest == 0 { // nothing is owed: a refused value that is still being thrown away has had its answer
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
		if c.buf.class > 0 {
			c.upload.Store(0)
		}
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
	case begun > 0 && c.halted.Load()-c.seen.Load() >= idleness:
		return errSlow
	case begun > 0 && c.srv.stopping.Load() && tick-c.seen.Load() >= ticks(stalled):
		return errStop
	case o.IdleTimeout > 0 && tick-c.seen.Load() > ticks(o.IdleTimeout):
		return errIdle
	}
	return nil
}

// ticks rounds d up to ticks.
func ticks(d time.Duration) int64 { return int64((d + sweepEvery - 1) / sweepEvery) }

// wantsNudge says whether the connection has something to look for at tick. Called by the sweeper.
func (c *conn) wantsNudge(tick int64) bool {
	return c.unchecked.Load() && tick-c.seen.Load() > 1 || c.expired(tick) != nil && !c.streaming.Load()
}

// nudge wakes the connection if it waits for its client, now or a moment later.
func (c *conn) nudge() {
	c.nc.SetReadDeadline(past)
	c.again()
}

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
		c.srv.Relieve()
		return c.refuse()
	}
	copy(bigger.b, c.buf.b)
	c.srv.buffers.put(c.buf)
	c.buf = bigger
	c.upload.Store(int64(len(bigger.b)))
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
	return true
}
