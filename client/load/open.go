// The open loop: requests are due at a fixed rate.

package load

import (
	"sync/atomic"
	"time"
)

// most is how many requests of one connection may be unanswered in the open loop. What is due beyond that is sent late, and its
// latency counts from when it was due all the same.
const most = 4096

// openLoop sends each request when it is due. One goroutine sends, this one receives.
func (c *conn) openLoop() error {
	flying := make(chan op, most)
	var failed atomic.Bool
	done := make(chan error, 1)
	go func() {
		defer close(flying)
		done <- c.sendOpen(flying, &failed)
	}()
	var err error
	for o := range flying {
		if err != nil {
			continue
		}
		c.nc.SetReadDeadline(time.Now().Add(c.r.o.Timeout))
		if err = c.answer(&o); err != nil {
			failed.Store(true)
		}
	}
	if sendErr := <-done; err == nil {
		err = sendErr
	}
	return err
}

// sendOpen sends what is due, in one write for all that is.
func (c *conn) sendOpen(flying chan<- op, failed *atomic.Bool) error {
	interval := time.Duration(float64(time.Second) * float64(c.r.o.Conns) / c.r.o.Rate)
	due := time.Now().Add(interval * time.Duration(c.i) / time.Duration(c.r.o.Conns))
	for due.Before(c.r.end) && !failed.Load() {
		if d := time.Until(due); d > 0 {
			time.Sleep(d)
		}
		c.out = c.out[:0]
		var ops []op
		for now := time.Now(); !due.After(now) && due.Before(c.r.end) && len(ops) < 64; due = due.Add(interval) {
			o := c.next(nil)
			o.due = due
			ops = append(ops, o)
		}
		if err := c.flush(); err != nil {
			return err
		}
		for _, o := range ops {
			flying <- o
		}
	}
	return nil
}
