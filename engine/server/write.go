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

// slowPiece is how much a slow client must take within WriteTimeout. It is written by the smaller piece, so that it is seen to take something.
const slowPiece, smallPiece = 256 << 10, 64 << 10

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

// patiently writes p, which counts as buffered.
func (c *conn) patiently(p []byte) (n int, err error) {
	c.takes()
	defer c.stuck.Store(0)
	for left := 0; n < len(p); { // left is of the piece for which there is time until the deadline
		if left <= 0 {
			left = slowPiece
			if d := c.srv.opts.WriteTimeout; d > 0 {
				c.nc.SetWriteDeadline(time.Now().Add(d))
			}
		}
		stopping := c.srv.stopping.Load() // after the deadline was set: beginStop, cutAll and relieve do it the other way round
		if stopping {
			c.nc.SetWriteDeadline(time.Now().Add(stalled))
		}
		if c.srv.cut.Load() {
			return n, errStop
		}
		if c.cutIt.Load() {
			return n, c.unread()
		}
		m, err := c.nc.Write(p[n:min(len(p), n+smallPiece)])
		n += m
		left -= m
		if m > 0 {
			c.takes()
			c.seen.Store(c.srv.tick.Load())
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.srv.cut.Load() {
			switch {
			case c.srv.stopping.Load() && (m > 0 || !stopping): // it takes some, or the deadline was not for it
				continue
			case stopping && !c.cutIt.Load():
				return n, errStop
			}
			return n, c.unread()
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// unread counts that the client is cut because it does not take its answers.
func (c *conn) unread() error {
	c.srv.counted.cutWrites.Add(1)
	return errUnread
}
