// One request in Lua: its coroutine, what it waits for, and the objects that its route holds.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Caller is the session that runs a Call.
type Caller interface {
	backend.Waiter
	// Lane keeps one client's requests in order at a leaf.
	Lane() uint32
	// Now is backend.Now, read once for requests that start together.
	Now() int64
	// Block delivers answers, without the worker's lock, until c.Ready or until the call is to be given up.
	Block(c *Call)
}

// Call is one request being served by a Lua route. It is pooled with its task and its objects. All methods need the
// state's lock.
type Call struct {
	Slot int // the caller's own note: which request of its batch this is

	api    *API
	task   *vm.Task
	caller Caller
	req    *Request
	res    []*Response // made on demand, the first used of them are in use
	used   int
	uses   int // how often the call has been used: a Pending of an earlier use is stale

	wait wait
	next *Call
}

// wait is what a call waits for.
type wait struct {
	seq           int // number of this wait within the process's use of the call; 0 = none
	await         bool
	mode          int // Await...
	need          int // answers wanted
	open          int // answers still to come
	good, ok, all int
	got           []*Response // in order of arrival
	ready         bool
}

var callFuncs = []Func{
	{"await", StageRoutes, "request, pools, n?, mode?", "responses", "Sends the request to every pool of the table and waits: mcp.AWAIT_GOOD (default), ANY, OK, FIRST, FASTGOOD or BACKGROUND.", await},
	{"internal", StageRoutes, "request", "response", "Runs the request on the proxy's own store.", internal},
	{"request", StageRoutes, "line, value?", "request", "Makes a request. The line ends in \\r\\n; value is a string ending in \\r\\n, a request or a response.", newRequest},
}

// Begin starts fn for r. If it must wait, Deliver says when it can go on and Resume goes on; when it has ended, End gives the
// answer. trim is how many bytes a router cut off the key.
func (a *API) Begin(caller Caller, slot int, fn *lua.LFunction, r *mc.Request, trim int) (*Call, vm.Status) {
	c := a.free
	if c == nil {
		c = &Call{api: a}
		c.req = a.newRequestObject()
	} else {
		a.free = c.next
		c.next = nil
	}
	c.Slot, c.caller = slot, caller
	c.uses++
	c.task = a.st.NewTask()
	c.task.Data = c
	c.req.reset(r)
	if trim > 0 {
		c.req.trim(trim)
	}
	return c, c.task.Start(fn, c.req.ud)
}

// Resume goes on after Deliver said that the wait is over.
func (c *Call) Resume() vm.Status { return c.task.Resume(c.result()) }

// State is whose lock guards the call.
func (c *Call) State() *vm.State { return c.api.st }

// Spent is how many steps the call took when it last ran.
func (c *Call) Spent() int64 { return c.task.Spent }

// Ready reports whether what the call waits for is there.
func (c *Call) Ready() bool { return c.wait.ready }

