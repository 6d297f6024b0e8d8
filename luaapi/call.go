// One request in Lua: its coroutine, the objects that its route holds, and how it ends.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Caller is the session that runs a Call. Its methods are called with the worker's lock held.
type Caller interface {
	backend.Waiter
	// Lane keeps one client's requests in order at a leaf.
	Lane() uint32
	// Now is backend.Now, read once for requests that start together.
	Now() int64
	// FD is the client's file descriptor.
	FD() int
	// Client is the number of the client's connection, which no other has had; 0 if many clients share it.
	Client() uint64
	// Queue is what has happened to the caller's calls; it runs it when every request of a batch has been started, and
	// after each Deliver and Expire.
	Queue() *Queue
	// Ended is told of a call that has an answer, which End takes.
	Ended(c *Call)
	// Idle is told of a call whose answer said Lingers, when nothing of it is under way any more.
	Idle(c *Call)
	// Alarm is told of a call that waits until c.Deadline at most, so that it calls Expire then.
	Alarm(c *Call)
	// Failed is told of an error in a sub-call or a callback, which costs less than the request.
	Failed(c *Call, err error)
	// Ran is told how many steps a coroutine took.
	Ran(steps int64)
	// Block delivers answers to c and its sub-calls, without the worker's lock, until c.Ready or until the call is to be given up.
	Block(c *Call)
}

// Call is a function that serves one request at a time, with its coroutine and its objects: a slot, in memcached's proxy's words. A Funcgen
// makes it and keeps it. All methods need the state's lock.
//
// A call ends when its function returns. What it has sent may be unanswered then: it lingers until the last answer has come, and is
// used again after that.
type Call struct {
	Slot int // the caller's own note: which request of its batch this is

	api    *API
	gen    *Funcgen
	fn     *lua.LFunction
	task   *vm.Task // nil while it serves nothing
	caller Caller
	own    *Request       // the object of the client's request, unless this is a sub-call
	req    *Request       // what it serves: own, or what the parent has enqueued
	rctx   *lua.LUserData // nil for a function that was attached as it is
	res    []*Response    // made on demand, the first used of them are in use
	used   int
	uses   int // how often the call has been used: a Pending of an earlier use is stale
	logged []loggedAwait

	handles []handle
	objects objects
	holds   []hold // what it has taken that others wait for
	parent  *Call
	at      int   // which of the parent's handles it is behind
	root    *Call // the call of the client's request; itself, unless this is a sub-call
	open    int   // handles that are sent and not answered
	held    int   // sub-calls that are under way or linger
	over    bool  // its function has returned
	deaf    bool  // it was given up: callbacks are not told of what comes
	lingers bool

	wait    wait
	blocked bool // it waits where its coroutine cannot be suspended
	ret     [2]lua.LValue
	next    *Call
}

// Begin starts g's function for r. Nil: g could not make one. Caller.Ended is told when it has an answer, which may be before
// Begin returns. trim is how many bytes a router cut off the key.
func (a *API) Begin(caller Caller, slot int, g *Funcgen, r *mc.Request, trim int) (*Call, error) {
	c, err := g.take(nil, 0)
	if err != nil {
		return nil, err
	}
	c.Slot = slot
	c.own.reset(r)
	if trim > 0 {
		if err := c.own.trim(trim); err != nil {
			c.own.blank()
			g.put(c)
			return nil, err
		}
	}
	c.start(caller, c.own)
	return c, nil
}

func (c *Call) start(caller Caller, r *Request) {
	c.caller, c.req, c.over = caller, r, false
	c.uses++
	c.task = c.api.st.NewTask()
	c.task.Data = c
	c.after(c.task.Start(c.fn, r.ud))
}

// after looks at what the coroutine did.
func (c *Call) after(status vm.Status) {
	c.caller.Ran(c.task.Spent)
	switch {
	case status == vm.Waiting, status == vm.Returning:
	case c.parent != nil:
		c.endSub()
	default:
		c.caller.Ended(c)
	}
}

// State is whose lock guards the call.
func (c *Call) State() *vm.State { return c.api.st }

// Serves reports whether the call serves a request of this caller.
func (c *Call) Serves(x Caller) bool { return c.caller == x }

// Route names the function, for logs.
func (c *Call) Route() string { return c.gen.name }

// Request is what the call serves.
func (c *Call) Request() *mc.Request { return c.req.r }

// Ready reports whether what the call waits for is there.
func (c *Call) Ready() bool { return c.wait.ready }

// goOn resumes the coroutine with what it waited for, or ends the call where that is all that was left to do.
func (c *Call) goOn() {
	if c.api.watcher != nil {
		c.api.watcher.GoesOn(c, c.wait.expired)
	}
	switch {
	case c.blocked:
	case c.task.Returns():
		c.task.Return(c.result()[0])
		c.after(vm.Finished)
	default:
		c.after(c.task.Resume(c.result()...))
	}
}

