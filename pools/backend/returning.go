// Returning: a backend that is emptied when it comes back after it has missed a write (mcp.backend's option flush_on_return).

package backend

import (
	"errors"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// WithFlush gives b such that nothing it held is read any more once it has missed a write and was away: a server that was cut off still has
// what was overwritten or deleted elsewhere meanwhile. It has missed a write if one failed (not if it was answered with an error); it was away if a
// request was refused because it is marked bad. From then on every request is refused with ErrDown until b has answered a flush_all,
// which is sent with the first request that comes and each after it that finds none under way. flushed, which must not block, is told of each.
//
// It knows of writes that come through itself alone. Every proxy that has missed one empties b, when it first reaches it again.
func WithFlush(b Backend, flushed func()) Backend {
	w := &returning{around: around{Backend: b}, flushed: flushed}
	w.answered = func(of *between, p *Pending) { w.note(p.Err, of.reads) }
	return w
}

// What is known of a returning backend.
const (
	missed   = 1 << iota // a write failed
	away                 // it was marked bad
	flushing             // a flush_all is under way
	suspect  = missed | away
)

type returning struct {
	around
	flushed func()
	state   atomic.Uint32
}

// Send implements Backend.
func (b *returning) Send(r *mc.Request, p *Pending) {
	if b.state.Load()&suspect == suspect {
		b.flush()
		p.Backend = b.Backend
		Refuse(p, ErrDown)
		return
	}
	b.around.Send(r, p)
}

// note takes note of how a request ended.
func (b *returning) note(err error, reads bool) {
	switch {
	case err == nil:
		if b.state.Load() == away {
			b.state.CompareAndSwap(away, 0) // it missed nothing
		}
		return
	case errors.Is(err, ErrRefused), errors.Is(err, ErrOverloaded), errors.Is(err, ErrClosed):
		return // not of its being away
	case errors.Is(err, ErrDown):
		b.state.Or(away)
	}
	if !reads {
		b.state.Or(missed)
	}
}

// flush sends a flush_all unless one is under way.
func (b *returning) flush() {
	if b.state.Or(flushing)&flushing != 0 {
		return
	}
	p := NewPending()
	p.Waiter, p.Start = flushWaiter{b}, Now()
	b.Backend.Send(&flushAll, p)
}

var flushAll = func() (r mc.Request) {
	var parser mc.Parser
	if _, _, err := parser.Next([]byte("flush_all\r\n"), &mc.Rules{}, &r); err != nil {
		panic(err) // cannot happen
	}
	return r
}()

// flushWaiter waits for the answer to flush_all.
type flushWaiter struct{ b *returning }

// Done implements Waiter.
func (w flushWaiter) Done(p *Pending) bool {
	if p.Err == nil && p.Resp.OK() {
		w.b.state.Store(0)
		w.b.flushed()
	} else {
		w.b.state.And(^uint32(flushing))
	}
	p.Release()
	return false
}

// Wake implements Waiter.
func (flushWaiter) Wake() {}
