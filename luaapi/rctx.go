// The request context: what a generated function does its waiting with.

package luaapi

import (
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

var rctxMethods = []Method{
	{"enqueue", "request, handle | {handle, ...}", "", "Marks a request for handles; the next wait sends it. A handle serves once for a request.", rctxEnqueue},
	{"enqueue_and_wait", "request, handle, timeout?", "response | nil, true", "Enqueues, sends all that is enqueued, and waits for this handle; nil, true after timeout seconds.", rctxEnqueueAndWait},
	{"wait_handle", "handle, timeout?", "response | nil, true", "Sends all that is enqueued and waits for one handle.", rctxWaitHandle},
	{"wait_cond", "n, mode?, timeout?", "count, true?", "Sends all that is enqueued and waits for n results: mcp.WAIT_ANY (default), OK, GOOD or FASTGOOD. It ends early when no more can come.", rctxWaitCond},
	{"sleep", "seconds", "true", "Waits. What has been sent goes on.", rctxSleep},
	{"res_good", "handle", "response or nil", "The handle's result if it is a hit or success.", result(func(h *handle) bool { return h.class == ResGood })},
	{"res_ok", "handle", "response or nil", "The handle's result if it is no error.", result(func(h *handle) bool { return h.class == ResGood || h.class == ResOK })},
	{"res_any", "handle", "response or nil", "The handle's result.", result(func(h *handle) bool { return h.class != 0 })},
	{"result", "handle", "response, class", "The handle's result and mcp.RES_GOOD, RES_OK or RES_ANY; nil, nil without one.", rctxResult},
	{"best_result", "{handle, ...}", "response, class", "The first good result, else the last that is no error, else the last; if ranked the first of the best rank.", rctxBest},
	{"worst_result", "{handle, ...}", "response, class", "The last error, else the last result that is not good, else the last; if ranked the first of the worst errors.", rctxWorst},
	{"handle_set_cb", "handle, function", "", "The function is called with response and request when the handle has its result. It may return a mcp.WAIT_* as the result's class, and true to end the wait, which then, if it was for another handle, gives this result.", rctxSetCallback},
	{"cfd", "", "integer", "The client's file descriptor.", rctxFD},
	{"client", "", "integer or nil", "The number of the client's connection, which no other has had since the proxy began (a cfd is soon another client's); nil for requests that come by NATS, where it is many clients'. Tidepool's own.", rctxClient},
	{"tls_peer_cn", "", "string or nil", "The common name of the client's certificate. Listeners have no TLS yet: nil.", func(a *API, L *lua.LState) int {
		serving(L)
		L.Push(lua.LNil)
		return 1
	}},
}

// rctxFD answers callbacks that run after the function has returned, too.
func rctxFD(_ *API, L *lua.LState) int {
	c := selfRctx(L)
	if c.caller == nil {
		L.RaiseError("the request context serves no request")
	}
	return number(L, c.caller.FD())
}

func rctxClient(_ *API, L *lua.LState) int {
	if n := serving(L).caller.Client(); n > 0 {
		return number(L, int(n))
	}
	L.Push(lua.LNil)
	return 1
}

// selfRctx is argument 1 as a request context.
func selfRctx(L *lua.LState) *Call {
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if c, ok := ud.Value.(*Call); ok {
			return c
		}
	}
	L.RaiseError("want a request context, got %s", L.Get(1).Type())
	return nil
}

// serving is argument 1 as the request context of a request that is under way, or has been answered and lingers: then callbacks have it.
func serving(L *lua.LState) *Call {
	c := selfRctx(L)
	if c.caller == nil {
		L.RaiseError("the request context serves no request")
	}
	return c
}

// idle is serving, before a wait; what names it in the error.
func idle(L *lua.LState, what string) *Call {
	c := serving(L)
	if c.wait.kind != waitNone {
		raise(L, what)
	}
	if t := c.api.st.Current(); t == nil || t != c.task {
		L.RaiseError("only the function that a request context was made for can wait with it")
	}
	return c
}

