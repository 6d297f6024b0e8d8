// The .. operator, as compiled code calls it, and strings made without a copy too many.

package lualib

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// maxString is the longest string that a builtin makes. Items are at most a few MiB; a string that doubles by mistake must not
// take the process with it.
const maxString = 64 << 20

// checkSize charges for making a string of n bytes, or refuses it.
func (h *Host) checkSize(L *lua.LState, n int) {
	if n > maxString || n < 0 {
		h.raise(L, "resulting string too large")
	}
	h.chargeBytes(L, n)
}

// own makes a string of b, which nobody may write any more.
func own(b []byte) lua.LString { return lua.LString(unsafe.String(unsafe.SliceData(b), len(b))) }

// concat(a, b, ...) is a .. b .. ...: from the right, as Lua does, which shows only with __concat.
func concat(h *Host, L *lua.LState) int {
	n := L.GetTop()
	acc := L.Get(n)
	for n--; n > 0; {
		first := n + 1 // of the run of strings and numbers that ends in acc
		if plain(acc) {
			for first > 1 && plain(L.Get(first-1)) {
				first--
			}
		}
		if first <= n {
			acc = h.join(L, first, n, acc)
			n = first - 1
			continue
		}
		acc = h.metaConcat(L, n, acc)
		n--
	}
	L.Push(acc)
	return 1
}

func plain(v lua.LValue) bool {
	switch v.(type) {
	case lua.LString, lua.LNumber:
		return true
	}
	return false
}

// join concatenates the arguments from first to last, and then tail.
func (h *Host) join(L *lua.LState, first, last int, tail lua.LValue) lua.LValue {
	size := width(tail)
	for i := first; i <= last; i++ {
		size += width(L.Get(i))
	}
	h.checkSize(L, size)
	b := make([]byte, 0, size)
	for i := first; i <= last; i++ {
		b = appendPlain(b, L.Get(i))
	}
	return own(appendPlain(b, tail))
}

// width is at least the length of v as text.
func width(v lua.LValue) int {
	if s, ok := v.(lua.LString); ok {
		return len(s)
	}
	return 22 // the longest number
}

func appendPlain(b []byte, v lua.LValue) []byte {
	switch v := v.(type) {
	case lua.LString:
		return append(b, v...)
	case lua.LNumber:
		return appendNumber(b, float64(v))
	}
	return b
}

// metaConcat concatenates argument n, or what it is, and b, of which one is no string.
func (h *Host) metaConcat(L *lua.LState, n int, b lua.LValue) lua.LValue {
	a := L.Get(n)
	mt := L.GetMetaField(a, "__concat")
	if mt == lua.LNil {
		mt = L.GetMetaField(b, "__concat")
	}
	if mt == lua.LNil {
		bad, name := a, ""
		switch {
		case !plain(a):
			name = h.argument(L, n)
		case n+1 == L.GetTop():
			bad, name = b, h.argument(L, n+1)
		default:
			bad = b // what a metamethod gave
		}
		h.raise(L, "attempt to concatenate a %s value%s", h.typeName(L, bad), name)
	}
	L.Push(mt)
	L.Push(a)
	L.Push(b)
	L.Call(2, 1)
	v := L.Get(-1)
	L.Pop(1)
	return v
}
