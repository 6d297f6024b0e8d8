// Counters of commands and their results, kept apart by key so that cores do not fight over them.

package command

import (
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// counter names one counter.
type counter uint8

const (
	getHits counter = iota
	getMisses
	touchHits
	touchMisses
	deleteHits
	deleteMisses
	incrHits
	incrMisses
	decrHits
	decrMisses
	casHits
	casMisses
	casBadval
	cmdSet
	cmdFlush
	cmdMeta
	storeTooLarge
	storeNoMemory
	numCounters
)

// numStripes is how many copies of the counters there are; a power of two.
const numStripes = 16

// stripe is one copy. It fills whole cache lines of its own: 18 counters are 144 bytes, padded to 192, plus one more
// line because processors fetch lines in pairs.
type stripe struct {
	n [numCounters]atomic.Int64
	_ [256 - int(numCounters)*8]byte
}

func (s *stripe) add(c counter) { s.n[c].Add(1) }

// counters are all copies. A key always counts in the same one: two cores meet there only when they work on keys of one
// stripe at the same instant, and then mostly meet in the store's lock first.
type counters struct {
	stripes [numStripes]stripe
}

// of gives the copy that key counts in. Keys mostly differ in their last bytes.
func (c *counters) of(key []byte) *stripe {
	n := len(key)
	h := uint(n)
	if n > 0 {
		h += uint(key[n-1])
	}
	if n > 1 {
		h += uint(key[n-2]) * 5
	}
	return &c.stripes[h%numStripes]
}

// sum adds the copies up.
func (c *counters) sum() (t [numCounters]int64) {
	for i := range c.stripes {
		for j := range t {
			t[j] += c.stripes[i].n[j].Load()
		}
	}
	return t
}

// Snapshot are the counters at one moment, since the Executor was made; `stats reset` does not touch them. The numbers are
// read one after another, so they need not agree with each other to the last request.
type Snapshot struct {
	GetHits, GetMisses       int64
	TouchHits, TouchMisses   int64 // touch, gat, gats, mg with T
	DeleteHits, DeleteMisses int64
	IncrHits, IncrMisses     int64
	DecrHits, DecrMisses     int64
	CASHits, CASMisses       int64
	CASBadval                int64
	Sets                     int64 // every storage command that was let in, whatever came of it
	Flushes, MetaDebugs      int64
	TooLarge, NoMemory       int64
	Store                    store.Stats
}

// Snapshot gives the counters of now.
func (e *Executor) Snapshot() Snapshot {
	t := e.count.sum()
	return Snapshot{
		GetHits: t[getHits], GetMisses: t[getMisses], TouchHits: t[touchHits], TouchMisses: t[touchMisses],
		DeleteHits: t[deleteHits], DeleteMisses: t[deleteMisses], IncrHits: t[incrHits], IncrMisses: t[incrMisses],
		DecrHits: t[decrHits], DecrMisses: t[decrMisses], CASHits: t[casHits], CASMisses: t[casMisses], CASBadval: t[casBadval],
		Sets: t[cmdSet], Flushes: t[cmdFlush], MetaDebugs: t[cmdMeta], TooLarge: t[storeTooLarge], NoMemory: t[storeNoMemory],
		Store: e.store.Stats(),
	}
}

// resets remembers what the counters were at the last `stats reset`.
type resets struct {
	mu    sync.Mutex
	count [numCounters]int64 // guarded by mu
	store store.Stats        // guarded by mu; only its running totals are used
}

// reset makes stats count from here.
func (e *Executor) reset() {
	e.resets.mu.Lock()
	defer e.resets.mu.Unlock()
	e.resets.count = e.count.sum()
	e.resets.store = e.store.Stats()
	e.detail.forget()
}

// sinceReset gives the counters and the store's figures as stats tells them.
func (e *Executor) sinceReset() (count [numCounters]int64, st store.Stats) {
	e.resets.mu.Lock()
	defer e.resets.mu.Unlock()
	count = e.count.sum()
	for i := range count {
		count[i] -= e.resets.count[i]
	}
	st = e.store.Stats()
	st.TotalItems -= e.resets.store.TotalItems
	st.Evictions -= e.resets.store.Evictions
	st.Expired -= e.resets.store.Expired
	return count, st
}
