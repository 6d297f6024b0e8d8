// Package pipe is a connection between two goroutines of one process, with room for bytes between them.
//
// A write to a net.Pipe waits until somebody has read all of it, so each message costs both goroutines a turn. Here a write puts its bytes into a
// queue and is done, as with a socket, but without system calls: who writes much at once wakes the reader once.
//
// A leaf has one such connection, to its own nats-server. Any number of goroutines may use an end; the bytes of one Write stay together. Bytes are
// copied in and out: nothing of a caller's is kept. Calls do not allocate once the queues have grown to what is in them, and nothing runs but
// the callers (and, when a deadline comes upon somebody who waits, a timer).
package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bound is how many bytes are under way in one direction at most: a Write waits until its last byte has found room.
const bound = 1 << 20

// New gives the two ends of a connection.
func New() (a, b *Conn) {
	x, y := newQueue(), newQueue()
	return &Conn{in: x, out: y}, &Conn{in: y, out: x}
}

// Conn is one end, a net.Conn.
type Conn struct {
	in, out          *queue
	reading, writing sync.Mutex // whose turn it is: one at most waits on a side
}

// queue is one direction.
type queue struct {
	mu   sync.Mutex // guards all below
	ring ring

	reader, writer side
}

// side is one of the two who use a queue.
type side struct {
	look   sync.Cond // something has changed for who waits on this side
	closed bool
	until  time.Time   // deadline; zero: none
	timer  *time.Timer // runs while somebody waits who has a deadline
}

func newQueue() *queue {
	q := &queue{}
	q.reader.look.L, q.writer.look.L = &q.mu, &q.mu
	return q
}

// Read implements net.Conn. What was written before the other end closed is read before io.EOF.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	q := c.in
	q.mu.Lock()
	for {
		if err = q.reader.unusable(); err != nil {
			break
		}
		if n = q.ring.take(p); n > 0 || len(p) == 0 {
			break
		}
		if q.writer.closed {
			q.mu.Unlock()
			return 0, io.EOF
		}
		q.reader.wait()
	}
	q.mu.Unlock()
	if err != nil {
		return 0, failed("read", err)
	}
	q.writer.look.Broadcast()
	return n, nil
}

// Write implements net.Conn. It returns when all of p is on its way.
func (c *Conn) Write(p []byte) (n int, err error) { return c.Writev(p) }

// Writev is a Write of all parts together. It changes the slice of them, and not what they hold.
func (c *Conn) Writev(parts ...[]byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	q := c.out
	q.mu.Lock()
	for {
		if err = q.writer.unusable(); err != nil {
			break
		}
		if q.reader.closed {
			err = io.ErrClosedPipe
			break
		}
		for len(parts) > 0 {
			m := q.ring.put(parts[0], bound)
			n += m
			if parts[0] = parts[0][m:]; len(parts[0]) > 0 {
				break
			}
			parts = parts[1:]
		}
		if len(parts) == 0 {
			break
		}
		q.reader.look.Broadcast()
		q.writer.wait()
	}
	q.mu.Unlock()
	q.reader.look.Broadcast()
	if err != nil {
		return n, failed("write", err)
	}
	return n, nil
}

// Close implements net.Conn. What this end has written can still be read, what it has not read is gone.
func (c *Conn) Close() error {
	c.in.close(&c.in.reader)
	c.out.close(&c.out.writer)
	return nil
}

func (q *queue) close(s *side) {
	q.mu.Lock()
	s.closed = true
	q.mu.Unlock()
	q.reader.look.Broadcast()
	q.writer.look.Broadcast()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.reader.setDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.writer.setDeadline(t) }

func (s *side) setDeadline(t time.Time) error {
	s.look.L.Lock()
	closed := s.closed
	s.until = t
	s.look.L.Unlock()
	if closed {
		return failed("set", net.ErrClosed)
	}
	s.look.Broadcast()
	return nil
}

// unusable is why s can do nothing now. The lock is held.
func (s *side) unusable() error {
	if s.closed {
		return net.ErrClosed
	}
	if !s.until.IsZero() && time.Until(s.until) <= 0 {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait, with the lock held, gives it up until something may have changed, a deadline that has come included.
func (s *side) wait() {
	if s.until.IsZero() {
		s.look.Wait()
		return
	}
	left := time.Until(s.until)
	if s.timer == nil {
		s.timer = time.AfterFunc(left, s.wake)
	} else {
		s.timer.Reset(left)
	}
	s.look.Wait()
	s.timer.Stop()
}

// wake is the timer's. With the lock, so that it does not come between the timer's start and the wait for it.
func (s *side) wake() {
	s.look.L.Lock()
	defer s.look.L.Unlock()
	s.look.Broadcast()
}

// failed dresses an error as package net would.
func failed(call string, err error) error {
	return &net.OpError{Op: call, Net: address{}.Network(), Err: err}
}

// address is both ends' address.
type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "in-process" }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return address{} }
