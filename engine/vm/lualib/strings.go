// string.*: what needs no pattern. Strings are bytes; letters are ASCII.

package lualib

import (
	lua "github.com/yuin/gopher-lua"
)

var stringLib = []entry{
	{"byte", strByte}, {"char", strChar}, {"find", strFind}, {"format", strFormat}, {"gmatch", strGmatch}, {"gsub", strGsub},
	{"len", strLen}, {"lower", strLower}, {"match", strMatch}, {"pack", strPack}, {"packsize", strPackSize}, {"rep", strRep},
	{"reverse", strReverse}, {"sub", strSub}, {"unpack", strUnpack}, {"upper", strUpper},
}

// openString installs string.* and the metatable that makes s:rep(3) work. The metatable is protected: scripts of one state
// share it with the host.
func (h *Host) openString() {
	lib := h.lib("string", stringLib)
	mt := h.L.CreateTable(0, 2)
	mt.RawSetString("__index", lib)
	mt.RawSetString("__metatable", lua.LFalse)
	h.openStringArith(mt)
	h.L.SetMetatable(lua.LString(""), mt)
}

// from is a start position: negative counts from the end, 0 and beyond the start are 1.
func from(i, n int) int {
	if i < 0 {
		i += n + 1
	}
	return max(i, 1)
}

// to is an end position: negative counts from the end, beyond the end is n.
func to(i, n int) int {
	if i < 0 {
		i += n + 1
	}
	return min(i, n)
}

func strSub(h *Host, L *lua.LState) int {
	s := h.str(L, 1)
	i, j := from(h.int(L, 2), len(s)), to(h.optInt(L, 3, -1), len(s))
	if i > j {
		L.Push(lua.LString(""))
	} else {
		L.Push(lua.LString(s[i-1 : j]))
	}
	return 1
}

func strLen(h *Host, L *lua.LState) int {
	L.Push(lua.LNumber(len(h.str(L, 1))))
	return 1
}

func strByte(h *Host, L *lua.LState) int {
	s := h.str(L, 1)
	first := h.optInt(L, 2, 1)
	i, j := from(first, len(s)), to(h.optInt(L, 3, first), len(s))
	if i > j {
		return 0
	}
	h.checkResults(L, j-i+1, "string slice too long")
	for k := i; k <= j; k++ {
		L.Push(byteValues[s[k-1]])
	}
	return j - i + 1
}

// byteValues are the numbers of string.byte, boxed beforehand.
var byteValues = func() (b [256]lua.LValue) {
	for i := range b {
		b[i] = lua.LNumber(i)
	}
	return b
}()

// checkResults charges for pushing n values, or refuses when the stack would not hold them.
func (h *Host) checkResults(L *lua.LState, n int, msg string) {
	if n > L.Options.RegistryMaxSize/2 || n < 0 {
		h.raise(L, "%s", msg)
	}
	h.Charge(L, n/8)
}

func strChar(h *Host, L *lua.LState) int {
	b := make([]byte, L.GetTop())
	for i := range b {
		c := h.int(L, i+1)
		if c < 0 || c > 255 {
			h.argError(L, i+1, "value out of range")
		}
		b[i] = byte(c)
	}
	L.Push(own(b))
	return 1
}

// mapBytes pushes s with every byte put through f.
func (h *Host) mapBytes(L *lua.LState, f func(c byte) byte) int {
	s := h.str(L, 1)
	h.checkSize(L, len(s))
	b := make([]byte, len(s))
	for i := range b {
		b[i] = f(s[i])
	}
	L.Push(own(b))
	return 1
}

func strLower(h *Host, L *lua.LState) int {
	return h.mapBytes(L, func(c byte) byte {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	})
}

func strUpper(h *Host, L *lua.LState) int {
	return h.mapBytes(L, func(c byte) byte {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		return c
	})
}

func strReverse(h *Host, L *lua.LState) int {
	s := h.str(L, 1)
	h.checkSize(L, len(s))
	b := make([]byte, len(s))
	for i := range b {
		b[i] = s[len(s)-1-i]
	}
	L.Push(own(b))
	return 1
}

func strRep(h *Host, L *lua.LState) int {
	s, n, sep := h.str(L, 1), h.int(L, 2), h.optStr(L, 3, "")
	if n <= 0 || len(s)+len(sep) == 0 {
		L.Push(lua.LString(""))
		return 1
	}
	if n > maxString/(len(s)+len(sep))+1 {
		h.raise(L, "resulting string too large")
	}
	size := n*len(s) + (n-1)*len(sep)
	h.checkSize(L, size)
	b := make([]byte, 0, size)
	for i := range n {
		if i > 0 {
			b = append(b, sep...)
		}
		b = append(b, s...)
	}
	L.Push(own(b))
	return 1
}
