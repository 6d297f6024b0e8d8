// Logged: a backend that reports the requests it answered, by chance, by time or by outcome (mcp.backend's option log).

package backend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// LogRule says which requests to a backend are reported. It is comparable, being a part of what makes a backend that backend. The zero
// value is none.
type LogRule struct {
	Deadline time.Duration // those that took longer. 0: off
	Rate     int           // one in so many, by chance; 1: all. 0: off
	Errors   bool          // those that failed or were answered with an error line
	Tag      string        // what they are reported with
}

// wants reports whether the rule applies to p, which is answered.
func (r *LogRule) wants(p *Pending, intN func(int) int) bool {
	switch {
	case r.Rate == 1:
	case r.Errors && (p.Err != nil || !p.Resp.OK()):
	case r.Deadline > 0 && time.Duration(p.End-p.Start) > r.Deadline:
	case r.Rate > 0 && intN(r.Rate) == 0:
	default:
		return false
	}
	return true
}

// LogEntry is one reported request. Everything is valid during the call only.
type LogEntry struct {
	Tag     string
	Line    []byte   // the request's first line without its end, cut to 300 bytes
	Pending *Pending // answered, and about to be handed over: Lane, Start, End, Resp and Err may be read
	Addr    string   // the backend's
	Client  int32    // the number of the connection that the request came from, as mc.Request has it
}

// maxLogLine is upstream's limit.
const maxLogLine = 300

// WithLog gives b with every request that rule applies to reported to tell, which is called from b's goroutines and those of
// senders, and must not block. b's own requests take the same way as before, and one pooled object.
func WithLog(b Backend, rule LogRule, tell func(LogEntry)) Backend {
	l := &logged{Backend: b, rule: rule, tell: tell, addr: b.Status().Addr}
	l.pool.New = func() any { return &logWaiter{b: l} }
	if f, ok := b.(PrefixFlusher); ok {
		return loggedFlusher{l, f}
	}
	return l
}

// logged is a Backend that puts itself between each Pending and its Waiter.
type logged struct {
	Backend
	rule LogRule
	tell func(LogEntry)
	addr string
	pool sync.Pool
}

// Unwrap gives the backend whose requests are reported.
func (l *logged) Unwrap() Backend { return l.Backend }

// Send implements Backend.
func (l *logged) Send(r *mc.Request, p *Pending) {
	w := l.pool.Get().(*logWaiter)
	w.waiter, w.client = p.Waiter, r.Client
	w.line = append(w.line[:0], r.Line[:min(len(r.Line), maxLogLine)]...)
	p.Waiter = w
	l.Backend.Send(r, p)
}

type loggedFlusher struct {
	*logged
	f PrefixFlusher
}

func (l loggedFlusher) FlushPrefix(ctx context.Context, prefix []byte) error {
	return l.f.FlushPrefix(ctx, prefix)
}

// logWaiter waits in the place of a request's Waiter.
type logWaiter struct {
	b      *logged
	waiter Waiter
	line   []byte
	client int32
}

// Done implements Waiter.
func (w *logWaiter) Done(p *Pending) bool {
	if w.b.rule.wants(p, rand.IntN) {
		w.b.tell(LogEntry{w.b.rule.Tag, w.line, p, w.b.addr, w.client})
	}
	p.Waiter = w.waiter
	if w.waiter.Done(p) {
		return true // Wake follows
	}
	w.free()
	return false
}

// Unwrap gives who waits for the request itself.
func (w *logWaiter) Unwrap() Waiter { return w.waiter }

// Wake implements Waiter.
func (w *logWaiter) Wake() {
	waiter := w.waiter
	w.free()
	waiter.Wake()
}

func (w *logWaiter) free() {
	w.waiter = nil
	w.b.pool.Put(w)
}
