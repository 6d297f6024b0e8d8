// Gates: what requests for one key wait at until another request lets them go on.

package luaapi

import (
	"slices"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// gate is for all workers. All methods may be called concurrently; they wait for nobody.
type gate struct {
	mu   sync.Mutex
	keys map[string]*queue
}

// queue is what a gate has for one key; it is forgotten when it is empty.
type queue struct {
	leader *Call
	waits  []*gateWait
}

// gateWait is a call that waits at a gate. Who takes it out of the queue tells it, or it leaves by itself.
type gateWait struct {
	g      *gate
	key    string
	who    awaited
	opened bool // it has been told
	handed
}

// enter makes c the leader of key if there is none and it wants to. Else it waits in the queue if it waits at all: a wait that has begun.
func (g *gate) enter(key []byte, c *Call, leads, waits bool) (led bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.keys[string(key)]
	if q == nil {
		q = &queue{}
		g.keys[string(key)] = q
	}
	if leads && q.leader == nil {
		q.leader = c
		c.holds = append(c.holds, &lead{g, string(key), c})
		return true
	}
	if waits {
		w := &gateWait{g: g, key: string(key)}
		w.who = c.awaits(w)
		q.waits = append(q.waits, w)
		c.holds = append(c.holds, w)
	}
	return false
}

// take takes the queue out of the gate, if there is one. With a leader only if that is who leads.
func (g *gate) take(key string, leader *Call) (waits []*gateWait, taken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.keys[key]
	if q == nil || leader != nil && q.leader != leader {
		return nil, false
	}
	delete(g.keys, key)
	return q.waits, true
}

// release implements hold: it leaves the queue, if it is still there.
func (w *gateWait) release() {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	q := w.g.keys[w.key]
	if q == nil {
		return
	}
	if i := slices.Index(q.waits, w); i >= 0 {
		q.waits = slices.Delete(q.waits, i, i+1)
		if len(q.waits) == 0 && q.leader == nil {
			delete(w.g.keys, w.key)
		}
	}
}

// came implements turn.
func (w *gateWait) came(c *Call, p *backend.Pending) {
	w.opened = true
	w.handed.came(c, p)
}

// turned implements turn.
func (w *gateWait) turned(c *Call, _ bool) (lua.LValue, lua.LValue) {
	c.letGo(w)
	switch {
	case !w.opened:
		return lua.LNil, lua.LTrue
	case w.got == nil:
		return lua.LFalse, lua.LNil
	}
	return lua.LFalse, w.got
}

// letGo tells those who wait, with a copy of res; nil: there is no answer.
func letGo(waits []*gateWait, res *Response) {
	for _, w := range waits {
		if res == nil {
			w.who.tell(backend.NewPending())
		} else {
			w.who.tell(res.forAnother(false))
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
	letGo(waits, nil)
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
	var res *Response
	size := 0
	if L.Get(i) != lua.LNil {
		res = checkResponse(L, i, "mcp.gate")
		size = len(res.p.Resp.Raw)
	}
	waits, opened := g.take(string(key), leader)
	letGo(waits, res)
	a.st.Host.Debit(len(waits) + size*len(waits)/bytesPerStep)
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
	seconds, limited := patience(L)
	waits := !limited || seconds > 0
	switch {
	case g.enter(key, c, true, waits):
		L.Push(lua.LTrue)
		return 1
	case waits:
		return c.stand(L)
	}
	L.Push(lua.LNil)
	L.Push(lua.LTrue)
	return 2
}

func rctxWaitGate(a *API, L *lua.LState) int {
	c := idle(L, "wait_gate: cannot call while already in wait mode")
	g, key := checkGate(L, 2), a.keyArg(L, 3, "wait_gate")
	a.charge(L, askSteps, 0, 1)
	patience(L)
	g.enter(key, c, false, true)
	return c.stand(L)
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
		c.limit(timeout(L, 4))
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
