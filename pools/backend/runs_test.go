// Runners that go on in Runs' goroutine, and leave it.

package backend

import (
	"sync"
	"testing"
	"time"
)

// runner notes that it was run or woken.
type runner struct {
	runs bool
	run  func(leave func())
	ran  chan bool // false: woken
}

func newRunner(run func(leave func())) *runner {
	return &runner{runs: true, run: run, ran: make(chan bool, 1)}
}

func (r *runner) Done(*Pending) bool { return true }
func (r *runner) Wake()              { r.ran <- false }
func (r *runner) Runs() bool         { return r.runs }

func (r *runner) Run(leave func()) {
	if r.run != nil {
		r.run(leave)
	}
	r.ran <- true
}

func (r *runner) want(t *testing.T, run bool) {
	t.Helper()
	select {
	case got := <-r.ran:
		if got != run {
			t.Errorf("run %v, want %v", got, run)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody came")
	}
}

// answers brings an answer to each, in one batch.
func answers(r *Runs, all ...*runner) {
	var w Wakes
	for _, to := range all {
		p := NewPending()
		p.Waiter = to
		w.Answer(p)
	}
	r.Wake(&w)
}

func TestRuns(t *testing.T) {
	var r Runs
	r.Start()
	defer r.Close()
	var order []int
	var all []*runner
	for i := range 5 {
		all = append(all, newRunner(func(func()) { order = append(order, i) })) // one after the other, so nothing is locked
	}
	all[2].runs = false
	answers(&r, all...)
	for i, w := range all {
		w.want(t, i != 2)
	}
	if len(order) != 4 || order[0] != 0 || order[3] != 4 {
		t.Errorf("order %v", order)
	}
}

// Who waits has left before, and others are run meanwhile: those that were to be, and those who bring it what it waits for.
func TestRunsGoOnWithoutWhoLeaves(t *testing.T) {
	var r Runs
	r.Start()
	defer r.Close()
	last := make(chan struct{})
	var others []*runner
	for range 3 {
		next := make(chan struct{})
		waits := newRunner(func(leave func()) {
			leave()
			<-next
		})
		others = append(others, waits, newRunner(func(func()) { close(next) }))
	}
	others = append(others, newRunner(func(func()) { close(last) }))
	answers(&r, others...)
	<-last
	for _, w := range others {
		w.want(t, true)
	}
	after := newRunner(nil)
	answers(&r, after)
	after.want(t, true)
}

// Close lets those be run that were to be, and is called by one of them.
func TestRunsClose(t *testing.T) {
	var r Runs
	r.Start()
	list := []*runner{newRunner(func(func()) { r.Close() }), newRunner(nil), newRunner(func(leave func()) { leave() }), newRunner(nil)}
	answers(&r, list...)
	for _, w := range list {
		w.want(t, true)
	}
	late := newRunner(nil)
	answers(&r, late)
	late.want(t, false)
}

// Many at once, some of whom leave.
func TestRunsOfMany(t *testing.T) {
	var r Runs
	r.Start()
	defer r.Close()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				w := newRunner(func(leave func()) {
					if i%7 == 0 {
						leave()
					}
				})
				answers(&r, w)
				w.want(t, true)
			}
		})
	}
	all.Wait()
}

// The list is no longer than what waits in it, also if that is never nothing.
func TestRunsListStaysShort(t *testing.T) {
	var r Runs
	r.Start()
	t.Cleanup(r.Close)
	var last *runner
	var end chan struct{} // lets it end
	for range 10_000 {
		next := make(chan struct{})
		w := newRunner(func(func()) { <-next })
		answers(&r, w)
		if last != nil {
			close(end)
			last.want(t, true)
		}
		last, end = w, next
	}
	close(end)
	last.want(t, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := cap(r.list); n > 100 {
		t.Errorf("room for %d", n)
	}
}
