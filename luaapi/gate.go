// Gates: what requests for one key wait at until another request lets them go on.

package luaapi

import (
	"errors"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// gate is for all workers. A wait is a Pending, as if it had been sent to a backend: who opens the gate answers it. All methods may be called
// concurrently; they wait for nobody.
type gate struct {
	mu   sync.Mutex
	keys map[string]*queue
}

// queue is what a gate has for one key; it is forgotten when it is empty.
type queue struct {
	leader *Call
	waits  []*backend.Pending
}

// errOpened says that a gate was opened, without an answer for those who wait.
var errOpened = errors.New("the gate is open")

// enter makes c the leader of key if there is none. Else, or if it does not want that, wait() waits in the queue, unless it is nil.
func (g *gate) enter(key []byte, c *Call, leads bool, wait func() *backend.Pending) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.keys[string(key)]
	if q == nil {
		if !leads && wait == nil {
			return false
		}
		q = &queue{}
		g.keys[string(key)] = q
	}
	if leads && q.leader == nil {
		q.leader = c
		return true
	}
	if wait != nil {
		q.waits = append(q.waits, wait())
	}
	return false
}

// take takes the queue out of the gate, if there is one. With a leader only if that is who leads.
func (g *gate) take(key string, leader *Call) (waits []*backend.Pending, taken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.keys[key]
	if q == nil || leader != nil && q.leader != leader {
		return nil, false
	}
	delete(g.keys, key)
	return q.waits, true
}

// leave takes p out of the queue. False: somebody answers it.
func (g *gate) leave(key string, p *backend.Pending) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.keys[key]
	if q == nil {
		return false
	}
	for i, w := range q.waits {
		if w == p {
			q.waits = append(q.waits[:i], q.waits[i+1:]...)
			if len(q.waits) == 0 && q.leader == nil {
				delete(g.keys, key)
			}
			return true
		}
	}
	return false
}

// letGo answers those who wait with a copy of res; nil: there is no answer.
func letGo(waits []*backend.Pending, res *backend.Pending, now int64) {
	for _, p := range waits {
		switch {
		case res == nil:
			p.Err = errOpened
		case res.Err != nil:
			p.Err = res.Err
		default:
			p.Buf = append(p.Buf[:0], res.Resp.Raw...)
			if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
				p.Err = errOpened
			}
			p.Backend = res.Backend
		}
		w := p.Waiter
		p.End = now
		if w.Done(p) {
			w.Wake()
		}
	}
}

// lead is that a call leads a key at a gate.
type lead struct {
	g   *gate
	key string
	c   *Call
}

// release implements hold: it opens the gate, if the call still leads.
func (l *lead) release() {
	waits, _ := l.g.take(l.key, l.c)
	letGo(waits, nil, l.c.api.o.Now())
}

// gated is a wait at a gate.
type gated struct {
	g   *gate
	key string
	p   *backend.Pending
}

// quit leaves the queue in which a wait that is over has stood.
func (w *wait) quit() {
	if w.at.g == nil {
		return
	}
	if w.at.g.leave(w.at.key, w.at.p) {
		w.at.p.Release()
	}
	w.at = gated{}
}

var gateMethods = []Method{
	{"lead", "gate, request or key, timeout?", "true | false, response or nil | nil, true",
		"True: nobody leads the key at the gate, and this function does now, until the gate is opened or the function has ended. Else it waits until then: false, and what the gate was opened with; nil, true after timeout seconds. With a timeout of 0 it does not wait.", rctxLead},
	{"wait_gate", "gate, request or key, timeout?", "false, response or nil | nil, true",
		"Waits until the gate is opened for the key: false, and what it was opened with; nil, true after timeout seconds.", rctxWaitGate},
	{"unlead", "gate, request or key, response?", "boolean", "Opens the gate for the key if this function still leads it, and says whether it did.", rctxUnlead},
}