// finish gives the coroutine back.
func (c *Call) finish() {
	c.release()
	c.api.st.FreeTask(c.task)
	c.task, c.over = nil, true
	c.wait.end()
}

// Drop gives up a call and its sub-calls, whatever they are doing. It reports whether it lingers: answers to what it has sent may come.
func (c *Call) Drop() (lingers bool) {
	c.drop()
	c.lingers = c.open+c.held > 0
	lingers = c.lingers
	c.settle()
	return lingers
}

func (c *Call) drop() {
	c.deaf = true
	c.held++ // until all is done: the last of what it has called would settle it
	if c.task != nil {
		c.release()
		c.api.st.DropTask(c.task)
		c.task, c.over = nil, true
		c.wait.end()
	}
	for i := range c.handles {
		if h := &c.handles[i]; h.sub != nil && h.sub.task != nil {
			c.open-- // it will not be answered
			h.unmeasured()
			h.sub.drop()
			h.sub.settle()
		}
	}
	c.held--
}

// Detach makes the call keep the bytes of the client's request, which are about to go.
func (c *Call) Detach() { c.own.detach() }

// settle notices that nothing of a call is under way any more. A sub-call's objects are kept until its root is idle: it may have handed
// them up.
func (c *Call) settle() {
	if !c.over || c.open > 0 || c.held > 0 {
		return
	}
	if p := c.parent; p != nil {
		p.held--
		p.settle()
		return
	}
	caller, lingered := c.caller, c.lingers
	c.reset()
	if lingered {
		caller.Idle(c)
	}
	c.gen.put(c)
}

// reset makes the call and its sub-calls ready for another request.
func (c *Call) reset() {
	for _, r := range c.res[:c.used] {
		r.blank()
	}
	c.used, c.lingers, c.deaf = 0, false, false
	c.objects.blank()
	if c.own != nil {
		c.own.blank()
	}
	c.req, c.caller = nil, nil
	for i := range c.handles {
		h := &c.handles[i]
		if h.state != handleIdle && h.sub != nil {
			h.sub.reset()
		}
		h.reset()
	}
}

// response gives a response object for p.
func (c *Call) response(p *backend.Pending) *Response {
	if c.used == len(c.res) {
		c.res = append(c.res, c.api.newResponseObject(c))
	}
	r := c.res[c.used]
	c.used++
	r.p, r.restore, r.text = p, false, false
	return r
}

// runs is the call that is running; nil: none is.
func (a *API) runs() *Call {
	if t := a.st.Current(); t != nil {
		c, _ := t.Data.(*Call)
		return c
	}
	return nil
}

// current is the call that is running; an error is raised while loading.
func (a *API) current(L *lua.LState, what string) *Call {
	if c := a.runs(); c != nil {
		return c
	}
	L.RaiseError("%s: there is no request to wait in while the configuration is loading", what)
	return nil
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

// chargeSends pays for sending r so many times.
func (a *API) chargeSends(L *lua.LState, r *mc.Request, times int) {
	a.charge(L, askSteps*times, times*(len(r.Line)+len(r.Value)), sentPerStep)
}

// paysSend is chargeSends for one, if there are so many steps.
func (a *API) paysSend(r *mc.Request) bool {
	return a.st.Host.Pay(askSteps + (len(r.Line)+len(r.Value))/sentPerStep)
}

// send sends r to t; tag is how its answer is known.
func (c *Call) send(t Target, r *mc.Request, tag int) {
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start = c.caller, c.caller.Lane(), c.caller.Now()
	p.Tag, p.Data = tag, c
	c.api.sent++
	p.Order = c.api.sent
	if c.api.watcher != nil {
		c.api.watcher.Sends(c, t, r, p)
	}
	t.Send(r, p)
}

// run runs r on a store; a store that has no answer has failed.
func (c *Call) run(st Store, r *mc.Request) *backend.Pending {
	p := backend.NewPending()
	p.Start = c.caller.Now()
	p.Buf = st.Exec(r, p.Buf[:0])
	if n, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil || n != len(p.Buf) {
		p.Err = backend.ErrRefused
	}
	p.End = c.api.o.Now()
	c.ran(r, p)
	return p
}

// internal runs r on the proxy's own store. One that is not for it is answered with refusal; nil if that is empty.
func (c *Call) internal(r *mc.Request, refusal string) *backend.Pending {
	p := backend.NewPending()
	p.Start = c.caller.Now()
	if p.Buf = c.api.o.Worker.Internal(r, p.Buf[:0]); len(p.Buf) == 0 && refusal != "" {
		p.Buf = append(p.Buf, refusal...)
	}
	if n, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil || n != len(p.Buf) {
		p.Release()
		return nil
	}
	p.End = c.api.o.Now()
	c.ran(r, p)
	return p
}

// ran tells who watches.
func (c *Call) ran(r *mc.Request, p *backend.Pending) {
	if c.api.watcher != nil {
		c.api.watcher.Runs(c, r, p)
	}
}
