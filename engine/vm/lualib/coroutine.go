// coroutine.*: a script's own coroutines. A wait inside one does not pass through; CanYield says no.

package lualib

import (
	lua "github.com/yuin/gopher-lua"
)

// natives are gopher-lua's functions that start and switch coroutines, and the function every coroutine begins with.
type natives struct {
	create, resume lua.LGFunction
	entry          *lua.FunctionProto // function(...) return f(...) end, f its upvalue, not a tail call
}

var coroutineLib = []entry{
	{"close", coClose}, {"create", coCreate}, {"isyieldable", coIsYieldable}, {"resume", coResume}, {"running", coRunning},
	{"status", coStatus}, {"wrap", coWrap}, {"yield", coYield},
}

func (h *Host) openCoroutine() error {
	lua.OpenCoroutine(h.L)
	mod := h.L.Get(-1).(*lua.LTable)
	h.L.Pop(1)
	h.co.create = mod.RawGetString("create").(*lua.LFunction).GFunction
	h.co.resume = mod.RawGetString("resume").(*lua.LFunction).GFunction
	h.globals().RawSetString("coroutine", lua.LNil)
	if err := h.openPrelude(); err != nil {
		return err
	}
	h.lib("coroutine", coroutineLib)
	return nil
}

// coroutineSteps is what a coroutine costs: some 7 KB and 5 µs.
const coroutineSteps = 50

// newCoroutine makes a suspended coroutine that will call f. It leaves L's arguments as they were.
func (h *Host) newCoroutine(L *lua.LState, f *lua.LFunction) *lua.LState {
	h.Charge(L, coroutineSteps)
	entry := h.L.NewFunctionFromProto(h.co.entry)
	entry.Upvalues[0] = closed(f)
	L.Insert(entry, 1)
	h.co.create(L)
	th := L.Get(-1).(*lua.LState)
	h.watch(th)
	L.Pop(1)
	L.Remove(1)
	return th
}

func (h *Host) isCoroutine(th *lua.LState) bool {
	f := bottom(th)
	return !f.none() && !f.fn().IsG && f.fn().Proto == h.co.entry
}

func coCreate(h *Host, L *lua.LState) int {
	L.Push(h.newCoroutine(L, h.function(L, 1)))
	return 1
}

func coResume(h *Host, L *lua.LState) int {
	h.threadArg(L, 1)
	return h.resume(L)
}

// resume resumes the coroutine that is L's first argument with the others.
func (h *Host) resume(L *lua.LState) int {
	th := L.Get(1).(*lua.LState)
	msg := h.cannotResume(L, th)
	if msg == nil {
		msg = h.tooDeep()
	}
	if msg != nil {
		L.Push(lua.LFalse)
		L.Push(msg)
		return 2
	}
	if want := expects(th); want >= 0 {
		L.SetTop(1 + want)
	}
	h.depth++
	n := h.co.resume(L)
	h.depth--
	if L.Get(-n) == lua.LFalse {
		v := L.Get(-1)
		if h.meter.cut {
			L.Error(v, 0)
		}
		L.Replace(-1, clean(v))
	}
	return n
}

func (h *Host) cannotResume(L, th *lua.LState) lua.LValue {
	switch {
	case th.Dead:
		return lua.LString("cannot resume dead coroutine")
	case th == L || th.Parent != nil || !top(th).none() && !h.isCoroutine(th):
		return lua.LString("cannot resume non-suspended coroutine")
	}
	return nil
}

func coWrap(h *Host, L *lua.LState) int {
	th := h.newCoroutine(L, h.function(L, 1))
	L.Push(L.NewFunction(h.Guard("coroutine.wrap", func(L *lua.LState) int {
		L.Insert(th, 1)
		n := h.resume(L)
		if L.Get(-n) == lua.LFalse {
			v := L.Get(-1)
			if s, ok := v.(lua.LString); ok {
				v = lua.LString(h.where(L, 1)) + s
			}
			L.Error(v, 0)
		}
		return n - 1
	})))
	return 1
}

func coYield(h *Host, L *lua.LState) int {
	if msg := h.cannotYield(L); msg != "" {
		h.raise(L, "%s", msg)
	}
	return -1
}

// cannotYield says why the running coroutine cannot yield, "" if it can.
func (h *Host) cannotYield(L *lua.LState) string {
	for th := L; th != nil; th = th.Parent {
		first, ok := suspendable(th)
		switch {
		case !ok:
			return "attempt to yield across a Go-call boundary"
		case first.Proto == h.co.entry:
			return ""
		case !h.isPcall(first):
			return "attempt to yield from outside a coroutine"
		}
	}
	return "attempt to yield from outside a coroutine"
}

func coIsYieldable(h *Host, L *lua.LState) int {
	L.Push(lua.LBool(h.cannotYield(L) == ""))
	return 1
}

// running is the coroutine that a script is in: pcall's own are not seen.
func (h *Host) running(L *lua.LState) *lua.LState {
	for L.Parent != nil {
		f := bottom(L)
		if f.none() || !h.isPcall(f.fn()) {
			break
		}
		L = L.Parent
	}
	return L
}

func coRunning(h *Host, L *lua.LState) int {
	th := h.running(L)
	L.Push(th)
	L.Push(lua.LBool(!h.isCoroutine(th)))
	return 2
}

func (h *Host) status(L, th *lua.LState) string {
	switch {
	case th.Dead:
		return "dead"
	case th == h.running(L):
		return "running"
	case th.Parent != nil || !top(th).none() && !h.isCoroutine(th):
		return "normal"
	}
	return "suspended"
}

func coStatus(h *Host, L *lua.LState) int {
	L.Push(lua.LString(h.status(L, h.threadArg(L, 1))))
	return 1
}

func coClose(h *Host, L *lua.LState) int {
	th := h.threadArg(L, 1)
	if s := h.status(L, th); s != "suspended" && s != "dead" {
		h.raise(L, "cannot close a %s coroutine", s)
	}
	th.Dead = true
	L.Push(lua.LTrue)
	return 1
}