func newGate(a *API, L *lua.LState) int {
	t := given(L, "gate", "name")
	ud := L.NewUserData()
	ud.Value = share[*gate](a, L, "gate", textField(L, "gate", t, "name"), func() (any, error) { return &gate{keys: map[string]*queue{}}, nil })
	ud.Metatable = a.gateMT
	L.Push(ud)
	return 1
}

func checkGate(L *lua.LState, i int) *gate {
	if ud, ok := L.Get(i).(*lua.LUserData); ok {
		if g, ok := ud.Value.(*gate); ok {
			return g
		}
	}
	L.RaiseError("want a gate, got %s", L.Get(i).Type())
	return nil
}

// openGate is gate(key, response).
func openGate(a *API, L *lua.LState) int {
	n, _ := a.open(L, checkGate(L, 1), a.keyArg(L, 2, "mcp.gate"), 3, nil)
	return number(L, n)
}

// open opens a gate with the response that is argument i, if there is one. With a leader only if that is who leads.
func (a *API) open(L *lua.LState, g *gate, key []byte, i int, leader *Call) (waited int, opened bool) {
	var res *backend.Pending
	size := 0
	if L.Get(i) != lua.LNil {
		res = checkResponse(L, i, "mcp.gate").p
		size = len(res.Resp.Raw)
	}
	waits, opened := g.take(string(key), leader)
	letGo(waits, res, a.o.Now())
	a.charge(L, len(waits), size*len(waits), bytesPerStep)
	return len(waits), opened
}

func rctxUnlead(a *API, L *lua.LState) int {
	c := serving(L)
	_, opened := a.open(L, checkGate(L, 2), a.keyArg(L, 3, "unlead"), 4, c)
	return boolean(L, opened)
}

func rctxLead(a *API, L *lua.LState) int {
	c := idle(L, "lead: cannot call while already in wait mode")
	g, key := checkGate(L, 2), a.keyArg(L, 3, "lead")
	a.charge(L, askSteps, 0, 1)
	if seconds, limited := patience(L); limited && seconds <= 0 {
		if !g.enter(key, c, true, nil) {
			L.Push(lua.LNil)
			L.Push(lua.LTrue)
			return 2
		}
	} else if !g.enter(key, c, true, func() *backend.Pending { return c.queueAt(g, key) }) {
		return c.stand(L)
	}
	c.holds = append(c.holds, &lead{g, string(key), c})
	L.Push(lua.LTrue)
	return 1
}

func rctxWaitGate(a *API, L *lua.LState) int {
	c := idle(L, "wait_gate: cannot call while already in wait mode")
	g, key := checkGate(L, 2), a.keyArg(L, 3, "wait_gate")
	a.charge(L, askSteps, 0, 1)
	patience(L)
	g.enter(key, c, false, func() *backend.Pending { return c.queueAt(g, key) })
	return c.stand(L)
}

// queueAt begins the wait at a gate: its Pending.
func (c *Call) queueAt(g *gate, key []byte) *backend.Pending {
	w := c.numbered(c.begin(waitGate, AwaitAny, 1))
	w.open = 1
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start = c.caller, c.caller.Lane(), c.api.o.Now()
	p.Tag, p.Data = w.seq<<8, c
	w.at = gated{g, string(key), p}
	return p
}

// patience is argument 4, how many seconds to wait, if it is given.
func patience(L *lua.LState) (seconds float64, limited bool) {
	switch n := L.Get(4).(type) {
	case *lua.LNilType:
		return 0, false
	case lua.LNumber:
		if n == n {
			return float64(n), true
		}
	}
	raise(L, "timeout argument to wait or sleep must be a number")
	return 0, false
}

// stand sends what is enqueued and waits in the queue.
func (c *Call) stand(L *lua.LState) int {
	if _, limited := patience(L); limited {
		c.timeout(L, 4)
	}
	c.dispatch()
	return c.suspend(L)
}

// State is whether anybody leads a key, and how many wait; for tests.
func (g *gate) State(key string) (led bool, waits int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.keys[key]; q != nil {
		return q.leader != nil, len(q.waits)
	}
	return false, 0
}
