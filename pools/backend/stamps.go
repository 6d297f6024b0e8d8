// Stamps: when the writer of a backend came to a request that somebody watches.

package backend

import "sync/atomic"

// Stamps are the times of one Pending. Most have none: a writer looks at those that do, and has nothing to do without.
type Stamps struct{ written atomic.Int64 }

// Written is when the request was given to the socket, or to NATS, by Now; 0: not yet. It may be called at any time.
func (s *Stamps) Written() int64 { return s.written.Load() }

// Watched are the Stamps of requests that wait to be written together. The zero Watched is empty.
type Watched []*Stamps

// Add notes p, which is about to be queued, if it is watched.
func (w *Watched) Add(p *Pending) {
	if p.Stamps != nil {
		*w = append(*w, p.Stamps)
	}
}

// Take empties the list and gives what was in it.
func (w *Watched) Take() (all Watched) {
	if *w != nil {
		all, *w = *w, nil
	}
	return all
}

// Write is called just before they are written.
func (w Watched) Write() {
	if len(w) == 0 {
		return
	}
	now := Now()
	for _, s := range w {
		s.written.Store(now)
	}
}
