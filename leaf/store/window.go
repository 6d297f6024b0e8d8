// The window: every full segment waits here, in the order of filling, before ristretto may judge it.

package store

import (
	"sync"
	"sync/atomic"
)

// window is the queue between the writers, who push, and the demoter, who takes the oldest. Its lock is taken after a
// shard's, and nothing is called under it.
type window struct {
	mu             sync.Mutex
	oldest, newest *segment
	bytes          atomic.Int64 // written under mu
}

func (w *window) push(g *segment) {
	w.mu.Lock()
	g.winOlder, g.winNewer = w.newest, nil
	if w.newest != nil {
		w.newest.winNewer = g
	} else {
		w.oldest = g
	}
	w.newest = g
	w.bytes.Add(g.cost())
	w.mu.Unlock()
}

// remove takes g out; g must be in the window, which its shard's lock, held by the caller, makes certain.
func (w *window) remove(g *segment) {
	w.mu.Lock()
	if g.winOlder != nil {
		g.winOlder.winNewer = g.winNewer
	} else {
		w.oldest = g.winNewer
	}
	if g.winNewer != nil {
		g.winNewer.winOlder = g.winOlder
	} else {
		w.newest = g.winOlder
	}
	g.winOlder, g.winNewer = nil, nil
	w.bytes.Add(-g.cost())
	w.mu.Unlock()
}

// head is the oldest segment, or nil. It may have left the window by the time the caller holds its shard's lock.
func (w *window) head() *segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.oldest
}
