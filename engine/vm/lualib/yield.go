// Where a script may wait, and how a coroutine that waited goes on.

package lualib

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
)

// Place is how deep in Go the running request is. It belongs to one goroutine's stack: whoever lets others use the state
// meanwhile takes it along.
type Place struct{ nest, depth int }

// Leave gives the place and goes to the ground, where a request starts; Return goes back to it. What was left in between, by an
// error that passed through Go too, is forgotten.
func (h *Host) Leave() Place {
	p := Place{h.Nest, h.depth}
	h.Nest, h.depth = 0, 0
	return p
}

// Return goes back to p.
func (h *Host) Return(p Place) { h.Nest, h.depth = p.nest, p.depth }

// CanYield reports whether a Go function called on L may wait (return L.Yield) so that base, the request's coroutine,
// is suspended: L is base or in pcalls under it, and only plain calls of Lua functions lie between.
func (h *Host) CanYield(L, base *lua.LState) bool {
	if h.Nest > 0 {
		return false
	}
	for L != nil {
		first, ok := suspendable(L)
		if !ok {
			return false
		}
		if L == base {
			return true
		}
		if !h.isPcall(first) {
			return false
		}
		L = L.Parent
	}
	return false
}

// IsLast reports whether what a Go function called on L returns is what base's function returns, so that no Lua is left to run: it was
// called by `return wait()`, or by `local x = wait() return x`, in the one function above base's bottom. It is asked after CanYield.
func (h *Host) IsLast(L, base *lua.LState) bool {
	if L != base {
		return false
	}
	f := top(L).caller()
	if b := f.caller(); b.none() || !b.caller().none() {
		return false
	}
	return !f.fn().IsG && quick.IsLast(f.fn().Proto, f.pc()-1)
}

// suspendable reports whether L's frames would survive a yield: none was called by Go code or from inside an instruction (a
// metamethod, a for loop's iterator). first is the function at the bottom.
func suspendable(L *lua.LState) (first *lua.LFunction, ok bool) {
	f := top(L)
	if f.none() {
		return nil, false
	}
	for {
		c := f.caller()
		if c.none() {
			return f.fn(), true
		}
		code, isLua := c.instruction()
		if !isLua {
			return nil, false
		}
		switch opcode(code) {
		case lua.OP_CALL:
		case lua.OP_TAILCALL:
			if c.caller().none() && f.fn().IsG {
				return nil, false // gopher-lua would end the coroutine
			}
		default:
			return nil, false
		}
		f = c
	}
}

// fit gives as many of args as the suspended call in th takes; gopher-lua would leave missing ones as Go nils. args may
// be changed.
func fit(th *lua.LState, args []lua.LValue) []lua.LValue {
	want := expects(th)
	if want < 0 {
		return args
	}
	for len(args) < want {
		args = append(args, lua.LNil)
	}
	return args[:want]
}

// expects is how many values the suspended call in th takes, -1 for any number.
func expects(th *lua.LState) int {
	f := top(th)
	if f.none() {
		return -1
	}
	code, ok := f.instruction()
	if !ok || opcode(code) != lua.OP_CALL {
		return -1
	}
	return wants(code)
}

// Resume is L.Resume, and gives a suspended coroutine exactly as many values as the waiting call takes (gopher-lua leaves
// missing ones as Go nils: `local a, b = wait()` resumed with one value). fn is used only by a coroutine that has not started.
func (h *Host) Resume(L, th *lua.LState, fn *lua.LFunction, args ...lua.LValue) (lua.ResumeState, error, []lua.LValue) {
	h.buf = fit(th, append(h.buf[:0], args...))
	return L.Resume(th, fn, h.buf...)
}
