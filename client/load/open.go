// The open loop: requests are due at a fixed rate.

package load

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// perPacer is how many requests a second one goroutine sends: each may cost it a write and a wake-up.
const perPacer = 50_000

// openLoop sends each request when it is due. One or a few goroutines send, for many connections each, because waking up for each request
// is what an open loop costs; every connection has one that receives.
func (r *run) openLoop(conns []*conn) error {
	pacers := max(1, min(1+int(r.o.Rate/perPacer), runtime.GOMAXPROCS(0)-1, len(conns)))
	errs := make(chan error, len(conns)+pacers)
	for _, c := range conns {
		go func() { errs <- c.receive() }()
	}
	for i := range pacers {
		go func() { errs <- r.pace(conns, i, pacers) }()
	}
	return r.first(errs)
}

// pace sends what is due on every connection i, i+step and so on. Depth requests are due at once on one connection, as a client sends that
// pipelines; of all connections, whose turn it is in order, Rate a second.
func (r *run) pace(conns []*conn, i, step int) error {
	var own []*conn
	for ; i < len(conns); i += step {
		own = append(own, conns[i])
	}
	defer func() {
		for _, c := range own {
			c.finish()
		}
	}()
	alarm := newAlarm()
	defer alarm.close()
	owner := func(n int) *conn { return own[n/r.o.Depth%len(own)] }
	due := func(n int) time.Duration {
		turn := n/r.o.Depth/len(own)*len(conns) + owner(n).i
		return r.begin + time.Duration(float64(turn*r.o.Depth)/r.o.Rate*float64(time.Second))
	}
	var dirty []*conn
	for n, next := 0, due(0); next < r.end && !r.stopped.Load(); {
		now := r.clock()
		if next > now {
			alarm.sleep(next - now)
			continue
		}
		dirty = dirty[:0]
		for batch := 0; next <= now && next < r.end && batch < 64*len(own); batch++ {
			c := owner(n)
			if len(c.out) == 0 {
				dirty = append(dirty, c)
			}
			if err := c.put(next, now); err != nil {
				return err
			}
			n++
			next = due(n)
		}
		for _, c := range dirty {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// put appends a request that is due, and lets the receiver know of it: what is known is sent soon.
func (c *conn) put(due, now time.Duration) error {
	o := c.flying.slot()
	for ; o == nil; o = c.flying.slot() {
		if err := c.flush(); err != nil { // what is answered makes room
			return err
		}
		if c.r.stopped.Load() {
			return c.lost(errStopped)
		}
		time.Sleep(100 * time.Microsecond)
		now = c.r.clock()
	}
	c.next(o)
	o.due = due
	c.late.observe(int64(now - due))
	if c.flying.empty() {
		c.since.Store(int64(now))
	}
	c.flying.put()
	return nil
}

// finish says that nothing more is sent, and wakes the receiver if it waits for nothing.
func (c *conn) finish() {
	c.finished.Store(true)
	if c.flying.empty() {
		_ = c.nc.SetReadDeadline(time.Now())
	}
}

// receive reads the answers to all that is sent.
func (c *conn) receive() error {
	defer c.publish()
	for {
		o := c.flying.front()
		if o == nil {
			if c.finished.Load() && c.flying.empty() {
				return nil
			}
			if !c.in.empty() {
				return fmt.Errorf("%w: connection %d has an answer that nothing was asked for", errWrong, c.i)
			}
			if err := c.in.more(); errors.Is(err, errFinished) {
				return nil
			} else if err != nil {
				return c.lost(err)
			}
			continue
		}
		if err := c.answer(o); err != nil {
			return err
		}
		c.flying.drop()
	}
}
