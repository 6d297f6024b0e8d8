// Writers of backends wait until a batch has been started, so that what it sends to one of them is one write: fewer system calls, and the
// server sees all of it when it sees the first.

package engine

import (
	"slices"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Gather implements backend.Gatherer. Requests are sent by the session's own goroutine, or with its worker's lock when it has no batch.
func (s *session) Gather(k backend.Kicker) bool {
	if s.gathering && !slices.Contains(s.writers, k) {
		s.writers = append(s.writers, k)
	}
	return s.gathering
}

// gathered lets the writers begin: the batch has been started, or waits for something itself.
func (s *session) gathered() {
	s.gathering = false
	s.kick()
}

// kick lets the writers begin with what there is.
func (s *session) kick() {
	for i, k := range s.writers {
		k.Kick()
		s.writers[i] = nil
	}
	s.writers = s.writers[:0]
}
