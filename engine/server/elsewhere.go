// Elsewhere: the rest of a batch is served by whoever brings the answer that it waits for, and not by the connection's goroutine.
//
// A goroutine that waits for an answer and then for its client is woken twice for each request; here it waits for the client at once, and
// what else there is to do is done where the answer is read. So the connection has two who may work for it, and away says whose
// it is. The goroutine makes sure of that, with home, whenever it has been woken. Who works elsewhere must not wait: what the socket does not take, and all ends,
// it leaves to the goroutine.

package server

// The values of conn.away.
const (
	awayNot    = iota // the connection is its goroutine's
	awayOut           // it is Home's
	awayMissed        // and the goroutine waits to have it back
	awayLoop          // the loop may take it
)

// mayGo reports whether b may be served elsewhere: it is one request, after which nothing has been read, and nothing is left in the socket that
// its buffer had no room for: that would not make the socket readable anew.
func (c *conn) mayGo(b *Batch, last bool) bool {
	return c.async != nil && c.srv.async.Load() && len(b.Reqs) == 1 && !last && c.r == c.w && c.w < len(c.buf.b) && c.batches > uint64(c.srv.opts.AsyncAfter) &&
		!c.srv.stopping.Load()
}

// begin begins a batch that may be gone on with elsewhere. done: it was not, and err is what Serve would have returned; else nothing of c may be touched.
func (c *conn) begin(b *Batch) (done bool, err error) {
	if c.back == nil {
		c.back = make(chan struct{}, 1)
	}
	c.away.Store(awayOut)
	waits, err := c.async.Begin(b, c, nil)
	if waits {
		return false, nil
	}
	c.away.Store(awayNot)
	return true, err
}

// GoOn implements Home.
func (c *conn) GoOn() {
	defer c.recovers()
	c.elsewhere = true
	switch how, err := c.async.Onward(c.batch); how {
	case Left:
		c.left = true
		c.comeHome()
	case Done:
		c.end(err)
	}
}

// recovers is deferred by who serves the connection elsewhere.
func (c *conn) recovers() {
	if p := recover(); p != nil {
		c.panicked(p)
		c.comeHome()
	}
}

// end ends the batch, as serve and turn do it in the goroutine, as far as that can be done without waiting.
func (c *conn) end(err error) {
	c.seen.Store(c.srv.tick.Load())
	if err == nil {
		err = c.batch.Flush()
	}
	// A connection that makes sure that nothing is left to read does so itself (see turn); a server that stops has all do so.
	if err == nil && len(c.rest) == 0 && (c.inLoop || c.batches >= trustEdges) && !c.srv.stopping.Load() {
		c.unchecked.Store(!c.inLoop)
		if c.more() || !c.park() {
			c.elsewhere = false
			c.giveBack()
			return
		}
	}
	c.endErr = err
	c.comeHome()
}

// comeHome has the goroutine do what is left to do.
func (c *conn) comeHome() {
	c.unfinished = true
	if c.inLoop {
		c.part()
		return
	}
	c.giveBack()
	c.nudge()
}

// giveBack gives the connection to its goroutine, or to the loop.
func (c *conn) giveBack() {
	if c.inLoop {
		c.release()
		return
	}
	if !c.away.CompareAndSwap(awayOut, awayNot) {
		c.away.Store(awayNot)
		c.back <- struct{}{}
	}
}

// home waits until the connection is its goroutine's, and does what was left to it.
func (c *conn) home() {
	if c.away.Load() != awayNot && c.away.CompareAndSwap(awayOut, awayMissed) {
		<-c.back
	}
	if !c.unfinished {
		return
	}
	left, err, last := c.left, c.endErr, false
	c.unfinished, c.elsewhere, c.left, c.endErr = false, false, false, nil
	if left {
		err = c.async.Complete(c.batch)
	} else if c.unserved && c.why == nil {
		err, last = c.sess.Serve(c.batch), c.last
	}
	c.unserved = false
	if werr := c.writeRest(); c.why == nil {
		c.why = werr
	}
	if c.why == nil { // else it has panicked, or its time was up when it would have waited again
		c.served(c.batch, err, last)
		c.final = c.final || c.srv.stopping.Load()
	}
}

// writeRest writes what the socket did not take when nobody could wait for it.
func (c *conn) writeRest() (err error) {
	rest := c.rest
	if len(rest) == 0 {
		return nil
	}
	c.rest = nil
	if c.why != errPanic {
		var n int
		n, err = c.patiently(rest)
		c.written.Store(c.written.Load() + uint64(n))
	}
	c.unreserve(len(rest))
	return err
}

// writeElsewhere is Write for who must not wait.
func (c *conn) writeElsewhere(p []byte) (n int, err error) {
	if len(c.rest) == 0 {
		if n, err = c.try(p); err != nil {
			return n, err
		}
	}
	if !c.reserve(len(p) - n) {
		return n, c.unread()
	}
	c.rest = append(c.rest, p[n:]...)
	return len(p), nil
}
