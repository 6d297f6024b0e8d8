// A generation: one loaded configuration, replaced whole on reload.

package engine

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
)

// generation is immutable once it serves, but for its count of users.
type generation struct {
	number  uint64
	files   []fileInfo
	workers []*worker
	pools   []*pools.Pool // in the order they were made
	found   []*discovery  // those of them that are discovered
	funcs   funcCounts
	shares  shares
	limits  limits

	refs   atomic.Int64 // batches under way, and 1 for being current; 0 = gone
	cut    atomic.Bool  // its last requests are given up
	onGone func()       // gives back what it holds; called once
}

// hooks are the routes of one listener tag, by command.
type hooks [mc.NumCmds]*luaapi.Route

// worker is one Lua state with the routes that it attached.
type worker struct {
	p      *Proxy
	state  *vm.State
	api    *luaapi.API
	funcs  *funcCounts                       // of the generation
	shares *shares                           // of the generation
	active atomic.Int64                      // routed requests under way, if the generation limits them
	own    map[string]*hooks                 // as attached, by tag; under the state's lock
	merged atomic.Pointer[map[string]*hooks] // each tag's over those of ""; replaced whole, since scripts may attach while serving
}

// hold takes the generation for one batch. False: it has gone, take the current one.
func (g *generation) hold() bool {
	for {
		n := g.refs.Load()
		if n == 0 {
			return false
		}
		if g.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) release() {
	if g.refs.Add(-1) == 0 {
		g.onGone()
	}
}

// worker gives the worker of a connection.
func (g *generation) worker(conn uint64) *worker { return g.workers[conn%uint64(len(g.workers))] }

// hooked reports whether a route is attached that a listener with tag uses.
func (g *generation) hooked(tag string) bool { return g.workers[0].hooksFor(tag) != nil }

// hooksFor are the routes of a listener; nil if it has none.
func (w *worker) hooksFor(tag string) *hooks {
	merged := *w.merged.Load()
	if h := merged[tag]; h != nil {
		return h
	}
	return merged[""] // nil if nothing is attached without a tag
}

// Attach implements luaapi.Worker. It may be called while serving too: requests that have begun keep their route.
func (w *worker) Attach(cmd mc.Cmd, tag string, r *luaapi.Route) (old *luaapi.Route) {
	w.p.measure(r)
	if w.own[tag] == nil {
		w.own[tag] = &hooks{}
	}
	old = w.own[tag][cmd]
	w.own[tag][cmd] = r
	if !w.state.Loading() {
		w.merge()
	}
	return old
}

// CountFunc implements luaapi.Worker.
func (w *worker) CountFunc(name string) *luaapi.FuncCount { return w.funcs.of(name) }

// funcCounts are the counters of function generators by name, for all workers of a generation. The zero value is ready.
type funcCounts struct {
	mu  sync.Mutex
	all map[string]*luaapi.FuncCount
}

func (f *funcCounts) of(name string) *luaapi.FuncCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]*luaapi.FuncCount{}
	}
	c := f.all[name]
	if c == nil {
		c = &luaapi.FuncCount{}
		f.all[name] = c
	}
	return c
}

// each calls f for every name, in order.
func (f *funcCounts) each(tell func(name string, funcs, slots int64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.all)) {
		tell(name, f.all[name].Funcs.Load(), f.all[name].Slots.Load())
	}
}

// merge lays each tag's routes over those without a tag.
func (w *worker) merge() {
	merged := make(map[string]*hooks, len(w.own))
	base := w.own[""]
	for tag, own := range w.own {
		m := &hooks{}
		if base != nil {
			*m = *base
		}
		for cmd, r := range own {
			if r != nil {
				m[cmd] = r
			}
		}
		merged[tag] = m
	}
	w.merged.Store(&merged)
}

// Stat implements luaapi.Worker.
func (w *worker) Stat(i int, change int64) error { return w.p.user.add(i, change) }