// handleAt is v as a handle of c, or an error with this text.
func handleAt(L *lua.LState, c *Call, v lua.LValue, text string) int {
	n, ok := whole(v)
	if !ok || n < 0 || n >= int64(len(c.handles)) {
		raise(L, text)
	}
	return int(n)
}

func enqueued(L *lua.LState, i int) *Request {
	if ud, ok := L.Get(i).(*lua.LUserData); ok {
		if q, ok := ud.Value.(*Request); ok && q.slot != nil && q.r == nil {
			raise(L, "cannot queue requests without a key") // it is blank
		}
	}
	r := checkRequest(L, i, "enqueue")
	if len(r.r.Key) == 0 {
		raise(L, "cannot queue requests without a key")
	}
	return r
}

func rctxEnqueue(a *API, L *lua.LState) int {
	c := idle(L, "enqueue: cannot enqueue new requests while in a wait")
	r := enqueued(L, 2)
	switch v := L.Get(3).(type) {
	case lua.LNumber:
		a.chargeSends(L, r.r, 1)
		c.enqueue(r, handleAt(L, c, v, "attempted to enqueue an invalid handle"))
	case *lua.LTable:
		a.chargeSends(L, r.r, v.Len())
		for i := 1; i <= v.Len(); i++ {
			if v.RawGetInt(i).Type() != lua.LTNumber {
				return raise(L, "invalid handle passed to queue via array table")
			}
			c.enqueue(r, handleAt(L, c, v.RawGetInt(i), "attempted to enqueue an invalid handle"))
		}
	default:
		return raise(L, "must pass a handle or a table to queue")
	}
	return 0
}

// timeout reads argument i, how many seconds a wait may last: in nanoseconds; -1 without one. It is read before the wait begins.
func timeout(L *lua.LState, i int) int64 {
	if L.GetTop() < i {
		return -1
	}
	n, ok := vm.Number(L.Get(i))
	if !ok || math.IsNaN(n) {
		raise(L, "timeout argument to wait or sleep must be a number")
	}
	return int64(min(max(n, 0), 1e9) * float64(time.Second))
}

// limit sets the wait's deadline to what timeout has read.
func (c *Call) limit(within int64) {
	if within >= 0 {
		c.wait.within = within
		c.wait.deadline = max(1, c.api.o.Now()+within) // 0 would be none
	}
}

// await sends what is enqueued and waits, unless the wait is over by what is there.
func (c *Call) await(L *lua.LState) int {
	c.dispatch()
	if !c.wait.ready {
		return c.suspend(L)
	}
	vs := c.result()
	for _, v := range vs {
		L.Push(v)
	}
	return len(vs)
}

func (c *Call) awaitHandle(L *lua.LState, at int, within int64) int {
	c.beginHandle(at)
	c.limit(within)
	return c.await(L)
}

// beginHandle begins the wait for a handle.
func (c *Call) beginHandle(at int) {
	w := c.begin(waitHandle, WaitAny, 1)
	w.handle = at
	w.ready = c.handles[at].state == handleWaited // again: its result is what it was
}

func rctxEnqueueAndWait(a *API, L *lua.LState) int {
	c := idle(L, "wait_cond: cannot call while already in wait mode")
	r := enqueued(L, 2)
	if _, ok := whole(L.Get(3)); !ok {
		return raise(L, "invalid handle passed to enqueue_and_wait")
	}
	at := handleAt(L, c, L.Get(3), "attempted to enqueue an invalid handle")
	within := timeout(L, 4)
	a.chargeSends(L, r.r, 1)
	c.enqueue(r, at)
	return c.awaitHandle(L, at, within)
}

func rctxWaitHandle(a *API, L *lua.LState) int {
	c := idle(L, "wait: cannot call while already in wait mode")
	at := handleAt(L, c, L.Get(2), "invalid handle passed to wait_handle")
	if c.handles[at].state == handleIdle {
		return raise(L, "wait_handle called on unqueued handle")
	}
	return c.awaitHandle(L, at, timeout(L, 3))
}

