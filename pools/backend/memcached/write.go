// The way out: requests are queued by whoever sends them, and written together.

package memcached

import (
	"runtime"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// keepWrite is the largest write buffer that is kept after use, in bytes.
const keepWrite = 1 << 20

// enqueue takes p and gives its number, counted from 1, or says why not.
func (c *conn) enqueue(r *mc.Request, p *backend.Pending) (number uint64, err error) {
	c.mu.Lock()
	if c.refuse != nil {
		err = c.refuse
		c.mu.Unlock()
		return 0, err
	}
	o := &c.b.o
	if o.DepthLimit > 0 && c.depth.Load() > int64(o.DepthLimit) {
		c.mu.Unlock()
		return 0, backend.ErrOverloaded
	}
	at := len(c.wbuf)
	if queued := at + c.writing; queued > 0 && queued+r.WireLen() > o.MaxQueued/o.Connections {
		c.mu.Unlock()
		return 0, backend.ErrOverloaded
	}
	if !c.joinLocked(r, p) {
		c.wbuf = mc.AppendWire(c.wbuf, r)
		if o.TLS.On {
			c.cutLocked(at)
		}
	}
	c.unsent.Push(p)
	c.watched.Add(p)
	c.depth.Add(1)
	c.queued++
	number = c.queued
	wake := c.idle && !c.gathers(p)
	c.mu.Unlock()
	if wake {
		c.Kick()
	}
	return number, nil
}

// gathers reports whether p's sender will kick the idle writer. Whoever sends alone does so at once, also if another has promised to.
func (c *conn) gathers(p *backend.Pending) bool {
	g, ok := p.Waiter.(backend.Gatherer)
	if ok && !p.Late && g.Gather(c) {
		return true
	}
	c.idle = false
	return false
}

// Kick implements backend.Kicker: it has what is queued written.
func (c *conn) Kick() {
	if !c.joined.Load() || !c.b.o.Loop.Later((*flusher)(c)) {
		c.signal()
	}
}

// signal wakes the writer's goroutine.
func (c *conn) signal() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// write sends what is queued until it is told to stop or the socket breaks.
func (c *conn) write() {
	c.mu.Lock()
	for {
		for (c.unsent.Len() == 0 || c.flushing) && c.rest == nil && !c.stop {
			c.idle = c.idle || !c.flushing
			c.mu.Unlock()
			<-c.kick
			c.mu.Lock()
		}
		c.idle = false
		if c.stop {
			break
		}
		if rest := c.rest; rest != nil {
			nc := c.nc
			c.mu.Unlock()
			_, err := nc.Write(rest)
			c.mu.Lock()
			c.rest, c.writing = nil, 0
			if c.writeErr = err; err != nil {
				break
			}
			continue
		}
		// One turn for everyone else who is about to send: their requests go with the same write.
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		if c.stop {
			break
		}
		if c.unsent.Len() == 0 || c.writing > 0 {
			continue
		}
		buf, cuts := c.takeLocked()
		nc, watched := c.nc, c.watched.Take()
		c.mu.Unlock()
		watched.Write()
		err := writeCut(nc, buf, cuts)
		c.mu.Lock()
		c.wroteLocked(buf, cuts)
		if err != nil {
			c.writeErr = err
			break
		}
	}
	if c.writeErr != nil {
		c.hangUpLocked()
	}
	c.mu.Unlock()
}

// wroteLocked ends what takeLocked began.
func (c *conn) wroteLocked(buf []byte, cuts []int) {
	c.writing = 0
	c.spareCut = cuts[:0]
	if cap(buf) <= keepWrite {
		c.spare = buf[:0]
	}
}

// takeLocked moves everything queued to the requests that wait for an answer and gives its bytes, and where they must be cut.
func (c *conn) takeLocked() (buf []byte, cuts []int) {
	buf, cuts = c.wbuf, c.cuts
	c.wbuf, c.spare, c.writing, c.tail = c.spare[:0], nil, len(buf), tail{}
	c.cuts, c.spareCut = c.spareCut[:0], nil
	n := c.unsent.Len()
	c.sent.Move(&c.unsent)
	if c.inflight == 0 {
		c.heard = backend.Now()
		c.whole = c.heard
		if !c.armed {
			c.armLocked(c.expiryLocked())
		}
	}
	c.inflight += n
	return buf, cuts
}

// patience is how many read timeouts one answer may take in all, if its bytes keep coming in drops.
const patience = 10

// expiryLocked is when the connection has timed out, on backend.Now's clock.
func (c *conn) expiryLocked() int64 {
	t := int64(c.b.o.ReadTimeout)
	return min(c.heard+t, c.whole+patience*t)
}

// armLocked sets the socket's read deadline.
func (c *conn) armLocked(expiry int64) {
	c.armed = true
	if c.joined.Load() {
		c.alarm.Reset(time.Duration(expiry - backend.Now()))
		return
	}
	// An error means that the socket is closed, which the reader sees by itself.
	c.nc.SetReadDeadline(time.Now().Add(time.Duration(expiry - backend.Now())))
}

// overtime is how long a connection is still listened to that has timed out while its reader was at something else: what it waits for may be there.
const overtime = time.Millisecond

// rearm is called when the read deadline has passed. The deadline is set once and left behind by the requests that are
// answered in time, so that it costs nothing per request; most often there is just a later one to set, or none. It
// reports false if the connection has really timed out.
func (c *conn) rearm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inflight == 0 {
		c.armed = false
		c.nc.SetReadDeadline(time.Time{})
		return true
	}
	if e := c.expiryLocked(); e > backend.Now() {
		c.armLocked(e)
		return true
	}
	if c.ran {
		c.ran = false
		c.armLocked(backend.Now() + int64(overtime))
		return true
	}
	return false
}
