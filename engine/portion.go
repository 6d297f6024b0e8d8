// How much of what a client asks for is under way at once: as many requests as have answers of a few megabytes in all. A client that asks for
// hundreds of large values and takes none would have them all be held for it, and others be refused theirs.

package engine

import (
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

const (
	// firstPortion is how many slots a client may have before anything is known of its answers.
	firstPortion = 128
	// defaultShare is how many bytes of answers are held for a client, more or less, unless Options.MaxConnBuffer says it.
	defaultShare = 8 << 20
	// tryEvery is in nanoseconds how often a get is sent whose answer would most likely be dropped.
	tryEvery = 100e6
)

// portion is a session's part.
type portion struct {
	most    int         // slots at once; 0: firstPortion
	dropped atomic.Bool // an answer has been, for want of memory
}

// mostSlots is how many slots of b may be under way at once. Requests that have nothing to do with each other do not wait for each other.
func (s *session) mostSlots(b *server.Batch) int {
	switch {
	case b.Each != nil:
		return maxSlots
	case s.most == 0:
		return firstPortion
	}
	return s.most
}

// learn is told of n slots, that held so many bytes at their end.
func (s *session) learn(n int, held int64) {
	most, share := s.most, int64(s.p.opts.MaxConnBuffer)
	if most == 0 {
		most = firstPortion
	}
	if share == 0 {
		share = defaultShare
	}
	s.recovers()
	switch {
	case s.dropped.Load():
		most /= 2
	case held > share:
		most = int(int64(n) * share / held)
	case n >= most && 2*held <= share:
		most *= 2
	}
	s.most = min(max(most, 1), maxSlots)
}

// recovers forgets that answers have been dropped, if memory has been given back since.
func (s *session) recovers() {
	if s.dropped.Load() && !s.p.server.Full() {
		s.dropped.Store(false)
	}
}

// hopeless reports whether the answer to r, one of several requests that the client has sent without waiting, would most likely be dropped, because
// an earlier one was and memory has not been given back since.
func (s *session) hopeless(b *server.Batch, r *mc.Request) bool {
	if !s.dropped.Load() || len(b.Reqs) == 1 && len(s.slots) == 1 {
		return false
	}
	switch r.Cmd {
	case mc.CmdGet, mc.CmdGets, mc.CmdGat, mc.CmdGats, mc.CmdMG:
	default:
		return false
	}
	if s.recovers(); !s.dropped.Load() {
		return false
	}
	now, last := s.Now(), s.p.tried.Load()
	if now-last >= tryEvery && s.p.tried.CompareAndSwap(last, now) {
		return false
	}
	s.p.stats.dropped.Add(1)
	return true
}

// Held implements server.Holder.
func (s *session) Held() int64 { return s.held.Load() }
