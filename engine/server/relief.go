// When MaxBuffered is used up: clients that keep others from being served are cut, those first for which the most is held.

package server

import (
	"slices"
	"sync/atomic"
)

// Holder is a Session that holds answers which it counts against MaxBuffered itself.
type Holder interface {
	// Held is how many bytes it holds now. The server calls it at any time.
	Held() int64
}

// holding is a connection's part: what the sweeper has to know of it.
type holding struct {
	stuck  atomic.Int64 // tick at which the client last took some of its answers, plus one; 0: it is not waited for
	owed   atomic.Int64 // bytes counted as buffered that the socket has not taken
	upload atomic.Int64 // bytes of the buffer that a begun request lies in; 0: of the smallest
	asked  atomic.Bool  // the write that waits for it is to end: who has taken nothing is cut
	halted atomic.Int64 // likewise for the request that it has begun: tick at which it had sent nothing more for so long that it is cut
}

// idleness is for how many ticks a client must have done nothing before it is cut to make room.
const idleness = 2

// Relieve says that MaxBuffered is used up: clients that have taken none of their answers, or sent nothing of a request that they have begun, for a
// second or two, or do so in the next two, are cut until a quarter of MaxBuffered is free, those first for which the most is held. Anyone may call
// it at any time; it does not wait.
func (s *Server) Relieve() { s.pressed.Store(idleness + 1) }

// relieve cuts them.
func (s *Server) relieve(tick int64) {
	type victim struct {
		c      *conn
		held   int64
		unread bool
	}
	var victims []victim
	for c := range s.conns {
		stuck := c.stuck.Load()
		switch {
		case stuck > 0 && tick+1-stuck >= idleness:
			held := c.owed.Load()
			if h, ok := c.sess.(Holder); ok { // whoever set stuck had opened the session
				held += h.Held()
			}
			victims = append(victims, victim{c, held, true})
		case c.begun.Load() > 0 && tick-c.seen.Load() >= idleness:
			victims = append(victims, victim{c, c.upload.Load(), false})
		}
	}
	slices.SortFunc(victims, func(a, b victim) int { return int(min(max(b.held-a.held, -1), 1)) })
	n, freed := 0, int64(0)
	for _, v := range victims {
		if freed >= s.opts.MaxBuffered/4 || v.held == 0 {
			break
		}
		n++
		freed += v.held
		if v.unread { // if it has taken some of what is written to it, which cannot be seen from here, it goes on, and is asked again
			v.c.asked.Store(true)
			v.c.nc.SetWriteDeadline(past)
		} else {
			v.c.halted.Store(tick) // if it has sent some by now, or does before it is cut, that is forgotten
			v.c.nudge()
		}
	}
	if n > 0 {
		s.pressed.Store(0)
		s.opts.Log.Warn("MaxBuffered is used up: clients that neither take their answers nor go on with their requests are cut", "clients", n, "bytes", freed)
	}
}

// takes notes that the client has taken something, or is waited for from now on.
func (c *conn) takes() { c.stuck.Store(c.srv.tick.Load() + 1) }

// reserve counts n more bytes as buffered for the connection, if there is room.
func (c *conn) reserve(n int) bool {
	if !c.srv.buffers.reserve(n) {
		c.srv.Relieve()
		return false
	}
	c.owed.Add(int64(n))
	return true
}

func (c *conn) unreserve(n int) {
	c.srv.buffers.release(n)
	c.owed.Add(int64(-n))
}
