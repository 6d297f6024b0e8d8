// The counters of scripts: those that mcp.add_stat names and mcp.stat changes by their number, and those of mcp.counter.

package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// userStats are the scripts' counters: unsigned, wrapping. The zero value has none. All methods may be called concurrently, but for name and
// giveUp, which end a load: there is one at a time.
type userStats struct {
	mu    sync.Mutex
	names map[int]string
	vals  atomic.Pointer[[]*atomic.Uint64] // by index; 0 is unused

	counters map[string]*stat.Counter // of mcp.counter
	staged   map[string]bool          // those that are there for a load alone, which has not succeeded yet
}

// maxCounters bounds the memory of counters whose names scripts make up while they serve.
const maxCounters = 10_000

// Counter implements luaapi.Counters.
func (u *userStats) Counter(name string, loading bool) (*stat.Counter, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.counters[name]
	switch {
	case c == nil && len(u.counters) == maxCounters:
		return nil, fmt.Errorf("cannot make counter %q: there are %d already", name, maxCounters)
	case c == nil:
		if u.counters == nil {
			u.counters, u.staged = map[string]*stat.Counter{}, map[string]bool{}
		}
		c = stat.NewCounter()
		u.counters[name] = c
		if loading {
			u.staged[name] = true
		}
	case !loading:
		delete(u.staged, name) // it is used, whatever becomes of the load
	}
	return c, nil
}

// giveUp takes back the counters that were made for a load which has failed.
func (u *userStats) giveUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.staged {
		delete(u.counters, name)
	}
	clear(u.staged)
}

// name commits the names of a load. There are counters up to index limit, and further if the load has named one before it set
// the limit. A counter that keeps its name keeps its value; a new
// name starts at 0; one that a load does not mention stays as it was.
func (u *userStats) name(names map[int]string, limit int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.staged)
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

// each calls f for every counter with a name, by index, and then for those of mcp.counter, by name. Counters of one name are told as one.
func (u *userStats) each(f func(name string, value uint64)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	sums := map[string]uint64{}
	var order []string
	add := func(name string, value uint64) {
		if _, there := sums[name]; !there {
			order = append(order, name)
		}
		sums[name] += value
	}
	if vals := u.vals.Load(); vals != nil {
		for _, i := range slices.Sorted(maps.Keys(u.names)) {
			if u.names[i] != "" {
				add(u.names[i], (*vals)[i].Load())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.counters)) {
		if !u.staged[name] {
			add(name, u.counters[name].Value())
		}
	}
	for _, name := range order {
		f(name, sums[name])
	}
}
