// The virtual clock, and who runs when: timers and coroutines, one at a time.

package routetest

import (
	"container/heap"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// began is when every test begins.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// forever is later than everything.
const forever = math.MaxInt64

// clock implements backend.Clock. It belongs to the goroutine of the test, but for now: stores look at it from theirs.
type clock struct {
	now   atomic.Int64 // nanoseconds since the test began
	seq   uint64
	due   events
	tasks []*task // in the order of their beginning
	idle  []*task // whose goroutines wait for something to do
	cur   *task   // the one that runs; nil: the test itself
}

// event is something that happens at a time.
type event struct {
	c    *clock
	at   int64
	seq  uint64 // of two at the same time the first that was arranged comes first
	f    func()
	slot int // in the heap; -1: not there
}

type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].slot, q[j].slot = i, j
}

// Push implements heap.Interface.
func (q *events) Push(x any) {
	e := x.(*event)
	e.slot = len(*q)
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *events) Pop() any {
	n := len(*q) - 1
	e := (*q)[n]
	(*q)[n] = nil
	*q = (*q)[:n]
	e.slot = -1
	return e
}

// task is a coroutine.
type task struct {
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	f      func()          // what it does; nil: it has done it
	ready  bool            // it has not begun
	wakes  <-chan struct{} // while it waits
	until  int64
}

// woken reports whether what t waits for is there.
func (t *task) woken() bool { return t.ready || len(t.wakes) > 0 }

// reset begins a new test. Nothing may be under way.
func (c *clock) reset() {
	c.now.Store(0)
	c.seq, c.due, c.tasks, c.cur = 0, c.due[:0], c.tasks[:0], nil
}

// Now implements backend.Clock.
func (c *clock) Now() int64 { return c.now.Load() }

// Wall implements backend.Clock.
func (c *clock) Wall() time.Time { return began.Add(time.Duration(c.now.Load())) }

// millis is Wall in Unix milliseconds, for stores.
func (c *clock) millis() int64 { return c.Wall().UnixMilli() }

// at has f called at a time; f must not wait.
func (c *clock) at(t int64, f func()) *event {
	e := &event{c: c, f: f}
	e.schedule(t)
	return e
}

func (e *event) schedule(t int64) {
	e.at, e.seq = t, e.c.seq
	e.c.seq++
	heap.Push(&e.c.due, e)
}

// Stop implements backend.Timer.
func (e *event) Stop() bool {
	if e.slot < 0 {
		return false
	}
	heap.Remove(&e.c.due, e.slot)
	return true
}

// Reset implements backend.Timer.
func (e *event) Reset(d time.Duration) bool {
	was := e.Stop()
	e.schedule(e.c.after(d))
	return was
}

// after is the moment d from now.
func (c *clock) after(d time.Duration) int64 {
	now := c.Now()
	if d > time.Duration(forever-now) {
		return forever
	}
	return now + int64(max(d, 0))
}

// AfterFunc implements backend.Clock.
func (c *clock) AfterFunc(d time.Duration, f func()) backend.Timer {
	return c.at(c.after(d), func() { c.Go(f) })
}

// Go implements backend.Clock.
func (c *clock) Go(f func()) { c.begin(f) }

// begin makes a coroutine, which is run when it is its turn.
func (c *clock) begin(f func()) *task {
	var t *task
	if n := len(c.idle); n > 0 { // a new one would have to let its stack grow
		t, c.idle = c.idle[n-1], c.idle[:n-1]
	} else {
		t = &task{}
		t.resume, t.stop = iter.Pull(t.serve)
	}
	t.f, t.ready = f, true
	c.tasks = append(c.tasks, t)
	return t
}

// serve is t's goroutine.
func (t *task) serve(yield func(struct{}) bool) {
	t.yield = yield
	for {
		t.f()
		t.f = nil
		if !yield(struct{}{}) {
			return
		}
	}
}

// close ends the goroutines of coroutines.
func (c *clock) close() {
	for _, t := range c.idle {
		t.stop()
	}
	c.idle = nil
}

// run lets t go on until it waits or ends.
func (c *clock) run(t *task) {
	t.ready = false
	outer := c.cur
	c.cur = t
	t.resume()
	c.cur = outer
	if t.f == nil {
		c.idle = append(c.idle, t)
		for i, x := range c.tasks {
			if x == t {
				c.tasks = append(c.tasks[:i], c.tasks[i+1:]...)
				break
			}
		}
	}
}

// Wait implements backend.Clock.
func (c *clock) Wait(wakes <-chan struct{}, d time.Duration) bool {
	t := c.cur
	if t == nil {
		panic("routetest: the test itself would wait")
	}
	t.wakes, t.until = wakes, forever
	if d >= 0 {
		t.until = c.after(d)
	}
	t.yield(struct{}{})
	t.wakes = nil
	select {
	case <-wakes:
		return true
	default:
		return false
	}
}

// work runs everything that is due, in virtual time, until done says so or nothing is left to do before the time `until`. It reports whether
// done said so.
func (c *clock) work(until int64, done func() bool) bool {
	for !done() {
		if !c.step(until) {
			return false
		}
	}
	return true
}

// maxSettle is how many things are run at one moment at most: a route may wait for nothing, for ever.
const maxSettle = 10_000

// settle runs what can run without time going on.
func (c *clock) settle() {
	n := 0
	c.work(c.Now(), func() bool {
		n++
		return n > maxSettle
	})
}

// step runs one thing: first coroutines that can go on; then what happens at this moment, all of it, so that answers of one moment are
// looked at together; then coroutines whose time is up; then time goes on.
func (c *clock) step(until int64) bool {
	now := c.Now()
	for _, t := range c.tasks {
		if t.woken() {
			c.run(t)
			return true
		}
	}
	if len(c.due) > 0 && c.due[0].at <= now {
		for len(c.due) > 0 && c.due[0].at <= now {
			heap.Pop(&c.due).(*event).f()
		}
		return true
	}
	next := int64(forever)
	for _, t := range c.tasks {
		if t.until <= now {
			c.run(t)
			return true
		}
		next = min(next, t.until)
	}
	if len(c.due) > 0 {
		next = min(next, c.due[0].at)
	}
	if next == forever || next > until {
		return false
	}
	c.now.Store(next)
	return true
}
