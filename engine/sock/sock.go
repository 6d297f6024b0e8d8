// Package sock reads and writes sockets without telling Go's scheduler about each system call.
//
// The scheduler assumes that a system call may block: it notes entry and exit, and its monitor thread, seeing a processor
// that has been in one for 20 µs, hands it to another thread. On a busy machine a write to a loopback socket often takes that
// long, because the kernel delivers to the receiver and wakes it within the call. What follows is a storm of hand-overs, each
// with its context switches, and a monitor that never goes to sleep: measured on 2 cores, a proxy with 200,000 requests/s spent
// 10 % of its CPU there. A call on a non-blocking socket does not block, so here it is made like any other computation: the
// proxy's CPU per request falls by a tenth to a seventh, its context switches by 40 %. Waiting is left to Go's
// poller, as ever.
//
// engine/server reads and writes its clients with Read and Write; backends and the load generator Wrap their connections. Nothing
// here keeps state but the Conn; bytes are used during a call only.
package sock

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Read reads once from a non-blocking descriptor, which the caller keeps from being closed (syscall.RawConn does). EAGAIN:
// nothing is there. 0 without an error: the end of the stream, or an empty p.
func Read(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n, err := read(fd, p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// Write writes as much of p as the socket takes now. EAGAIN with fewer bytes written than there are: the rest must wait.
func Write(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := write(fd, p[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// Unsent is how many bytes the socket holds that the other end's has not taken. 0 where the system does not say.
func Unsent(fd int) int { return unsent(fd) }

// conn is a net.Conn whose Read and Write are those above. Unlike with other connections, only one goroutine may read and
// only one write at a time.
type conn struct {
	net.Conn
	raw syscall.RawConn
	in  transfer
	out transfer
	now transfer // out, without waiting
	got transfer // in, without waiting
}

// transfer is one direction: f, made once so that calls do not allocate, moves p.
type transfer struct {
	p   []byte
	n   int
	err error
	f   func(fd uintptr) bool
}

// Wrap gives nc with cheaper reads and writes, for one reader and one writer at a time; nc itself if it is not a socket.
// Deadlines and Close work as before.
func Wrap(nc net.Conn) net.Conn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	c := &conn{Conn: nc, raw: raw}
	c.in.f = func(fd uintptr) bool {
		if c.in.err == syscall.EAGAIN { // it has been waited for: one turn for everyone else, and more will have come to read at once
			runtime.Gosched()
		}
		c.in.n, c.in.err = Read(int(fd), c.in.p)
		return c.in.err != syscall.EAGAIN
	}
	c.out.f = func(fd uintptr) bool {
		n, err := Write(int(fd), c.out.p[c.out.n:])
		c.out.n, c.out.err = c.out.n+n, err
		return err != syscall.EAGAIN
	}
	c.now.f = func(fd uintptr) bool {
		if c.now.n, c.now.err = Write(int(fd), c.now.p); c.now.err == syscall.EAGAIN {
			c.now.err = nil
		}
		return true
	}
	c.got.f = func(fd uintptr) bool {
		c.got.n, c.got.err = Read(int(fd), c.got.p)
		return true
	}
	return c
}

// Direct is what Wrap gives for a socket.
type Direct interface {
	net.Conn
	syscall.Conn
	// TryRead reads what is there, and counts as a Read. EAGAIN: nothing is.
	TryRead(p []byte) (int, error)
}

// TryRead implements Direct.
func (c *conn) TryRead(p []byte) (int, error) {
	n, err := c.got.do(p, c.raw.Read)
	switch {
	case err == syscall.EAGAIN:
		return 0, err
	case err != nil:
		return n, c.failed("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// SyscallConn implements Direct.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// Try writes as much of p as nc's socket takes now. It counts as a Write; of what Wrap has not wrapped it is one, which waits.
func Try(nc net.Conn, p []byte) (int, error) {
	c, ok := nc.(*conn)
	if !ok {
		return nc.Write(p)
	}
	n, err := c.now.do(p, c.raw.Write)
	if err != nil {
		return n, c.failed("write", err)
	}
	return n, nil
}

// Patience is how long it is until a deadline, for WriteFor: 0 if there is none, and not if it has passed.
func Patience(until time.Time) time.Duration {
	if until.IsZero() {
		return 0
	}
	return max(time.Until(until), 1)
}

// Patient is a connection whose write deadline is kept, and not set: its writes go by WriteFor. It may be used concurrently.
type Patient struct {
	net.Conn
	until atomic.Int64 // Unix nanoseconds; 0: there is none
}

// SetWriteDeadline implements net.Conn.
func (c *Patient) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.until.Store(0)
	} else {
		c.until.Store(t.UnixNano())
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *Patient) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// Left is the Patience that there is for a write.
func (c *Patient) Left() time.Duration {
	if at := c.until.Load(); at != 0 {
		return Patience(time.Unix(0, at))
	}
	return 0
}

// WriteFor writes p, and waits for as long as patience (0: without end) for the socket to take what it does not take at once. Only then a deadline is set: most
// writes need none, and to set it costs as much as a small one. It counts as a Write, and as setting its deadline.
func WriteFor(nc net.Conn, p []byte, patience time.Duration) (int, error) {
	n, err := Try(nc, p)
	if err != nil || n == len(p) {
		return n, err
	}
	if patience > 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(patience)) // if it cannot be set, the socket is closed
		defer nc.SetWriteDeadline(time.Time{})
	}
	m, err := nc.Write(p[n:])
	return n + m, err
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.do(p, c.raw.Read)
	if err != nil {
		return n, c.failed("read", err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.do(p, c.raw.Write)
	if err != nil {
		return n, c.failed("write", err)
	}
	return n, nil
}

// do moves p, waiting with the poller's help as often as it must. An error is the poller's (a deadline, a closed connection)
// or the system call's.
func (t *transfer) do(p []byte, poll func(func(fd uintptr) bool) error) (int, error) {
	t.p, t.n, t.err = p, 0, nil
	err := poll(t.f)
	t.p = nil
	if err == nil {
		err = t.err
	}
	return t.n, err
}

// failed dresses a system call's error as package net would.
func (c *conn) failed(call string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return &net.OpError{Op: call, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, errno)}
	}
	return err
}
