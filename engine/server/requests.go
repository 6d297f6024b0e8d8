// Requests: what has been read is cut into batches, which the session serves.

package server

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// work serves every whole request in the buffer. False: the connection ends.
func (c *conn) work() bool {
	if c.skip > 0 {
		n := min(c.skip, c.w-c.r)
		c.skip -= n
		c.r += n
	}
	if c.w-c.r < c.need {
		return true
	}
	c.need, c.needLine = 0, false
	for c.r < c.w && c.need == 0 && !c.needLine {
		if c.batch == nil {
			c.batch = c.srv.getBatch(c)
		}
		last := c.parse(c.batch)
		if len(c.batch.Reqs) == 0 {
			continue
		}
		if !c.serve(last) {
			return false
		}
	}
	return c.lineFits()
}

// lineFits ends the connection if its client sends a line without end.
func (c *conn) lineFits() bool {
	if c.needLine && c.w-c.r > c.srv.opts.MaxLine {
		c.srv.counted.refused.Add(1)
		c.Write(lineTooLong)
		c.why = errBad
	}
	return c.why == nil
}

// parse cuts up to MaxBatch requests from the buffer into b, and notes in c.need if the next is not whole. True: the last
// one is so bad that the connection ends after its answer.
func (c *conn) parse(b *Batch) (last bool) {
	b.Reqs, b.Counted = b.Reqs[:0], false
	b.Rules = c.sess.Rules()
	for len(b.Reqs) < c.srv.opts.MaxBatch && c.r < c.w {
		r := b.next()
		n, need, err := c.parser.Next(c.buf.b[c.r:c.w], &b.Rules, r)
		c.r += n
		if err != nil {
			c.muted = need > 0 && r.NoReply
			b.Reqs = b.Reqs[:len(b.Reqs)-1]
			c.need, c.needLine = need, need == 0 && c.r < c.w
			return false
		}
		if r.Bad != mc.BadNone && r.Bad.Closes() {
			return true
		}
		if b.Rules.Login {
			return false
		}
	}
	return false
}

// serve gives the batch to the session and writes the answers. False: the connection ends.
func (c *conn) serve(last bool) bool {
	b := c.batch
	if c.begun.Load() != 0 {
		c.begun.Store(0)
	}
	c.batches++
	err := c.sess.Serve(b)
	c.seen.Store(c.srv.tick.Load()) // a client that waits for its answer is not idle
	if errors.As(err, &c.stream) {
		err = errStream
	} else if err != nil && !errors.Is(err, ErrClose) {
		c.why = err
		return false
	}
	if werr := b.Flush(); werr != nil {
		c.why = werr
		return false
	}
	switch {
	case last:
		c.why = errBad
	case err == errStream:
		c.why = err
	case err != nil:
		c.why = errAsked
	}
	return c.why == nil
}
