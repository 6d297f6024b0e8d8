// The counters that scripts name with mcp.add_stat and change with mcp.stat.

package engine

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// userStats are the scripts' counters: unsigned, wrapping. The zero value has none. All methods may be called concurrently.
type userStats struct {
	mu    sync.Mutex
	names map[int]string
	vals  atomic.Pointer[[]*atomic.Uint64] // by index; 0 is unused
}

// name commits the names of a load. There are counters up to index limit, and further if the load has named one before it set
// the limit. A counter that keeps its name keeps its value; a new
// name starts at 0; one that a load does not mention stays as it was.
func (u *userStats) name(names map[int]string, limit int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(names) == 0 && u.vals.Load() == nil {
		return
	}
	size := limit + 1
	for i := range names {
		size = max(size, i+1)
	}
	vals := u.grow(size)
	if u.names == nil {
		u.names = map[int]string{}
	}
	for i, name := range names {
		if u.names[i] != name {
			u.names[i] = name
			vals[i].Store(0)
		}
	}
}

// grow sees to it that there are size counters. Those that are there stay where they are: routes are counting.
func (u *userStats) grow(size int) []*atomic.Uint64 {
	var vals []*atomic.Uint64
	if old := u.vals.Load(); old != nil {
		vals = *old
	}
	if len(vals) >= size {
		return vals
	}
	vals = append(make([]*atomic.Uint64, 0, size), vals...)
	more := make([]atomic.Uint64, size-len(vals))
	for i := range more {
		vals = append(vals, &more[i])
	}
	u.vals.Store(&vals)
	return vals
}

// add adds change to counter i.
func (u *userStats) add(i int, change int64) error {
	vals := u.vals.Load()
	if vals == nil {
		return errors.New("no stats counters initialized")
	}
	if i < 1 || i >= len(*vals) {
		return errors.New("stat index out of range")
	}
	(*vals)[i].Add(uint64(change))
	return nil
}

// each calls f for every counter with a name, by index.
func (u *userStats) each(f func(name string, value uint64)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	vals := u.vals.Load()
	if vals == nil {
		return
	}
	indexes := make([]int, 0, len(u.names))
	for i, name := range u.names {
		if name != "" {
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		f(u.names[i], (*vals)[i].Load())
	}
}
