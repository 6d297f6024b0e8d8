// Handing over: how a backend tells waiters, once per Pending, and wakes them, once per batch.

package backend

import "github.com/tidepool-proxy/tidepool/engine/mc"

// Wakes collects the waiters that must be woken after a batch of Pendings was handed over. The zero Wakes is empty; it belongs to
// one goroutine and keeps its memory.
type Wakes struct {
	list []Waiter
	next int // in list
}

// Answer hands p, answered, to its waiter. p must not be touched afterwards.
func (w *Wakes) Answer(p *Pending) {
	if waiter := p.Waiter; waiter.Done(p) {
		w.list = append(w.list, waiter)
	}
}

// Fail hands p over with err.
func (w *Wakes) Fail(p *Pending, err error) {
	fail(p, err)
	w.Answer(p)
}

// FailAll empties l, handing over everything with err.
func (w *Wakes) FailAll(l *List, err error) {
	for p := l.Pop(); p != nil; p = l.Pop() {
		w.Fail(p, err)
	}
}

// Wake wakes everyone collected, once each.
func (w *Wakes) Wake() {
	for i, waiter := range w.list {
		waiter.Wake()
		w.list[i] = nil
	}
	w.list = w.list[:0]
}

// Next gives the next one to be woken, by the caller, or nil. It is for those who call Run where they can.
func (w *Wakes) Next() Waiter {
	if w.next == len(w.list) {
		w.list, w.next = w.list[:0], 0
		return nil
	}
	waiter := w.list[w.next]
	w.list[w.next] = nil
	w.next++
	return waiter
}

// Refuse hands over a single Pending with err and wakes its waiter: for Sends that fail at once, which take no time.
func Refuse(p *Pending, err error) {
	fail(p, err)
	p.End = p.Start // and not now: this may be Start of another Clock
	if waiter := p.Waiter; waiter.Done(p) {
		waiter.Wake()
	}
}

func fail(p *Pending, err error) {
	p.Err = err
	p.Resp = mc.Response{}
	p.End = Now()
}
