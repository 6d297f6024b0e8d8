// Argument checks in Lua's words: bad argument #2 to 'format' (number expected, got no value).

package lualib

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// self is the name of the builtin that L is running, as scripts call it.
func (h *Host) self(L *lua.LState) string {
	f := top(L)
	if f.none() {
		return "?"
	}
	if c := f.caller(); !c.none() && !h.internal(c.fn()) {
		if name := f.name(); name != "" {
			return name
		}
	}
	if name, ok := h.names[f.fn()]; ok {
		return name
	}
	return "?"
}

func (h *Host) argError(L *lua.LState, n int, msg string) {
	h.raise(L, "bad argument #%d to '%s' (%s)", n, h.self(L), msg)
}

func (h *Host) typeError(L *lua.LState, n int, want string) {
	got := "no value"
	if n <= L.GetTop() {
		got = h.typeName(L, L.Get(n))
	}
	h.argError(L, n, want+" expected, got "+got)
}

// typeName is v's type, or its metatable's __name.
func (h *Host) typeName(L *lua.LState, v lua.LValue) string {
	if name, ok := L.GetMetaField(v, "__name").(lua.LString); ok {
		return string(name)
	}
	return v.Type().String()
}

func (h *Host) any(L *lua.LState, n int) lua.LValue {
	if n > L.GetTop() {
		h.argError(L, n, "value expected")
	}
	return L.Get(n)
}

func (h *Host) str(L *lua.LState, n int) string {
	switch v := L.Get(n).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	}
	h.typeError(L, n, "string")
	return ""
}

func (h *Host) optStr(L *lua.LState, n int, def string) string {
	if L.Get(n) == lua.LNil {
		return def
	}
	return h.str(L, n)
}

func (h *Host) num(L *lua.LState, n int) float64 {
	v, ok := Number(L.Get(n))
	if !ok {
		h.typeError(L, n, "number")
	}
	return v
}

// int is an integral argument.
func (h *Host) int(L *lua.LState, n int) int {
	v := h.num(L, n)
	i, ok := toInteger(v)
	if !ok {
		h.argError(L, n, "number has no integer representation")
	}
	return int(i)
}

func (h *Host) optInt(L *lua.LState, n, def int) int {
	if L.Get(n) == lua.LNil {
		return def
	}
	return h.int(L, n)
}

func (h *Host) table(L *lua.LState, n int) *lua.LTable {
	t, ok := L.Get(n).(*lua.LTable)
	if !ok {
		h.typeError(L, n, "table")
	}
	return t
}

func (h *Host) function(L *lua.LState, n int) *lua.LFunction {
	f, ok := L.Get(n).(*lua.LFunction)
	if !ok {
		h.typeError(L, n, "function")
	}
	return f
}

func (h *Host) threadArg(L *lua.LState, n int) *lua.LState {
	th, ok := L.Get(n).(*lua.LState)
	if !ok {
		h.typeError(L, n, "thread")
	}
	return th
}

// Number converts as Lua's arithmetic does: numbers, and strings that hold one.
func Number(v lua.LValue) (float64, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		return parseNumber(string(v))
	}
	return 0, false
}

// toInteger is v as an integer, if it is one and fits 64 bits.
func toInteger(v float64) (int64, bool) {
	if v != math.Trunc(v) || v < -1<<63 || v >= 1<<63 { // NaN is unequal to itself
		return 0, false
	}
	return int64(v), true
}
