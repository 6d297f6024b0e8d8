// Call: scripts called from Go where nothing waits.

package lualib

import (
	lua "github.com/yuin/gopher-lua"
)

// Call calls fn(args...) from Go on a coroutine of its own, where nothing can wait, and gives its results. The error is a
// *lua.ApiError whose StackTrace was taken where the error was raised. It is meant for loading and for hooks: L.PCall on a state's
// main thread leaves the state in pieces when gopher-lua's own error handling fails, as it does for some overflows.
func (h *Host) Call(L *lua.LState, fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	if msg := h.uncallable(L, fn); msg != nil {
		return nil, &lua.ApiError{Type: lua.ApiErrorRun, Object: msg}
	}
	trace := ""
	x := &xcall{th: h.spare, trusted: true}
	if h.spare = nil; x.th == nil {
		x.th = h.NewThread()
	}
	x.handler = h.L.NewFunction(func(L *lua.LState) int {
		trace = h.Traceback(L, "", 1)
		L.SetTop(1)
		return 1
	})
	h.protected.arming = x
	h.depth++
	state, err, vals := L.Resume(x.th, h.protected.xenter, append([]lua.LValue{h.protected.arm, fn}, args...)...)
	h.depth--
	switch state {
	case lua.ResumeOK:
		x.th.Dead = false
		h.spare = x.th
		return vals[1:], nil
	case lua.ResumeYield:
		return nil, &lua.ApiError{Type: lua.ApiErrorRun, Object: lua.LString("attempt to wait outside a request")}
	}
	if trace == "" { // what overflows has no stack left for the handler, but the frames are there still
		trace = h.Traceback(x.th, "", 0)
	}
	if api, ok := err.(*lua.ApiError); ok {
		return nil, &lua.ApiError{Type: api.Type, Object: clean(api.Object), StackTrace: trace}
	}
	return nil, err
}
