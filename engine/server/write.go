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
		if !c.srv.buffers.reserve(len(p)) {
			c.srv.counted.cutWrites.Add(1)
			return 0, errUnread
		}
		defer c.srv.buffers.release(len(p))
	}
	return c.patiently(p)
}

// patiently writes p, which counts as buffered.
func (c *conn) patiently(p []byte) (n int, err error) {
	for n < len(p) {
		if d := c.srv.opts.WriteTimeout; d > 0 {
			c.nc.SetWriteDeadline(time.Now().Add(d))
		}
		stopping := c.srv.stopping.Load() // after the deadline was set: beginStop and cutAll do it the other way round
		if stopping {
			c.nc.SetWriteDeadline(time.Now().Add(stalled))
		}
		if c.srv.cut.Load() {
			return n, errStop
		}
		m, err := c.nc.Write(p[n:min(len(p), n+slowPiece)])
		n += m
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.srv.cut.Load() {
			if c.srv.stopping.Load() && (m > 0 || !stopping) { // it takes some, or the deadline was not for it
				continue
			} else if stopping {
				return n, errStop
			}
			c.srv.counted.cutWrites.Add(1)
			return n, errUnread
		}
		if err != nil {
			return n, err
		}
		c.seen.Store(c.srv.tick.Load())
	}
	return n, nil
}
