// Around: a backend that looks at requests on their way out and back.

package backend

import (
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// As gives b as a T, if it is one or is around one.
func As[T any](b Backend) (t T, ok bool) {
	for {
		if t, ok = b.(T); ok {
			return t, true
		}
		w, is := b.(interface{ Unwrap() Backend })
		if !is {
			return t, false
		}
		b = w.Unwrap()
	}
}

// around is a Backend that puts itself between each Pending and its Waiter. Requests take the same way as before, and one pooled object.
type around struct {
	Backend
	sent     func(w *between, r *mc.Request) // before r is; nil: nothing is to be kept of it
	answered func(w *between, p *Pending)    // before its waiter is told; it must not block
	pool     sync.Pool
}

// Unwrap gives the backend that it is around.
func (b *around) Unwrap() Backend { return b.Backend }

// Send implements Backend.
func (b *around) Send(r *mc.Request, p *Pending) {
	w, ok := b.pool.Get().(*between)
	if !ok {
		w = &between{b: b}
	}
	w.waiter, w.reads, w.client = p.Waiter, r.PureRead(), r.Client
	if b.sent != nil {
		b.sent(w, r)
	}
	p.Waiter = w
	b.Backend.Send(r, p)
}

// between waits in the place of a request's Waiter.
type between struct {
	b      *around
	waiter Waiter
	reads  bool   // a pure read
	client int32  // as mc.Request has it
	line   []byte // what sent has kept
}

// Done implements Waiter.
func (w *between) Done(p *Pending) bool {
	w.b.answered(w, p)
	p.Waiter = w.waiter
	if w.waiter.Done(p) {
		return true // Wake follows
	}
	w.free()
	return false
}

// Gather implements Gatherer, if the request's own waiter does.
func (w *between) Gather(k Kicker) bool {
	g, ok := w.waiter.(Gatherer)
	return ok && g.Gather(k)
}

// Unwrap gives who waits for the request itself.
func (w *between) Unwrap() Waiter { return w.waiter }

// Wake implements Waiter.
func (w *between) Wake() {
	waiter := w.waiter
	w.free()
	waiter.Wake()
}

// Run implements Runner, if the request's own waiter does; if not it is woken.
func (w *between) Run(leave func()) {
	waiter := w.waiter
	w.free()
	if r, ok := waiter.(Runner); ok {
		r.Run(leave)
	} else {
		waiter.Wake()
	}
}

// Runs implements Runner.
func (w *between) Runs() bool {
	r, ok := w.waiter.(Runner)
	return ok && r.Runs()
}

func (w *between) free() {
	w.waiter = nil
	w.b.pool.Put(w)
}
