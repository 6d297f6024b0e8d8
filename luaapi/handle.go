// Handles: what a call has enqueued and sent, and what came of it.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// The classes of results, and the modes of waits. The numbers are memcached's.
const (
	ResGood = 8  // an answer that is no error and no miss
	ResOK   = 16 // one that is no error
	ResAny  = 32 // any, an error too

	WaitAny      = 1
	WaitOK       = 2
	WaitGood     = 3
	WaitFastGood = 4 // goes on at the first that is good, else counts those that are no errors
)

type handleState uint8

const (
	handleIdle   handleState = iota
	handleQueued             // enqueued: the next wait sends it
	handleSent
	handleDone   // it has a result, which no wait has counted
	handleWaited // and one has
)

// handle is one of a call's. It is used once for a request.
type handle struct {
	target  target
	sub     *Call // the slot behind it, if target is a Funcgen
	cb      *lua.LFunction
	meter   *meter // nil: nobody measures
	metered bool   // the meter counts it as open
	sentAt  int64  // since then, by the API's clock

	state  handleState
	req    *Request
	res    *Response
	text   lua.LString // in place of res: a string that a sub-call returned
	class  int         // Res...; 0 while there is no result
	failed bool
}

func (h *handle) reset() {
	h.unmeasured()
	h.state, h.req, h.res, h.text, h.class, h.failed = handleIdle, nil, nil, "", 0, false
}

// value is the result as scripts see it.
func (h *handle) value() lua.LValue {
	switch {
	case h.class == 0:
		return lua.LNil
	case h.res == nil:
		return h.text
	}
	return h.res.ud
}

// Queue is what has happened to a caller's calls and has not been looked at yet. Nothing completes while it is not run, so that a
// caller can start every request of a batch before any goes on. The zero value is empty. It needs the worker's lock.
type Queue struct {
	list []event
	head int
}

type event struct {
	c    *Call
	kind eventKind
	at   int // which handle
}

type eventKind uint8

const (
	eventStart  eventKind = iota // a sub-call is to be started
	eventResult                  // a result is there already
	eventPoke                    // a wait for nothing is over
	eventPast                    // it has been looked at
)

func (q *Queue) add(c *Call, kind eventKind, at int) {
	q.list = append(q.list, event{c, kind, at})
}

// Empty reports whether nothing has happened.
func (q *Queue) Empty() bool { return q.head == len(q.list) }

// Start starts the sub-calls that are to be started, and theirs. What they send goes out before what a later request of the batch
// sends, as a client that pipelines expects.
func (q *Queue) Start() {
	for i := q.head; i < len(q.list); i++ {
		if e := q.list[i]; e.kind == eventStart {
			q.list[i].kind = eventPast
			e.c.happened(e)
		}
	}
}

// Run looks at everything that has happened, one at a time and in order, and at what follows from it.
func (q *Queue) Run() { q.run(nil) }

// RunFor is Run for what has happened to c and its sub-calls; the rest stays.
func (q *Queue) RunFor(c *Call) { q.run(c) }

func (q *Queue) run(only *Call) {
	var kept []event
	for q.head < len(q.list) {
		e := q.list[q.head]
		q.list[q.head] = event{}
		q.head++
		if only != nil && !only.Contains(e.c) {
			kept = append(kept, e)
			continue
		}
		e.c.happened(e)
	}
	q.list, q.head = append(q.list[:0], kept...), 0
}

// Contains reports whether x is c or one of its sub-calls.
func (c *Call) Contains(x *Call) bool {
	for ; x != nil; x = x.parent {
		if x == c {
			return true
		}
	}
	return false
}

func (c *Call) happened(e event) {
	switch e.kind {
	case eventStart:
		h := &c.handles[e.at]
		if c.over { // given up meanwhile
			h.unmeasured()
			c.open--
			c.held--
			c.settle()
			return
		}
		if h.req.r == nil { // another call's, which has ended meanwhile
			c.held--
			h.res = c.response(failedAnswer(backend.ErrRefused))
			c.completed(e.at)
			return
		}
		h.sub.start(c.caller, h.req)
	case eventResult:
		if h := &c.handles[e.at]; h.metered {
			h.measured(c.api.o.Now(), h.rank())
		}
		c.completed(e.at)
	case eventPoke:
		if c.wait.kind == waitPoke {
			c.wait.ready = true
			c.goOn()
		}
	}
}

// enqueue marks r for a handle; a handle that has been used is left alone.
func (c *Call) enqueue(r *Request, at int) {
	if h := &c.handles[at]; h.state == handleIdle {
		h.state, h.req = handleQueued, r
	}
}

// dispatch sends what is enqueued, and counts for the present wait what has come before.
func (c *Call) dispatch() {
	for i := range c.handles {
		switch h := &c.handles[i]; h.state {
		case handleQueued:
			h.state = handleSent
			c.open++
			c.dispatchTo(h, i)
		case handleDone:
			c.weigh(h, i, false)
		}
	}
	if w := &c.wait; c.open == 0 && (w.kind == waitCond || w.kind == waitHandle) {
		w.ready = true // nothing more can come
	}
}

func (c *Call) dispatchTo(h *handle, at int) {
	if h.meter != nil {
		h.metered, h.sentAt = true, c.api.o.Now()
		h.meter.begin()
	}
	switch {
	case h.req.r == nil: // another call's, which has ended since it was enqueued
		h.res = c.response(failedAnswer(backend.ErrRefused))
		c.caller.Queue().add(c, eventResult, at)
	case h.target.pool != nil:
		c.send(h.target.pool, h.req.r, -1-at)
	case h.sub != nil:
		c.held++
		c.caller.Queue().add(c, eventStart, at)
	default:
		p := c.internal(h.req.r, "")
		if p == nil {
			p = failedAnswer(backend.ErrRefused)
		}
		h.res = c.response(p)
		c.caller.Queue().add(c, eventResult, at)
	}
}