// Deliver takes over an answered Pending whose Data is c. It reports whether the call's wait is over now.
func (c *Call) Deliver(p *backend.Pending) bool {
	w := &c.wait
	if p.Tag>>8 != w.seq || w.seq == 0 || w.ready {
		p.Release() // an answer that nobody waits for any more
		return false
	}
	r := c.response(p)
	w.open--
	w.all++
	if r.ok() {
		w.ok++
		if r.hit() {
			w.good++
		}
	}
	if w.mode == AwaitFirst && w.await {
		if p.Tag&0xff == 0 {
			w.got = append(w.got[:0], r)
			w.ready = true
		}
		return w.ready
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
	w.ready = w.ready || w.open == 0
	return w.ready
}

// result is what the waiting call returns.
func (c *Call) result() lua.LValue {
	w := &c.wait
	w.seq, w.ready = 0, false
	if !w.await {
		return w.got[0].ud
	}
	t := c.api.st.L.CreateTable(len(w.got), 0)
	for i, r := range w.got {
		t.RawSetInt(i+1, r.ud)
	}
	return t
}

// Answer is what a route returned.
type Answer struct {
	Kind    AnswerKind
	Pending *backend.Pending // AnswerResponse; the caller releases it
	Text    string           // AnswerText
	Err     error            // AnswerFailed
	Restore bool             // the key was cut: the answer must carry the client's key
}

// AnswerKind tells what a route returned.
type AnswerKind uint8

// The kinds of answer.
const (
	AnswerNone     AnswerKind = iota // nothing that can be sent
	AnswerResponse                   // a response object
	AnswerText                       // a string, sent as it is
	AnswerFailed                     // the route raised an error
)

// End takes the answer of a call that is Finished or Failed, and the call itself back into the pool.
func (c *Call) End() (ans Answer) {
	ans.Restore = c.req.restore
	if c.task.Err != nil {
		ans.Kind, ans.Err = AnswerFailed, c.task.Err
	} else {
		switch v := c.task.Result.(type) {
		case lua.LString:
			ans.Kind, ans.Text = AnswerText, string(v)
		case *lua.LUserData:
			if r, ok := v.Value.(*Response); ok && r.call == c && r.p != nil {
				ans.Kind, ans.Pending = AnswerResponse, r.p
				r.p = nil
			}
		}
	}
	c.api.st.FreeTask(c.task)
	c.recycle()
	return ans
}

// Drop gives up a call that waits.
func (c *Call) Drop() {
	c.api.st.DropTask(c.task)
	c.recycle()
}

func (c *Call) recycle() {
	for _, r := range c.res[:c.used] {
		r.blank()
	}
	c.used = 0
	c.req.blank()
	c.wait.seq, c.wait.ready = 0, false
	c.task, c.caller = nil, nil
	c.next = c.api.free
	c.api.free = c
}

// response gives a response object for p.
func (c *Call) response(p *backend.Pending) *Response {
	if c.used == len(c.res) {
		c.res = append(c.res, c.api.newResponseObject(c))
	}
	r := c.res[c.used]
	c.used++
	r.p = p
	return r
}

// current is the call that is running; an error is raised while loading.
func (a *API) current(L *lua.LState, what string) *Call {
	if t := a.st.Current(); t != nil {
		if c, ok := t.Data.(*Call); ok {
			return c
		}
	}
	L.RaiseError("%s: there is no request to wait in while the configuration is loading", what)
	return nil
}

// begin prepares a wait.
func (c *Call) begin(await bool, mode, need int) *wait {
	w := &c.wait
	clear(w.got)
	*w = wait{seq: c.nextSeq(), await: await, mode: mode, need: need, got: w.got[:0]}
	return w
}

// nextSeq numbers waits over all uses of the call, so that a late answer of an earlier use is known as such.
func (c *Call) nextSeq() int {
	c.uses++
	return c.uses
}

// What a call takes of the step budget. Answers live until their request has ended, and a backend's queue has no end of
// its own, so a script that asks for ever is cut after some 20,000 requests.
const (
	askSteps     = 50
	bytesPerStep = 64 // copied between Go and Lua
	sentPerStep  = 256
)

// charge pays for steps and for n bytes at rate a step, or raises the budget's error.
func (a *API) charge(L *lua.LState, steps, n, rate int) { a.st.Host.Charge(L, steps+n/rate) }

// send sends r to t as the i-th request of the current wait.
func (c *Call) send(t Target, r *mc.Request, i int) {
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start = c.caller, c.caller.Lane(), c.caller.Now()
	p.Tag = c.wait.seq<<8 | min(i, 0xff)
	p.Data = c
	t.Send(r, p)
}

// suspend waits for the current wait, yielding if that is possible.
func (c *Call) suspend(L *lua.LState) int {
	return c.api.st.Wait(L, func() { c.caller.Block(c) }, func() lua.LValue {
		if !c.wait.ready {
			c.wait.seq = 0
			c.api.st.Host.Stop(L, "the request is cut: its configuration has been replaced")
		}
		return c.result()
	})
}

// callPool is pool(r).
func callPool(a *API, L *lua.LState) int {
	t, _ := toTarget(L.Get(1))
	r := checkRequest(L, 2, t.Name())
	c := a.current(L, t.Name())
	if len(r.r.Key) == 0 {
		return raise(L, "cannot route commands without key")
	}
	a.charge(L, askSteps, len(r.r.Line)+len(r.r.Value), sentPerStep)
	c.begin(false, AwaitAny, 1).open = 1
	c.send(t, r.r, 0)
	return c.suspend(L)
}

// await is mcp.await.
func await(a *API, L *lua.LState) int {
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
		return raise(L, "cannot route commands without key")
	}
	need, mode := L.OptInt(3, 0), L.OptInt(4, AwaitGood)
	if need <= 0 || need > len(targets) {
		need = len(targets)
	}
	if mode < AwaitGood || mode > AwaitBackground {
		return raise(L, fmt.Sprintf("mcp.await: no mode has the number %d", mode))
	}
	a.charge(L, askSteps*len(targets), len(targets)*(len(r.r.Line)+len(r.r.Value)), sentPerStep)
	w := c.begin(true, mode, need)
	w.open = len(targets)
	for i, t := range targets {
		c.send(t, r.r, i)
	}
	if mode == AwaitBackground {
		w.seq = 0 // the answers are dropped as they come
		L.Push(L.NewTable())
		return 1
	}
	return c.suspend(L)
}

// internal is mcp.internal(r).
func internal(a *API, L *lua.LState) int {
	c := a.current(L, "mcp.internal")
	r := checkRequest(L, 1, "mcp.internal")
	p := backend.NewPending()
	p.Start = c.caller.Now()
	p.Buf = a.o.Worker.Internal(r.r, p.Buf[:0])
	n, _, err := mc.ParseResponse(p.Buf, &p.Resp)
	if err != nil || n != len(p.Buf) {
		p.Release()
		return raise(L, fmt.Sprintf("mcp.internal: cannot parse the store's answer to %q", r.r.Line))
	}
	p.End = backend.Now()
	res := c.response(p)
	a.charge(L, askSteps, len(p.Buf), bytesPerStep)
	L.Push(res.ud)
	return 1
}
