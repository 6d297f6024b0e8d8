// Slots: the functions that a generator keeps for requests, how many there are, and when they are too many.

package luaapi

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// SlotRule says when a slot that has served is let go rather than kept. The zero value is memcached's proxy's: after a burst, slots that
// are idle for more than a minute go, one in 200 requests.
type SlotRule struct {
	Returns int           // slots that come back while more than half are idle, before any is let go. 0: 5000
	Drop    int           // such returns between two that are let go. 0: 200
	Wait    time.Duration // and how long that must have lasted. 0: one minute; negative: not at all
}

func (r SlotRule) withDefaults() SlotRule {
	if r.Returns <= 0 {
		r.Returns = 5000
	}
	if r.Drop <= 0 {
		r.Drop = 200
	}
	if r.Wait == 0 {
		r.Wait = time.Minute
	}
	return r
}

// FuncCount counts the generators of one name, and their slots.
type FuncCount struct{ Funcs, Slots atomic.Int64 }

// tally is a generator's part of its FuncCount. It is apart from the generator so that it can be given back when a script has forgotten
// the generator, see forgotten.
type tally struct {
	count        *FuncCount
	funcs, slots int64
}

func (t *tally) add(funcs, slots int64) {
	t.funcs, t.slots = t.funcs+funcs, t.slots+slots
	t.count.Funcs.Add(funcs)
	t.count.Slots.Add(slots)
}

// none takes it back.
func (t *tally) none() { t.add(-t.funcs, -t.slots) }

// forgotten are the tallies of generators that scripts have forgotten and Go has collected, at a time of its own. A few stay counted: in
// memcached they do until Lua collects, which a small configuration never sees, and who compares `stats proxyfuncs` with an earlier one
// would otherwise find a generator gone that nothing has happened to.
type forgotten struct {
	mu   sync.Mutex
	list []*tally
}

// maxForgotten is how many stay counted.
const maxForgotten = 64

func (f *forgotten) add(t *tally) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list = append(f.list, t); len(f.list) > maxForgotten {
		for _, t := range f.list {
			t.none()
		}
		f.list = f.list[:0]
	}
}

// tallied gives an owner a tally under a name.
func tallied[T any](a *API, owner *T, name string) *tally {
	t := &tally{count: a.o.Worker.CountFunc(name)}
	runtime.AddCleanup(owner, a.forgotten.add, t)
	return t
}

// take gives a slot that serves nothing, new or used. parent is who has it behind its handle at, for good; nil: it serves clients.
func (g *Funcgen) take(parent *Call, at int) (*Call, error) {
	if !g.ready {
		return nil, errNotReady
	}
	c := g.free
	if c == nil {
		return g.make(parent, at)
	}
	g.free, c.next = c.next, nil
	g.idle--
	if parent != nil {
		c.belong(parent, at)
	}
	return c, nil
}

// put takes a slot back, and keeps it unless there have been too many for long.
func (g *Funcgen) put(c *Call) {
	rule := &g.api.o.Slots
	if g.idle+1 <= g.tally.slots/2 {
		g.pressure, g.since = g.pressure/2, 0
	} else if g.pressure++; g.pressure > rule.Returns+1 && g.tally.slots > 1 {
		g.pressure -= rule.Drop
		now := g.api.o.Now()
		if g.since == 0 {
			g.since = now
		}
		if now-g.since >= int64(rule.Wait) {
			g.forget(c)
			return
		}
	}
	c.next, g.free = g.free, c
	g.idle++
}

// forget lets go of a slot and of those behind its handles.
func (g *Funcgen) forget(c *Call) {
	if !g.replaced { // else they are not counted any more
		g.tally.add(0, -1)
	}
	for i := range c.handles {
		if sub := c.handles[i].sub; sub != nil {
			sub.gen.forget(sub)
		}
	}
}

// make makes a slot, which takes one of each generator behind its handles.
func (g *Funcgen) make(parent *Call, at int) (*Call, error) {
	g.pressure, g.since = 0, 0
	c := &Call{api: g.api, gen: g, fn: g.plain}
	c.belong(parent, at)
	if g.generate != nil {
		if err := g.fill(c); err != nil {
			c.disown()
			return nil, err
		}
	}
	g.tally.add(0, 1)
	return c, nil
}

// belong says whose slot c is: a parent's, or with nil its own.
func (c *Call) belong(parent *Call, at int) {
	c.parent, c.at, c.own = parent, at, nil
	if parent == nil {
		c.own = c.api.newRequestObject()
	}
	c.rooted()
}

// rooted tells c and what is behind its handles whose request they serve.
func (c *Call) rooted() {
	if c.root = c; c.parent != nil {
		c.root = c.parent.root
	}
	for i := range c.handles {
		if sub := c.handles[i].sub; sub != nil {
			sub.rooted()
		}
	}
}

// disown gives back the slots behind the handles of one that could not be made.
func (c *Call) disown() {
	for i := range c.handles {
		if sub := c.handles[i].sub; sub != nil {
			sub.belong(nil, 0)
			sub.gen.put(sub)
		}
	}
}
