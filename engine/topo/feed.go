// A feed: what is known of one pool, and who watches it. Sources of this package have one for each.

package topo

import (
	"slices"
	"sync"
)

// feed hands memberships to watchers, one at a time. The zero value is ready.
type feed struct {
	mu       sync.Mutex // held while watchers are told, so that none is told after its stop has returned
	known    bool
	last     Snapshot
	watchers map[int]func(Snapshot)
	next     int
}

// watch adds a watcher, and tells it what is known.
func (f *feed) watch(tell func(Snapshot)) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers == nil {
		f.watchers = map[int]func(Snapshot){}
	}
	f.next++
	id := f.next
	f.watchers[id] = tell
	if f.known {
		tell(f.last)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, id)
	}
}

// tell hands s to all watchers if it is another membership than the last. It reports whether it was.
func (f *feed) tell(s Snapshot) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known && slices.Equal(f.last.Members, s.Members) {
		return false
	}
	f.known, f.last = true, s
	for _, tell := range f.watchers {
		tell(s)
	}
	return true
}

// get is what is known; false: nothing.
func (f *feed) get() (Snapshot, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, f.known
}
