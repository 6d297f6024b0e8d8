// Writing answers: at once what the socket takes, the rest with patience that ends.

package server

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// Write writes p to the client, waiting for it if need be. Only the connection's goroutine calls it, inside turn, or who serves it elsewhere.
func (c *conn) Write(p []byte) (int, error) {
	if c.elsewhere {
		return c.writeElsewhere(p)
	}
	if len(c.rest) > 0 {
		if err := c.writeRest(); err != nil {
			return 0, err
		}
	}
	n, err := sock.Write(c.fd, p)
	if err == syscall.EAGAIN {
		var m int
		m, err = c.writeSlow(p[n:])
		n += m
	}
	c.written.Store(c.written.Load() + uint64(n))
	return n, err
}

// try writes as much of p as the socket takes now.
func (c *conn) try(p []byte) (int, error) {
	n, err := sock.Write(c.fd, p)
	if err == syscall.EAGAIN {
		err = nil
	}
	c.written.Store(c.written.Load() + uint64(n))
	return n, err
}

// slowPiece is how much a slow client must take within WriteTimeout.
const slowPiece = 256 << 10

// writeSlow writes what the socket's buffer did not take at once. Meanwhile it counts as buffered.
func (c *conn) writeSlow(p []byte) (n int, err error) {
	if c.batch == nil || !c.batch.Counted {
		if !c.reserve(len(p)) {
			return 0, c.unread()
		}
		defer c.unreserve(len(p))
	}
	return c.patiently(p)
}

// patiently writes p, which counts as buffered. A socket that is full has room again only when a good part of what it holds has gone, which is
// megabytes: who reads slowly is seen to take something by what it holds, too.
func (c *conn) patiently(p []byte) (n int, err error) {
	c.takes()
	defer c.stuck.Store(0)
	for n < len(p) {
		var until time.Time
		if d := c.srv.opts.WriteTimeout; d > 0 {
			until = time.Now().Add(d)
		}
		c.asked.Store(false)
		c.nc.SetWriteDeadline(until)
		stopping := c.srv.stopping.Load() // after the deadline was set: beginStop and cutAll do it the other way round
		if stopping {
			c.nc.SetWriteDeadline(time.Now().Add(stalled))
		}
		if c.srv.cut.Load() {
			return n, errStop
		}
		unsent := c.unsent()
		m, err := c.nc.Write(p[n:min(len(p), n+slowPiece)])
		n += m
		took := m > 0 || err != nil && c.unsent() < unsent
		if took {
			c.takes()
			c.seen.Store(c.srv.tick.Load())
		}
		switch late := errors.Is(err, os.ErrDeadlineExceeded) && !c.srv.cut.Load(); {
		case late && c.srv.stopping.Load():
			if !took && stopping { // else the deadline was not for it
				return n, errStop
			}
		case late && c.asked.Load() && c.srv.tick.Load()+1-c.stuck.Load() < idleness: // see relieve, which may have asked for what came before
		case late:
			c.srv.counted.cutWrites.Add(1)
			return n, errUnread
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// unsent is how many bytes the socket holds for the client.
func (c *conn) unsent() (n int) {
	c.raw.Control(func(fd uintptr) { n = sock.Unsent(int(fd)) })
	return n
}

// unread counts that the client is cut because it does not take its answers.
func (c *conn) unread() error {
	c.srv.counted.cutWrites.Add(1)
	return errUnread
}
