// pcall and xpcall, through which a wait passes.
//
// gopher-lua's own pcall loses a yield. Here the protected function runs in a coroutine of its own: when it ends, so does pcall;
// when it yields, pcall yields the same values outward and passes inward what it is resumed with. The loop that does so must be
// Lua, because a Go function cannot be resumed. A coroutine that ended normally is kept for the next pcall; one that ended in an
// error is dropped, because gopher-lua leaves its frames where they were.

package lualib

import (
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// prelude is the Lua side. begin and xbegin give false and pcall's results, or the coroutine and what it yielded. enter stands at
// the bottom of a coroutine, so that f is never called as the bottom's tail call: gopher-lua loses a yield there.
const prelude = `
local begin, xbegin, again, closer, raise, yield = ...
local function settle(th, ...)
  if not th then return ... end
  return settle(again(th, yield(...)))
end
local function pcall(...) return settle(begin(...)) end
local function xpcall(...) return settle(xbegin(...)) end
local function closed(v, ok, ...)
  local close = closer(v)
  if ok then
    if close then close(v, nil) end
    return ...
  end
  if close then close(v, (...)) end
  raise((...))
end
local function close(v, f, ...) return closed(v, pcall(f, ...)) end
local function enter(f, ...) return true, f(...) end
local function xenter(arm, f, ...) arm() return true, f(...) end
local function coroutine(f) return function(...) return f(...) end end
return pcall, xpcall, enter, xenter, coroutine, close
`

// preludeName marks the prelude's functions. Errors and tracebacks pass over them.
const preludeName = "[Go]"

// protected is what pcall needs of its state.
type protected struct {
	enter, xenter, arm *lua.LFunction
	free               []*lua.LState // coroutines that ended normally
	arming             *xcall        // the xpcall whose coroutine is just starting
}

const (
	maxFree  = 64  // coroutines kept
	maxDepth = 190 // pcalls and coroutines inside each other, as in C Lua
)

// xcall is one xpcall that is under way.
type xcall struct {
	th      *lua.LState
	handler lua.LValue
	handled bool // the handler has seen the error
	trusted bool // the handler is ours and sees the budget's error too
}

// compiledPrelude is the prelude, compiled once for all states: prototypes do not change.
var compiledPrelude = sync.OnceValues(func() (*lua.FunctionProto, error) {
	chunk, err := parse.Parse(strings.NewReader(prelude), preludeName)
	if err != nil {
		return nil, err
	}
	proto, err := lua.Compile(chunk, preludeName)
	if err != nil {
		return nil, err
	}
	for _, p := range proto.FunctionPrototypes {
		for _, inner := range p.FunctionPrototypes { // coroutine's: the only one inside another
			noTailCalls(inner)
		}
	}
	return proto, nil
})

// openPrelude loads the Lua side and installs pcall and xpcall. It also makes L the state's main thread.
func (h *Host) openPrelude() error {
	proto, err := compiledPrelude()
	if err != nil {
		return err
	}
	L := h.L
	L.Push(L.NewFunctionFromProto(proto))
	L.Push(h.fn("pcall", pcallBegin))
	L.Push(h.fn("xpcall", xpcallBegin))
	L.Push(h.fn("pcall", pcallAgain))
	L.Push(h.fn("<close>", closer))
	L.Push(L.NewFunction(func(L *lua.LState) int {
		L.Error(L.Get(1), 0)
		return 0
	}))
	L.Push(L.NewFunction(func(*lua.LState) int { return -1 }))
	const results = 6
	L.Call(6, results)
	fns := make([]*lua.LFunction, results)
	for i := range fns {
		fns[i] = L.Get(i - results).(*lua.LFunction)
	}
	L.Pop(results)
	h.globals().RawSetString("pcall", fns[0])
	h.globals().RawSetString("xpcall", fns[1])
	h.names[fns[0]], h.names[fns[1]] = "pcall", "xpcall"
	h.protected.enter, h.protected.xenter = fns[2], fns[3]
	h.protected.arm = h.fn("xpcall", arm)
	h.co.entry = fns[4].Proto.FunctionPrototypes[0]
	h.bound[source.Close] = closed(fns[5])
	return nil
}

// noTailCalls makes p's tail calls plain ones.
func noTailCalls(p *lua.FunctionProto) {
	for i, code := range p.Code {
		if opcode(code) == lua.OP_TAILCALL {
			p.Code[i] = code&(1<<26-1) | uint32(lua.OP_CALL)<<26
		}
	}
}

func (h *Host) internal(fn *lua.LFunction) bool { return !fn.IsG && fn.Proto.SourceName == preludeName }

// isPcall reports that a coroutine that begins with fn is a pcall's.
func (h *Host) isPcall(fn *lua.LFunction) bool {
	return !fn.IsG && (fn.Proto == h.protected.enter.Proto || fn.Proto == h.protected.xenter.Proto)
}

// tooDeep refuses a protected call or coroutine inside too many others: each is a stack of its own.
func (h *Host) tooDeep() lua.LValue {
	if h.depth >= maxDepth {
		return lua.LString("stack overflow (too many nested pcalls or coroutines)")
	}
	return nil
}

// thread gives a coroutine for a protected call. A new one is charged, so that errors in a loop are cut too.
func (h *Host) thread(L *lua.LState) *lua.LState {
	p := &h.protected
	if n := len(p.free); n > 0 {
		th := p.free[n-1]
		p.free = p.free[:n-1]
		th.Dead = false
		return th
	}
	h.Charge(L, coroutineSteps)
	return h.NewThread()
}

func (h *Host) freeThread(th *lua.LState) {
	th.SetTop(0) // lets go of the last call's values
	if p := &h.protected; len(p.free) < maxFree {
		p.free = append(p.free, th)
	}
}

// uncallable is nil, or the error of calling v.
func (h *Host) uncallable(L *lua.LState, v lua.LValue) lua.LValue {
	if _, ok := v.(*lua.LFunction); ok {
		return nil
	}
	if _, ok := L.GetMetaField(v, "__call").(*lua.LFunction); ok {
		return nil
	}
	return lua.LString("attempt to call a " + h.typeName(L, v) + " value")
}

// pcallBegin(f, ...) starts pcall's coroutine.
func pcallBegin(h *Host, L *lua.LState) int {
	f := h.any(L, 1)
	if msg := h.uncallable(L, f); msg != nil {
		return pushFailed(L, msg)
	}
	if msg := h.tooDeep(); msg != nil {
		return pushFailed(L, msg)
	}
	th := h.thread(L)
	h.take(L, 1)
	return h.protectedRun(L, th, th, nil, h.protected.enter)
}

// xpcallBegin(f, handler, ...) starts xpcall's.
func xpcallBegin(h *Host, L *lua.LState) int {
	f, handler := L.Get(1), L.Get(2)
	if msg := h.uncallable(L, handler); msg != nil {
		h.typeError(L, 2, "function")
	}
	if msg := h.tooDeep(); msg != nil {
		return pushFailed(L, msg)
	}
	x := &xcall{th: h.thread(L), handler: handler}
	h.take(L, 1)
	h.buf[0], h.buf[1] = h.protected.arm, f
	h.protected.arming = x
	return h.protectedRun(L, x.th, &lua.LUserData{Value: x, Metatable: lua.LNil}, x, h.protected.xenter)
}

// pcallAgain(th, ...) resumes what waited, with what the wait gave.
func pcallAgain(h *Host, L *lua.LState) int {
	handle := L.Get(1)
	h.take(L, 2)
	if ud, ok := handle.(*lua.LUserData); ok {
		x := ud.Value.(*xcall)
		h.buf = fit(x.th, h.buf)
		return h.protectedRun(L, x.th, handle, x, nil)
	}
	th := handle.(*lua.LState)
	h.buf = fit(th, h.buf)
	return h.protectedRun(L, th, handle, nil, nil)
}

// take fills buf with L's arguments from n on.
func (h *Host) take(L *lua.LState, n int) {
	h.buf = h.buf[:0]
	for i, top := n, L.GetTop(); i <= top; i++ {
		h.buf = append(h.buf, L.Get(i))
	}
}

// protectedRun runs th, which handle stands for in Lua, with the values in buf, until it yields or ends.
func (h *Host) protectedRun(L, th *lua.LState, handle lua.LValue, x *xcall, entry *lua.LFunction) int {
	h.depth++
	state, err, vals := L.Resume(th, entry, h.buf...)
	h.depth--
	switch state {
	case lua.ResumeOK:
		h.freeThread(th)
		L.Push(lua.LFalse)
	case lua.ResumeYield:
		L.Push(handle)
	default:
		return pushFailed(L, h.failed(L, err, x))
	}
	for _, v := range vals {
		L.Push(v)
	}
	return len(vals) + 1
}

// NewThread makes a coroutine whose errors are in Lua's words.
func (h *Host) NewThread() *lua.LState {
	th, _ := h.L.NewThread()
	scrub(th)
	h.watch(th)
	return th
}

// failed is the error value of a protected call that ended with err. The budget's error goes on outward.
func (h *Host) failed(L *lua.LState, err error, x *xcall) lua.LValue {
	var v lua.LValue = lua.LString(err.Error())
	if api, ok := err.(*lua.ApiError); ok {
		v = api.Object
	}
	if h.meter.cut {
		L.Error(v, 0)
	}
	v = clean(v)
	if x != nil && !x.handled { // thrown by Go code below Lua: there is no stack left for the handler to look at
		x.handled = true
		L.Push(x.handler)
		L.Push(v)
		L.Call(1, 1)
		v = L.Get(-1)
		L.Pop(1)
	}
	return v
}

// clean makes an error that gopher-lua raised read like Lua's: without the prelude's place, which others' builtins take for their
// caller's when pcall calls them.
func clean(v lua.LValue) lua.LValue {
	s, ok := v.(lua.LString)
	if ok && s == callStackOverflow {
		return lua.LString("stack overflow")
	}
	if !ok || !strings.HasPrefix(string(s), preludeName+":") {
		return v
	}
	if _, rest, found := strings.Cut(string(s), ": "); found {
		return lua.LString(rest)
	}
	return v
}

// pushFailed pushes what settle turns into false, v.
func pushFailed(L *lua.LState, v lua.LValue) int {
	L.Push(lua.LFalse)
	L.Push(lua.LFalse)
	L.Push(v)
	return 3
}

// arm makes the running coroutine call its xpcall's handler where an error is raised, with the stack still there.
func arm(h *Host, L *lua.LState) int {
	x := h.protected.arming
	h.protected.arming = nil
	L.Panic = func(L *lua.LState) {
		v := h.reword(L, L.Get(-1))
		if x.handled || h.meter.cut && !x.trusted {
			panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: v})
		}
		x.handled = true
		L.Push(x.handler)
		L.Push(clean(v))
		L.Call(1, 1)
		panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1)})
	}
	return 0
}