func rctxWaitCond(a *API, L *lua.LState) int {
	c := idle(L, "wait_cond: cannot call while already in wait mode")
	if L.GetTop() < 2 {
		return raise(L, "must pass at least count to wait_cond")
	}
	n, ok := whole(L.Get(2))
	if !ok || n < 0 {
		return raise(L, "wait count for wait_cond must be a positive integer")
	}
	mode := WaitAny
	if L.GetTop() > 2 {
		m, _ := whole(L.Get(3))
		if mode = int(m); mode < WaitAny || mode > WaitFastGood {
			return raise(L, "invalid mode sent to wait_cond")
		}
	}
	if n == 0 {
		c.begin(waitPoke, mode, 0)
		c.dispatch()
		c.caller.Queue().add(c, eventPoke, 0)
		return c.suspend(L)
	}
	within := timeout(L, 4)
	c.begin(waitCond, mode, int(n))
	c.limit(within)
	return c.await(L)
}

func rctxSleep(a *API, L *lua.LState) int {
	c := idle(L, "sleep: cannot call while already in wait mode")
	within := timeout(L, 2)
	if within < 0 {
		return raise(L, "timeout argument to wait or sleep must be a number")
	}
	c.begin(waitSleep, 0, 0)
	c.limit(within)
	return c.suspend(L)
}

// result makes res_good and its like.
func result(qualifies func(*handle) bool) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		c := serving(L)
		h := &c.handles[handleAt(L, c, L.Get(2), "invalid queue handle passed to :good/:ok:/:any")]
		if qualifies(h) {
			L.Push(h.value())
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}
}

func rctxResult(a *API, L *lua.LState) int {
	c := serving(L)
	return pushResult(L, &c.handles[handleAt(L, c, L.Get(2), "invalid queue handle passed to :good/:ok:/:any")])
}

// pushResult gives a handle's result and class; nil, nil without one.
func pushResult(L *lua.LState, h *handle) int {
	if h == nil || h.class == 0 {
		L.Push(lua.LNil)
		L.Push(lua.LNil)
		return 2
	}
	L.Push(h.value())
	return 1 + number(L, h.class)
}

func rctxBest(a *API, L *lua.LState) int {
	return choose(L, "best_result", "invalid queue handle passed to best_result", func(have, h *handle, ranked bool) bool {
		switch {
		case have == nil:
			return true
		case ranked:
			return h.rank() > have.rank()
		case have.class == ResGood:
			return false
		case have.class == ResOK:
			return h.class != ResAny
		}
		return true
	})
}

func rctxWorst(a *API, L *lua.LState) int {
	return choose(L, "worst_result", "invalid queue handle passed to worst_result", func(have, h *handle, ranked bool) bool {
		if have != nil && ranked && h.class == ResAny { // of equal errors the first
			return h.rank() < have.rank()
		}
		return have == nil || h.class >= have.class
	})
}

// choose gives the result that better prefers among a list of handles; text is the error where one is none.
func choose(L *lua.LState, what, text string, better func(have, h *handle, ranked bool) bool) int {
	c := serving(L)
	list, ok := L.Get(2).(*lua.LTable)
	if !ok {
		return raise(L, "must pass a table to :"+what)
	}
	var have *handle
	for i := 1; i <= list.Len(); i++ {
		h := &c.handles[handleAt(L, c, list.RawGetInt(i), text)]
		if h.class != 0 && better(have, h, c.gen.ranked) {
			have = h
		}
	}
	return pushResult(L, have)
}

func rctxSetCallback(a *API, L *lua.LState) int {
	c := selfRctx(L)
	if L.Get(2).Type() != lua.LTNumber {
		L.TypeError(2, lua.LTNumber)
	}
	at := handleAt(L, c, L.Get(2), "invalid handle passed to queue_set_cb")
	c.handles[at].cb = L.CheckFunction(3)
	return 0
}
