// What comes in on a connection, and when.

package load

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// reader buffers what arrives. Unlike bufio's it hands out whole values in place, and notes the time of each read: all answers that one
// read has brought arrived then, whenever they are looked at, so the clock is asked once for all of them. One goroutine uses it.
type reader struct {
	nc       net.Conn
	clock    func() time.Duration
	overdue  func(silence time.Duration) error // decides at a deadline; nil: go on reading
	buf      []byte
	from, to int           // of buf, what is not yet taken
	at       time.Duration // of the latest read
}

const firstBuffer = 16 << 10

func newReader(nc net.Conn, clock func() time.Duration, overdue func(time.Duration) error) *reader {
	return &reader{nc: nc, clock: clock, overdue: overdue, buf: make([]byte, firstBuffer)}
}

// line takes a line, without its end; it is valid until the next call of a method.
func (r *reader) line() ([]byte, error) {
	seen := 0
	for {
		if i := bytes.IndexByte(r.buf[r.from+seen:r.to], '\n'); i >= 0 {
			line := r.buf[r.from : r.from+seen+i]
			r.from += seen + i + 1
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		seen = r.to - r.from
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// block takes n bytes; they are valid until the next call of a method.
func (r *reader) block(n int) ([]byte, error) {
	for r.to-r.from < n {
		if r.from+n > len(r.buf) {
			r.makeRoom(n)
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
	r.from += n
	return r.buf[r.from-n : r.from], nil
}

// makeRoom moves what is there to the front of a buffer that holds n bytes at least.
func (r *reader) makeRoom(n int) {
	to := r.buf
	if n > len(to) {
		to = make([]byte, max(n, 2*len(to)))
	}
	r.to = copy(to, r.buf[r.from:r.to])
	r.from, r.buf = 0, to
}

// empty says that nothing is buffered.
func (r *reader) empty() bool { return r.from == r.to }

// more waits for bytes.
func (r *reader) more() error {
	switch {
	case r.from == r.to:
		r.from, r.to = 0, 0
	case r.to == len(r.buf) && r.from > 0:
		r.makeRoom(r.to - r.from)
	case r.to == len(r.buf):
		r.makeRoom(2 * len(r.buf))
	}
	for {
		n, err := r.nc.Read(r.buf[r.to:])
		if n > 0 {
			r.to += n
			r.at = r.clock()
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := r.overdue(r.clock() - r.at); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			return io.ErrNoProgress
		}
	}
}
