// Turnstiles: so many requests at once, and turns between client connections for the rest.

package luaapi

import (
	"math"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// turnstile lets max requests in at once, of all workers. Others wait, each client connection in a queue of its own; whoever leaves lets the
// next client's oldest in, so that one that pipelines thousands does not keep the others out. It is safe for concurrent use.
type turnstile struct {
	options turnstileOptions

	mu      sync.Mutex
	max     float64 // its whole part counts
	inside  int
	waiting int
	clients map[uint32]*waitingClient
	ring    clientRing // clients whose turn comes: with something in their queue, and less than perClient inside
	spare   *ticket
}

type turnstileOptions struct {
	Max, Low, High float64
	Queue          int
	PerClient      int // 0: as many as there are
}

// waitingClient is a client connection that has requests inside or waiting.
type waitingClient struct {
	lane   uint32
	inside int
	queue  ticketQueue
	ringed bool
	next   *waitingClient
}

// clientRing is a queue of clients.
type clientRing struct{ first, last *waitingClient }

type ticketQueue struct{ first, last *ticket }

// ticket is one request's place: in the queue, or inside.
type ticket struct {
	g      *turnstile
	client *waitingClient
	inside bool
	who    awaited // while it waits
	prev   *ticket
	next   *ticket
}

var turnstileFuncs = []Func{
	{"turnstile", StageRoutes, "{max=, queue=, per_client=, least=, most=}", "turnstile", "Lets max requests in at once, in all workers together: each makes the same, in the same order, while it loads. queue (0) more may wait, per_client (all) of one client connection be inside; adapt keeps max between least (1) and most (max). Tidepool's own.", newTurnstile},
}

var turnstileMethods = []Method{
	{"enter", "timeout?", "true | false, string", "Waits for its turn, client connections in turns, and is inside until the function that called has returned; false and \"full\" when too many wait, false and \"timeout\" after timeout seconds. An error for a function that is inside already.", turnstileEnter},
	{"adapt", "factor, plus", "number", "Multiplies max by factor, adds plus, and gives what it is then, between least and most; part of one counts when it is whole.", func(a *API, L *lua.LState) int {
		L.Push(lua.LNumber(this[*turnstile](L, "turnstile").adapt(float64(L.CheckNumber(2)), float64(L.CheckNumber(3)))))
		return 1
	}},
	{"inside", "", "integer, integer", "How many are inside, and how many wait.", func(a *API, L *lua.LState) int {
		g := this[*turnstile](L, "turnstile")
		g.mu.Lock()
		inside, waiting := g.inside, g.waiting
		g.mu.Unlock()
		return number(L, inside) + number(L, waiting)
	}},
}

func newTurnstile(a *API, L *lua.LState) int {
	t := given(L, "turnstile", "max", "queue", "per_client", "least", "most")
	f := func(name string, def, least float64) float64 { // so many that they are no limit are as many as an int may be on any machine
		return min(math.Floor(numberField(L, "turnstile", t, name, least, def)), math.MaxInt32)
	}
	o := turnstileOptions{Max: f("max", 0, 1)}
	if o.Max == 0 {
		return raise(L, "mcp.turnstile: max: want at least 1, got nil")
	}
	o.Low, o.High = f("least", 1, 1), f("most", o.Max, 1)
	o.Queue, o.PerClient = int(f("queue", 0, 0)), int(f("per_client", 0, 1))
	if o.Low > o.Max || o.High < o.Max {
		return raise(L, "mcp.turnstile: max: want a number from least to most")
	}
	g := share[*turnstile](a, L, "turnstile", "", func() (any, error) {
		return &turnstile{options: o, max: o.Max, clients: map[uint32]*waitingClient{}}, nil
	})
	L.Push(a.wrap(g, a.turnstileMT))
	return 1
}

func turnstileEnter(a *API, L *lua.LState) int {
	g := this[*turnstile](L, "turnstile")
	c := a.current(L, "turnstile:enter")
	for _, h := range c.holds {
		if t, ok := h.(*ticket); ok && t.g == g {
			return raise(L, "turnstile:enter: this function is already in the turnstile, and would wait for itself")
		}
	}
	within := int64(-1)
	if L.Get(2) != lua.LNil {
		within = timeout(L, 2)
	}
	t, inside := g.enter(c)
	switch {
	case t == nil:
		L.Push(lua.LFalse)
		L.Push(lua.LString("full"))
		return 2
	case inside:
		L.Push(lua.LTrue)
		return 1
	}
	c.limit(within)
	return c.suspend(L)
}

// enter gives c a place inside or in the queue; nil if there is none. A place in the queue is a wait that has begun.
func (g *turnstile) enter(c *Call) (t *ticket, inside bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.client(c.caller.Lane())
	inside = g.inside < int(g.max) && g.admits(who)
	if !inside && g.waiting >= g.options.Queue {
		g.forget(who)
		return nil, false
	}
	if t = g.spare; t == nil {
		t = &ticket{g: g}
	} else {
		g.spare, t.next = t.next, nil
	}
	t.client, t.inside = who, inside
	c.holds = append(c.holds, t)
	if inside {
		g.inside++
		who.inside++
		return t, true
	}
	t.who = c.awaits(t)
	who.queue.add(t)
	g.waiting++
	g.enring(who)
	return t, false
}

// client is who has the connection of that number. mu is held, as by all that follow but release and adapt.
func (g *turnstile) client(lane uint32) *waitingClient {
	who := g.clients[lane]
	if who == nil {
		who = &waitingClient{lane: lane}
		g.clients[lane] = who
	}
	return who
}

// forget drops a client that has nothing here.
func (g *turnstile) forget(who *waitingClient) {
	if who.inside == 0 && who.queue.first == nil && !who.ringed {
		delete(g.clients, who.lane)
	}
}

func (g *turnstile) admits(who *waitingClient) bool {
	return g.options.PerClient == 0 || who.inside < g.options.PerClient
}

// enring puts a client at the end of the ring, if it belongs there.
func (g *turnstile) enring(who *waitingClient) {
	if who.ringed || who.queue.first == nil || !g.admits(who) {
		return
	}
	who.ringed, who.next = true, nil
	if g.ring.last == nil {
		g.ring.first = who
	} else {
		g.ring.last.next = who
	}
	g.ring.last = who
}

// admit lets in whose turn it is, as long as there is room, and adds them to a list for tellAll.
func (g *turnstile) admit(list []awaited) []awaited {
	for g.inside < int(g.max) && g.ring.first != nil {
		who := g.ring.first
		if g.ring.first = who.next; g.ring.first == nil {
			g.ring.last = nil
		}
		who.ringed, who.next = false, nil
		if t := who.queue.first; t != nil && g.admits(who) {
			who.queue.remove(t)
			g.waiting--
			t.inside = true
			g.inside++
			who.inside++
			list = append(list, t.who)
			g.enring(who)
		}
		g.forget(who)
	}
	return list
}

// release implements hold.
func (t *ticket) release() {
	g := t.g
	var room [4]awaited
	g.mu.Lock()
	if t.inside {
		g.inside--
		t.client.inside--
		g.enring(t.client)
	} else {
		t.client.queue.remove(t)
		g.waiting--
	}
	g.forget(t.client)
	list := g.admit(room[:0])
	*t = ticket{g: g, next: g.spare}
	g.spare = t
	g.mu.Unlock()
	tellAll(list)
}

func (g *turnstile) adapt(factor, plus float64) float64 {
	g.mu.Lock()
	g.max = min(max(g.max*factor+plus, g.options.Low), g.options.High)
	now := g.max
	list := g.admit(nil)
	g.mu.Unlock()
	tellAll(list)
	return now
}

func tellAll(list []awaited) {
	for _, who := range list {
		who.tell(backend.NewPending())
	}
}

// came implements turn.
func (t *ticket) came(_ *Call, p *backend.Pending) { p.Release() }

// turned implements turn. A turn that has come in the last moment counts, whatever the clock says.
func (t *ticket) turned(c *Call, _ bool) (lua.LValue, lua.LValue) {
	t.g.mu.Lock()
	inside := t.inside
	t.g.mu.Unlock()
	if inside {
		return lua.LTrue, lua.LNil
	}
	c.letGo(t)
	return lua.LFalse, lua.LString("timeout")
}

// letGo releases one thing that c holds.
func (c *Call) letGo(h hold) {
	for i := range c.holds {
		if c.holds[i] == h {
			c.holds = append(c.holds[:i], c.holds[i+1:]...)
			h.release()
			return
		}
	}
}

func (q *ticketQueue) add(t *ticket) {
	if t.prev = q.last; q.last == nil {
		q.first = t
	} else {
		q.last.next = t
	}
	q.last = t
}

func (q *ticketQueue) remove(t *ticket) {
	if t.prev == nil {
		q.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		q.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}
