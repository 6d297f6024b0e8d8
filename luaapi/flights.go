// Flights: reads that are under way, for others that ask the same to wait for the same answer.

package luaapi

import (
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// flights has the reads of all workers that are under way, at most one of a key that may still be joined. A read joins one only if no
// write of the key is under way, and none has begun since that was sent. So what a client has been answered, to a write or a read,
// shows in what it reads later, as it does without flights. It is safe for concurrent use.
type flights struct {
	mu   sync.Mutex
	keys map[string]*flightKey // by the key's bytes, decoded; those with a flight or a write
}

type flightKey struct {
	key     string
	writes  int     // under way
	current *flight // that may be joined; nil while there are writes
}

// flight is one read under way: of the call that holds it, which is to land it.
type flight struct {
	f      *flights
	of     *flightKey
	line   string // what was asked
	riders []*rider
}

// rider is a call that waits for another's flight, or has been given it.
type rider struct {
	on  *flight
	who awaited
	out bool // it waits no more
	handed
}

// flightWrite is a write under way.
type flightWrite struct {
	f  *flights
	of *flightKey
}

var flightsFuncs = []Func{
	{"flights", StageRoutes, "", "flights", "The reads that are under way, in all workers together: each makes the same, in the same order, while it loads. Tidepool's own.", newFlights},
}

var flightsMethods = []Method{
	{"join", "request", "response or nil", "Waits for the answer to the same read, if one is under way, and gives it: same line, no write of the key under way (flights:write), none begun since it was sent. nil: nobody has asked, and this function is to ask, and to land the answer. If it returns without, the next who waits gets nil. An error for a function that has yet to land another.", flightsJoin},
	{"land", "response", "", "Gives the answer to all who have joined this function's read.", flightsLand},
	{"write", "request", "", "Notes that the key is written, or deleted, until this function has returned: its reads are not joined meanwhile, nor are those that are under way now.", flightsWrite},
}

func newFlights(a *API, L *lua.LState) int {
	f := share[*flights](a, L, "flights", "", func() (any, error) { return &flights{keys: map[string]*flightKey{}}, nil })
	L.Push(a.wrap(f, a.flightsMT))
	return 1
}

// key is what is known of a request's key, made if need be. mu is held, as by all that follow in lower case but release, came and turned.
func (f *flights) key(r *mc.Request) *flightKey {
	var buf [mc.MaxKey]byte
	key, err := r.DecodeKey(buf[:0])
	if err != nil {
		key = r.Key // no server takes it
	}
	of := f.keys[string(key)]
	if of == nil {
		of = &flightKey{key: string(key)}
		f.keys[of.key] = of
	}
	return of
}

// forget drops a key of which nothing is under way.
func (f *flights) forget(of *flightKey) {
	if of.writes == 0 && of.current == nil {
		delete(f.keys, of.key)
	}
}

func flightsJoin(a *API, L *lua.LState) int {
	f, r, c := this[*flights](L, "flights"), checkRequest(L, 2, "flights:join").r, a.current(L, "flights:join")
	for _, h := range c.holds {
		if x, ok := h.(*flight); ok && x.f == f {
			return raise(L, "flights:join: this function already has a flight, which it is to land first")
		}
	}
	if f.join(c, r) {
		return c.suspend(L)
	}
	L.Push(lua.LNil)
	return 1
}

// join reports whether c waits now; else it has a flight of its own, or none where the key is being written.
func (f *flights) join(c *Call, r *mc.Request) (waits bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.key(r)
	switch {
	case of.writes > 0:
		return false
	case of.current != nil && of.current.line == string(r.Line):
		w := &rider{on: of.current}
		w.who = c.awaits(w)
		w.on.riders = append(w.on.riders, w)
		c.holds = append(c.holds, w)
		return true
	}
	of.current = &flight{f: f, of: of, line: string(r.Line)} // asking otherwise what is under way: that is older
	c.holds = append(c.holds, of.current)
	return false
}

func flightsLand(a *API, L *lua.LState) int {
	f, r, c := this[*flights](L, "flights"), checkResponse(L, 2, "flights:land"), a.current(L, "flights:land")
	for _, h := range c.holds {
		if x, ok := h.(*flight); ok && x.f == f {
			n := x.land(r, c.root.own.restore)
			c.letGo(x)
			a.st.Host.Debit(n + n*len(r.p.Buf)/sentPerStep)
			return 0
		}
	}
	return 0 // it was asked while the key was being written: nobody could join
}

// land gives the answer to all who wait for it, and says how many that are.
func (x *flight) land(r *Response, restore bool) int {
	x.f.mu.Lock()
	x.close()
	riders := x.riders
	x.riders = nil
	to := make([]awaited, 0, len(riders))
	for _, w := range riders {
		if !w.out {
			to = append(to, w.who)
		}
	}
	x.f.mu.Unlock()
	for _, who := range to {
		who.tell(r.forAnother(restore))
	}
	return len(to)
}

// close lets nobody join any more.
func (x *flight) close() {
	if x.of.current == x {
		x.of.current = nil
		x.f.forget(x.of)
	}
}

// release implements hold: a flight that its call has not landed goes to the next who waits.
func (x *flight) release() {
	x.f.mu.Lock()
	for len(x.riders) > 0 {
		w := x.riders[0]
		if x.riders = x.riders[1:]; w.out {
			continue
		}
		w.out = true // turned will find that the flight is its own
		who := w.who
		x.f.mu.Unlock()
		who.tell(backend.NewPending())
		return
	}
	x.close()
	x.f.mu.Unlock()
}

// turned implements turn: an answer, or the flight itself.
func (w *rider) turned(c *Call, _ bool) (lua.LValue, lua.LValue) {
	if w.got != nil {
		return w.got, lua.LNil
	}
	for i := range c.holds {
		if c.holds[i] == hold(w) {
			c.holds[i] = w.on
		}
	}
	return lua.LNil, lua.LNil
}

// release implements hold. One that has been given the flight and is given up before it knows gives it on.
func (w *rider) release() {
	w.on.f.mu.Lock()
	given := w.out
	w.out = true
	w.on.f.mu.Unlock()
	if given && w.got == nil {
		w.on.release()
	}
}

func flightsWrite(a *API, L *lua.LState) int {
	f, r, c := this[*flights](L, "flights"), checkRequest(L, 2, "flights:write").r, a.current(L, "flights:write")
	f.mu.Lock()
	of := f.key(r)
	of.writes++
	of.current = nil
	f.mu.Unlock()
	c.holds = append(c.holds, &flightWrite{f, of})
	return 0
}

// release implements hold.
func (w *flightWrite) release() {
	w.f.mu.Lock()
	w.of.writes--
	w.f.forget(w.of)
	w.f.mu.Unlock()
}
