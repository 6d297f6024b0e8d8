// What a call waits for, and when the wait is over. pool(r) and mcp.await wait for answers to what they send; the waits of a request
// context are for its handles.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

type waitKind uint8

const (
	waitNone   waitKind = iota
	waitPool            // pool(r)
	waitAwait           // mcp.await
	waitHandle          // one handle
	waitCond            // some handles
	waitPoke            // wait_cond(0): everything is sent, then it goes on
	waitSleep
	waitTurn // at a gate, a turnstile, or with another's flight: until that says so
)

// wait is what a call waits for.
type wait struct {
	kind     waitKind
	ready    bool
	expired  bool
	deadline int64 // backend.Now; 0: none
	within   int64 // that it is away, when the wait begins
	mode     int   // Await... or Wait...
	need     int   // answers wanted

	seq           int // of pool and await: number of this wait within the process's use of the call
	open          int // answers still to come
	good, ok, all int
	got           []*Response // in order of arrival

	handle int  // of waitHandle
	done   int  // handles that counted
	on     turn // of waitTurn
}

func (w *wait) end() {
	w.kind, w.ready, w.seq, w.deadline = waitNone, false, 0, 0
}

// begin prepares a wait.
func (c *Call) begin(kind waitKind, mode, need int) *wait {
	w := &c.wait
	clear(w.got)
	*w = wait{kind: kind, mode: mode, need: need, got: w.got[:0]}
	return w
}

// numbered gives the wait a number, so that a late answer of an earlier one, in whatever use of the call, is known as such.
func (c *Call) numbered(w *wait) *wait {
	c.uses++
	w.seq = c.uses
	return w
}

// pauses tells who has to know that the current wait begins.
func (c *Call) pauses() {
	if c.wait.deadline > 0 {
		c.caller.Alarm(c)
	}
	if c.api.watcher != nil {
		c.api.watcher.Waits(c, c.wait.within, c.wait.deadline > 0)
	}
}

// suspend waits for the current wait, yielding if that is possible.
func (c *Call) suspend(L *lua.LState) int {
	c.pauses()
	return c.api.st.Wait(L, func() {
		c.blocked = true
		c.caller.Block(c)
		c.blocked = false
	}, func() []lua.LValue {
		if !c.wait.ready {
			c.wait.end()
			c.api.st.Host.Stop(L, "the request is cut: its configuration has been replaced")
		}
		return c.result()
	})
}

// result ends the wait and gives what the waiting call returns.
func (c *Call) result() []lua.LValue {
	w := &c.wait
	kind, expired := w.kind, w.expired
	n := 1
	switch kind {
	case waitPool:
		c.ret[0] = w.got[0].ud
	case waitAwait:
		t := c.api.st.L.CreateTable(len(w.got), 0)
		for i, r := range w.got {
			t.RawSetInt(i+1, r.ud)
		}
		c.ret[0] = t
	case waitHandle:
		c.ret[0] = lua.LNil
		if !expired {
			c.ret[0] = c.handles[w.handle].value()
		}
	case waitSleep:
		c.ret[0], expired = lua.LTrue, false
	case waitTurn:
		c.ret[0], c.ret[1] = w.on.turned(c, expired)
		w.end()
		return c.ret[:2]
	default:
		c.ret[0] = numberValue(w.done)
	}
	if expired {
		c.ret[1] = lua.LTrue
		n = 2
	}
	w.end()
	return c.ret[:n]
}

// Deadline is when the call's wait is over at the latest, by backend.Now; 0: it does not wait, or for ever.
func (c *Call) Deadline() int64 { return c.wait.deadline }

// Expire ends the call's wait if its deadline has passed.
func (c *Call) Expire(now int64) {
	w := &c.wait
	if w.kind == waitNone || w.ready || w.deadline == 0 || now < w.deadline {
		return
	}
	w.expired, w.ready = true, true
	c.goOn()
}

// Deliver takes over an answered Pending whose Data is c, and lets the call go on if that was what it waited for.
func (c *Call) Deliver(p *backend.Pending) {
	if p.Tag < 0 {
		c.answered(-1-p.Tag, p)
		return
	}
	if len(c.logged) > 0 {
		c.logFailed(p)
	}
	w := &c.wait
	if w.seq == 0 || p.Tag>>8 != w.seq || w.ready {
		p.Release() // an answer that nobody waits for any more
		return
	}
	if w.kind == waitTurn {
		w.ready = true
		w.on.came(c, p)
		c.goOn()
		return
	}
	r := c.response(p)
	w.open--
	if w.kind == waitAwait && w.mode == AwaitFirst {
		if p.Tag&0xff == 0 {
			w.got, w.ready = append(w.got[:0], r), true
			c.goOn()
		}
		return
	}
	w.all++
	if r.ok() {
		w.ok++
		if r.hit() {
			w.good++
		}
	}
	w.got = append(w.got, r)
	switch w.mode {
	case AwaitGood:
		w.ready = w.good >= w.need
	case AwaitAny:
		w.ready = w.all >= w.need
	case AwaitOK:
		w.ready = w.ok >= w.need
	case AwaitFastGood:
		w.ready = w.good > 0 || w.ok >= w.need
	}
	if w.ready = w.ready || w.open == 0; w.ready {
		c.goOn()
	}
}

