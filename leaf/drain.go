// Draining: a leaf that stops answers what was sent to it before its proxies knew.

package leaf

import (
	"context"
	"time"
)

const (
	// drainLimit bounds a drain whose context has no end.
	drainLimit = 5 * time.Second

	// usualNotice is how long a proxy has to take notice of a drain. Those of before hello said to whom requests go, and those that do not answer
	// at once, say hello within it; what a frame needs on its way is less. One that was stopped costs a drain so much.
	usualNotice = time.Second
)

// withEnd leaves a deadline as it is, however late, and gives drainLimit where there is none.
func withEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, drainLimit)
}

// Drain tells proxies to stay away and waits until they have stopped sending and everything is answered, or ctx ends. A proxy that was heard of in the
// last five seconds has stopped when it says so; one that says nothing is waited for a second, and one that has gone is not. Close does it; whoever else
// serves the leaf's items calls it first, and Close when nobody asks for them any more.
func (l *Leaf) Drain(ctx context.Context) {
	ctx, cancel := withEnd(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return
	}
	l.state.Store(stateDraining)
	now := time.Now()
	l.announced.CompareAndSwap(nil, &now) // who calls it twice does not wait twice for who is silent
	give := l.announced.Load().Add(l.notice)
	l.announce()
	l.streams.stop()
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for quiet, last := 0, l.count.frames.Load(); quiet < 2; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		quiet++
		n := l.count.frames.Load()
		if n != last || l.count.pending.Load() > 0 || l.streams.len() > 0 || time.Now().Before(give) && l.unnoticed() {
			quiet, last = 0, n
		}
	}
	for !l.direct.inboxes.written() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	_ = l.nc.FlushWithContext(ctx) // best effort: what is lost now is a timeout at the proxy
}

// unnoticed reports whether there is a proxy that may not know yet that the leaf drains, so that something of it may be on its way.
func (l *Leaf) unnoticed() bool {
	from := l.o.Now().Add(-lately).UnixMilli()
	for _, p := range l.peers.all() {
		if !p.noticed.Load() && p.seen.Load() >= from && l.reaches(p) {
			return true
		}
	}
	return false
}

// reaches reports whether anybody takes what is published to p. Of a NATS system that it has joined a leaf cannot tell.
func (l *Leaf) reaches(p *peer) bool {
	return l.srv == nil || l.srv.GlobalAccount().SubscriptionInterest(p.reply)
}
