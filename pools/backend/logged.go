// Logged: a backend that reports the requests it answered, by chance, by time or by outcome (mcp.backend's option log).

package backend

import (
	"math/rand/v2"
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
// senders, and must not block.
func WithLog(b Backend, rule LogRule, tell func(LogEntry)) Backend {
	addr := b.Status().Addr
	return &around{
		Backend: b,
		sent:    func(w *between, r *mc.Request) { w.line = append(w.line[:0], r.Line[:min(len(r.Line), maxLogLine)]...) },
		answered: func(w *between, p *Pending) {
			if rule.wants(p, rand.IntN) {
				tell(LogEntry{rule.Tag, w.line, p, addr, w.client})
			}
		},
	}
}