var callFuncs = []Func{
	{"await", StageRoutes, "request, pools, n?, mode?", "responses", "Sends the request to every pool of the table and waits: mcp.AWAIT_GOOD (default), ANY, OK, FIRST, FASTGOOD or BACKGROUND.", func(a *API, L *lua.LState) int {
		return await(a, L, false)
	}},
	{"await_logerrors", StageRoutes, "request, pools, n?, mode?, detail?", "responses", "Is mcp.await, and logs every failed answer, as mcp.log_req does, also those that come when nobody waits any more.", func(a *API, L *lua.LState) int {
		return await(a, L, true)
	}},
	{"internal", StageRoutes, "request", "response", "Runs the request on the proxy's own store.", internal},
	{"request", StageRoutes, "line, value?, from?, to?", "request", "Makes a request. The line ends in \\r\\n; value is a string ending in \\r\\n, a request or a response; of those two, with from, the bytes from that (the first is 1) to the other (the last). from and to are Tidepool's own.", newRequest},
}

const noKey = "cannot route commands without key"

// callPool is pool(r).
func callPool(a *API, L *lua.LState) int {
	t, _ := toTarget(L.Get(1))
	r := checkRequest(L, 2, t.Name())
	c := a.current(L, t.Name())
	if len(r.r.Key) == 0 {
		return raise(L, noKey)
	}
	a.chargeSends(L, r.r, 1)
	c.ask(t, r.r)
	return c.suspend(L)
}

// ask sends r to t and begins the wait for the answer.
func (c *Call) ask(t Target, r *mc.Request) {
	w := c.numbered(c.begin(waitPool, AwaitAny, 1))
	w.open = 1
	c.send(t, r, w.seq<<8)
}

// await is mcp.await; with log, mcp.await_logerrors.
func await(a *API, L *lua.LState, log bool) int {
	c := a.current(L, "mcp.await")
	r := checkRequest(L, 1, "mcp.await")
	list, ok := L.Get(2).(*lua.LTable)
	if !ok {
		return raise(L, "invalid type argument tp mcp.await")
	}
	var targets []Target
	list.ForEach(func(_, v lua.LValue) {
		t, _ := toTarget(v)
		targets = append(targets, t)
	})
	if len(targets) == 0 {
		return raise(L, "mcp.await arguments must have at least one pool")
	}
	for _, t := range targets {
		if t == nil {
			return raise(L, "mcp.await must be supplied with a pool")
		}
	}
	if len(r.r.Key) == 0 {
		return raise(L, noKey)
	}
	need, mode := L.OptInt(3, 0), L.OptInt(4, AwaitGood)
	if need <= 0 && mode == AwaitFastGood {
		mode = AwaitAny // for all of them, and no hit ends that
	}
	if need <= 0 || need > len(targets) {
		need = len(targets)
	}
	if mode < AwaitGood || mode > AwaitBackground {
		return raise(L, fmt.Sprintf("mcp.await: no mode has the number %d", mode))
	}
	a.chargeSends(L, r.r, len(targets))
	w := c.numbered(c.begin(waitAwait, mode, need))
	w.open = len(targets)
	if log && a.o.Logger.LogsRequests() {
		c.logged = append(c.logged, a.newLoggedAwait(L, c, r.r, len(targets)))
	}
	for i, t := range targets {
		c.send(t, r.r, w.seq<<8|min(i, 0xff))
	}
	if mode == AwaitBackground {
		w.end() // the answers are dropped as they come
		L.Push(L.NewTable())
		return 1
	}
	return c.suspend(L)
}

// internal is mcp.internal(r).
func internal(a *API, L *lua.LState) int {
	c := a.current(L, "mcp.internal")
	r := checkRequest(L, 1, "mcp.internal")
	if c.parent != nil {
		return raise(L, "cannot run mcp.internal from a sub request")
	}
	p := c.internal(r.r, "SERVER_ERROR bad request\r\n")
	if p == nil {
		return raise(L, fmt.Sprintf("mcp.internal: cannot parse the store's answer to %q", r.r.Line))
	}
	res := c.response(p)
	a.charge(L, askSteps, len(p.Buf), bytesPerStep)
	L.Push(res.ud)
	return 1
}