// failedAnswer is an answer that there is none.
func failedAnswer(err error) *backend.Pending {
	p := backend.NewPending()
	p.Err, p.Start = err, backend.Now()
	p.End = p.Start
	return p
}

// Fanned reports whether p, which has a Call, is the answer to one of several handles that are under way at once: then it matters which
// answer comes first. It is for p's Waiter alone and needs no lock: until p is delivered, c is the waiter's.
func Fanned(p *backend.Pending) bool {
	if c, ok := p.Data.(*Call); ok && p.Tag < 0 {
		for ; c != nil; c = c.parent {
			if c.open > 1 {
				return true
			}
		}
	}
	return false
}

// answered takes a backend's answer to a handle.
func (c *Call) answered(at int, p *backend.Pending) {
	h := &c.handles[at]
	h.measured(p.End, backend.Rank(p))
	if c.over && (h.cb == nil || c.deaf) {
		p.Release()
	} else {
		h.res = c.response(p)
		h.res.restore = h.req.restore
	}
	c.completed(at)
}

// endSub hands what a sub-call returned to its parent.
func (c *Call) endSub() {
	p := c.parent
	h := &p.handles[c.at]
	result, err := c.task.Result, c.task.Err
	switch v := result.(type) {
	case lua.LString:
		if p.gen.ranked {
			h.res = p.textResponse(string(v))
		} else {
			h.text = v
		}
	case *lua.LUserData:
		if r, ok := v.Value.(*Response); ok && r.call != nil && r.call.root == c.root && r.p != nil {
			h.res = r
			r.restore = r.restore || h.req.restore // it names the key that the sub-call was asked for, whatever it is made of
		}
	}
	if h.res == nil && h.text == "" {
		if _, ok := result.(lua.LString); !ok || err != nil || p.gen.ranked {
			h.res = c.response(failedAnswer(backend.ErrRefused))
			if err == nil {
				err = c.noAnswer(result)
			}
		}
	}
	if err != nil {
		c.caller.Failed(c, err)
	}
	caller := c.caller
	c.finish()
	caller.Queue().add(p, eventResult, c.at)
	c.settle()
}

// textResponse makes a response of a string that a sub-call returned; nil if it is none.
func (c *Call) textResponse(text string) *Response {
	p := backend.NewPending()
	p.Buf = append(p.Buf[:0], text...)
	if n, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil || n != len(p.Buf) {
		p.Release()
		return nil
	}
	p.Start = c.api.o.Now()
	p.End = p.Start
	r := c.response(p)
	r.text = true
	return r
}

// completed looks at a handle that has its result.
func (c *Call) completed(at int) {
	h := &c.handles[at]
	c.open--
	if c.over { // nobody asks any more; callbacks are told all the same
		if h.cb != nil && !c.deaf {
			c.classify(h)
		}
		c.settle()
		return
	}
	h.state = handleDone
	resume := c.classify(h)
	if c.wait.kind == waitCond || c.wait.kind == waitHandle {
		c.weigh(h, at, resume)
		if c.open == 0 {
			c.wait.ready = true
		}
		if c.wait.ready {
			c.goOn()
		}
	}
}

// classify sets a result's class; a callback may have another opinion, and may end the present wait.
func (c *Call) classify(h *handle) (resume bool) {
	switch {
	case h.res == nil:
		h.class = ResAny // a string: callbacks are not asked
		return false
	case c.gen.ranked:
		c.classifyByRank(h)
	case h.res.hit():
		h.class = ResGood
	case h.res.ok():
		h.class = ResOK
	default:
		h.class, h.failed = ResAny, true
	}
	if h.cb == nil {
		return false
	}
	vs, err := c.api.st.Invoke(h.cb, h.res.ud, h.req.ud)
	if err != nil {
		c.caller.Failed(c, err)
		return false
	}
	mode, ok := lua.LNumber(0), false
	if len(vs) > 0 {
		mode, ok = vs[0].(lua.LNumber)
	}
	if !ok {
		return false
	}
	switch mode {
	case WaitGood:
		h.class, h.failed = ResGood, false
	case WaitOK:
		h.class, h.failed = ResOK, false
	}
	return len(vs) > 1 && lua.LVAsBool(vs[1])
}

// classifyByRank counts a miss of a write (NOT_FOUND, NOT_STORED) as one of a read.
func (c *Call) classifyByRank(h *handle) {
	switch backend.Rank(h.res.p) {
	case mc.RankHit:
		h.class = ResGood
	case mc.RankMiss:
		h.class = ResOK
	default:
		h.class, h.failed = ResAny, true
	}
}

// weigh counts a result for the present wait. resume: the callback says that it is over.
func (c *Call) weigh(h *handle, at int, resume bool) {
	w := &c.wait
	counts := false
	switch {
	case w.kind == waitHandle:
		if counts = at == w.handle; resume {
			w.handle = at // so in memcached: the wait gives the result of whose callback ended it
		}
	case w.kind != waitCond || w.ready:
		return
	case w.mode == WaitAny:
		counts = true
	case w.mode == WaitOK:
		counts = h.class != ResAny
	case w.mode == WaitGood:
		counts = h.class == ResGood
	case w.mode == WaitFastGood:
		counts = h.class != ResAny
		resume = resume || h.class == ResGood
	}
	if counts {
		w.done++
		h.state = handleWaited
	}
	if w.ready = w.ready || resume || w.done >= w.need; w.ready || !h.failed {
		return
	}
	h.state = handleWaited
	for i := range c.handles {
		switch c.handles[i].state {
		case handleQueued, handleSent, handleDone:
			return
		}
	}
	w.ready = true
}
