// Requests: what has been read is cut into batches, which the session serves.

package server

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// progress is how far serving has come.
type progress int

const (
	goesOn progress = iota
	ends            // c.why says why
	waits           // the connection is away: nothing of it may be touched
)

// work serves every whole request in the buffer.
func (c *conn) work() progress {
	if c.skip > 0 {
		n := min(c.skip, c.w-c.r)
		c.skip -= n
		c.r += n
	}
	if c.w-c.r < c.need {
		return goesOn
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
		if p := c.serve(last); p != goesOn {
			return p
		}
	}
	return c.lineFits()
}

// lineFits ends the connection if its client sends a line without end.
func (c *conn) lineFits() progress {
	if c.needLine && c.w-c.r > c.srv.opts.MaxLine {
		c.srv.counted.refused.Add(1)
		c.Write(lineTooLong)
		c.why = errBad
		return ends
	}
	return goesOn
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

// serve gives the batch to the session and writes the answers.
func (c *conn) serve(last bool) progress {
	b := c.batch
	if c.begun.Load() != 0 {
		c.begun.Store(0)
	}
	if c.batches++; c.batches%askAsync == 0 {
		c.srv.setAsync()
	}
	if c.inLoop {
		c.serveInLoop(b, last)
		return waits
	}
	var err error
	if c.mayGo(b, last) {
		var done bool
		if done, err = c.begin(b); !done {
			return waits
		}
	} else {
		err = c.sess.Serve(b)
	}
	return c.served(b, err, last)
}

// served ends a batch for which the session has returned err.
func (c *conn) served(b *Batch, err error, last bool) progress {
	c.seen.Store(c.srv.tick.Load()) // a client that waits for its answer is not idle
	if errors.As(err, &c.stream) {
		err = errStream
	} else if err != nil && !errors.Is(err, ErrClose) {
		c.why = err
		return ends
	}
	if werr := b.Flush(); werr != nil {
		c.why = werr
		return ends
	}
	switch {
	case last:
		c.why = errBad
	case err == errStream:
		c.why = err
	case err != nil:
		c.why = errAsked
	}
	if c.why != nil {
		return ends
	}
	return goesOn
}
