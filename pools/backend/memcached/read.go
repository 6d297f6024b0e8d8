// The way back: answers are cut, checked and handed to their requests.

package memcached

import (
	"bytes"
	"errors"
	"io"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	readSize = 64 << 10 // the read buffer, in bytes
	keepRead = 2 << 20  // the largest one that is kept after a large answer
)

// read takes answers off the socket until something breaks, which it tells c.broken, or a Loop does so. A reader that leaves has another one take over.
func (c *conn) read() {
	mine := c.reader.Load()
	c.mu.Lock()
	nc := c.nc
	c.mu.Unlock()
	for {
		if !c.rouse(mine) {
			return
		}
		if c.why != nil {
			c.broken <- c.why
			return
		}
		if c.join() {
			return
		}
		c.took(nc.Read(c.rbuf[c.to:]))
	}
}

// took delivers what a read of n bytes has brought, or notes why there will be nothing more.
func (c *conn) took(n int, err error) {
	c.to += n
	if n > 0 {
		c.why = c.deliver()
	}
	switch {
	case err == nil || c.why != nil:
	case isTimeout(err):
		if !c.rearm() {
			c.why = c.late()
		}
	case errors.Is(err, io.EOF):
		c.why = failed(backend.EventDisconnected, backend.ErrDisconnected, "closed with %d answers due", c.waiting())
	default:
		c.why = failed(backend.EventReading, backend.ErrDisconnected, "cannot read: %w", err)
	}
}

// late is why a connection ends that has timed out.
func (c *conn) late() *failure {
	return failed(backend.EventTimeout, backend.ErrTimeout, "no answer within %v", c.b.o.ReadTimeout)
}

// rouse wakes those who have been handed something, or runs what they were to be woken for. It reports false if meanwhile another has become the
// reader, to whom the rest of them is left, too.
func (c *conn) rouse(mine uint32) bool {
	for w := c.wakes.Next(); w != nil; w = c.wakes.Next() {
		r, ok := w.(backend.Runner)
		if !ok {
			w.Wake()
			continue
		}
		c.ran = true
		if r.Run(c.leave); c.reader.Load() != mine {
			return false
		}
	}
	return true
}

// left has another goroutine become the reader, or the Loop.
func (c *conn) left() {
	c.reader.Add(1)
	if !c.joined.Load() {
		go c.read()
		return
	}
	c.watch.Again() // for the rest of those who have been handed something
	c.b.o.Loop.Leave()
}

// waiting is how many requests were written and not answered.
func (c *conn) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inflight
}

// deliver hands over every whole answer in the buffer and makes room for the rest. Who waits is still to be woken.
func (c *conn) deliver() *failure {
	now := backend.Now()
	done, need, f := c.answers(now)
	c.depth.Add(-int64(done))
	c.finished.Add(uint64(done))
	c.mu.Lock()
	c.inflight -= done
	c.heard = now
	if len(c.trial.hit) > 0 {
		c.learnLocked()
	}
	if done > 0 {
		c.whole = now
	}
	c.mu.Unlock()
	if done > 0 {
		c.health.Success()
		c.quickly = 0
	}
	if f == nil {
		f = c.makeRoom(need)
	}
	return f
}

// answers cuts the buffer into answers. need is the length of the one that is not whole yet, 0 if not known.
func (c *conn) answers(now int64) (done, need int, f *failure) {
	for c.from < c.to {
		p := c.next()
		if !c.joint.open && p != nil && (joined(p) || p.Note&noteTrial != 0) {
			c.joint.enter(p)
		}
		if c.joint.open {
			left := c.to - c.from
			more, need, f := c.part(now)
			if done += more; c.to-c.from == left || f != nil {
				return done, need, f
			}
			continue
		}
		if p == nil {
			if done > 0 {
				return done, 0, failed(backend.EventTrailingData, backend.ErrProtocol, "bytes after the last answer: %q", c.peek())
			}
			return done, 0, failed(backend.EventClosedSock, backend.ErrProtocol, "bytes that nobody asked for: %q", c.peek())
		}
		n, need, err := mc.ParseResponse(c.rbuf[c.from:c.to], &p.Resp)
		if errors.Is(err, mc.ErrMore) {
			return done, need, nil
		}
		if err != nil {
			return done, 0, failed(parseKind(err, c.peek()), backend.ErrProtocol, "%w: %q", err, c.peek())
		}
		raw := c.rbuf[c.from : c.from+n]
		verdict, why := c.judge(p.Note, &p.Resp)
		if why != nil {
			return done, 0, failed(verdict, backend.ErrProtocol, "%w: %q", why, c.peek())
		}
		if !c.b.o.Room() {
			return done, 0, failed(backend.EventOutOfMemory, backend.ErrOverloaded, "no memory for an answer of %d bytes", n)
		}
		if c.trial.curious {
			c.trial.see(&p.Resp)
		}
		c.from += n
		c.due.Pop()
		if n >= backend.Large && verdict == "" {
			c.handOver(p, raw)
		} else {
			p.Buf = append(p.Buf[:0], raw...)
			p.Resp.Rebase(p.Buf)
		}
		p.Err, p.End = nil, now
		c.wakes.Answer(p)
		done++
		if verdict != "" {
			return done, 0, failed(verdict, backend.ErrProtocol, "answered %q", raw[:min(len(raw), 100)])
		}
	}
	return done, 0, nil
}

// next is the request that the next answer belongs to, or nil if none was written.
func (c *conn) next() *backend.Pending {
	if p := c.due.Head(); p != nil {
		return p
	}
	c.mu.Lock()
	c.due.Move(&c.sent)
	c.mu.Unlock()
	return c.due.Head()
}

// peek is the beginning of what is not understood, for errors.
func (c *conn) peek() []byte { return c.rbuf[c.from:min(c.to, c.from+100)] }

// makeRoom moves what is left to the front of the buffer and has it grow if it is full, with what has really come rather
// than with what a server promises.
func (c *conn) makeRoom(need int) *failure {
	left := c.to - c.from
	if need > c.b.o.MaxAnswer || left > c.b.o.MaxAnswer {
		return failed(backend.EventOutOfMemory, backend.ErrProtocol, "an answer of %d bytes is over the limit of %d", max(need, left), c.b.o.MaxAnswer)
	}
	if left == 0 && len(c.rbuf) > keepRead {
		c.from, c.to = 0, 0
		c.replace(readSize)
		return nil
	}
	if c.from > 0 {
		copy(c.rbuf, c.rbuf[c.from:c.to])
		c.from, c.to = 0, left
	}
	if left == len(c.rbuf) {
		c.grow(max(2*left, min(need, 4*left)))
	}
	return nil
}

// grow makes the read buffer at least size long.
func (c *conn) grow(size int) {
	if size > len(c.rbuf) {
		old := c.block
		c.replace(size)
		if old != nil {
			old.Release()
		}
	}
}

// replace has what is not understood yet, and what is read from now on, in another buffer. The one it was in is not given back.
func (c *conn) replace(size int) {
	rest := c.rbuf[c.from:c.to]
	c.block = backend.NewBlock(size)
	c.rbuf = c.block.B
	c.from, c.to = 0, copy(c.rbuf, rest)
}

// handOver gives p its answer, raw, with the buffer that it lies in, and goes on in another one.
func (c *conn) handOver(p *backend.Pending, raw []byte) {
	p.Own(c.block, raw)
	c.replace(len(c.rbuf))
}

// parseKind names what mc could not follow.
func parseKind(err error, rest []byte) backend.EventKind {
	switch {
	case bytes.HasPrefix(rest, []byte("STAT ")): // mc knows no request that it answers
		return backend.EventUnhandledRes
	case errors.Is(err, mc.ErrMissingEnd):
		return backend.EventMissingEnd
	case errors.Is(err, mc.ErrTooBig):
		return backend.EventOutOfMemory
	}
	return backend.EventParsing
}
