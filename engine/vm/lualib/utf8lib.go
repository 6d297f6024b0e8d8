// utf8.*

package lualib

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

var utf8Lib = []entry{
	{"char", utf8Char}, {"codepoint", utf8Codepoint}, {"codes", utf8Codes}, {"len", utf8Len}, {"offset", utf8Offset},
}

func (h *Host) openUTF8() {
	t := h.lib("utf8", utf8Lib)
	t.RawSetString("charpattern", lua.LString("[\x00-\x7F\xC2-\xFD][\x80-\xBF]*"))
}

// decode reads one sequence at i of s. Unless lax it must be a Unicode scalar value. n is 0 if it is not valid.
func decode(s string, i int, lax bool) (r uint32, n int) {
	limits := [...]uint32{^uint32(0), 0x80, 0x800, 0x10000, 0x200000, 0x4000000}
	c := uint32(s[i])
	if c < 0x80 {
		return c, 1
	}
	count := 0
	for ; c&0x40 != 0; c <<= 1 {
		count++
		if i+count >= len(s) || s[i+count]&0xC0 != 0x80 {
			return 0, 0
		}
		r = r<<6 | uint32(s[i+count]&0x3F)
	}
	r |= (c & 0x7F) << (count * 5)
	if count == 0 || count > 5 || r > 0x7FFFFFFF || r < limits[count] {
		return 0, 0
	}
	if !lax && (r > 0x10FFFF || r >= 0xD800 && r <= 0xDFFF) {
		return 0, 0
	}
	return r, count + 1
}

func continuation(s string, i int) bool { return i < len(s) && s[i]&0xC0 == 0x80 }

func utf8Char(h *Host, L *lua.LState) int {
	var b []byte
	for i := 1; i <= L.GetTop(); i++ {
		v := h.int(L, i)
		if v < 0 || v > 0x7FFFFFFF {
			h.argError(L, i, "value out of range")
		}
		b = source.AppendUTF8(b, uint32(v))
	}
	L.Push(own(b))
	return 1
}

func utf8Codepoint(h *Host, L *lua.LState) int {
	s := h.str(L, 1)
	i := h.optInt(L, 2, 1)
	i = position(i, len(s))
	j := position(h.optInt(L, 3, i), len(s))
	if i < 1 {
		h.argError(L, 2, "out of bounds")
	}
	if j > len(s) {
		h.argError(L, 3, "out of bounds")
	}
	if i > j {
		return 0
	}
	h.checkResults(L, j-i+1, "string slice too long")
	count := 0
	for k := i - 1; k < j; {
		r, n := decode(s, k, lua.LVAsBool(L.Get(4)))
		if n == 0 {
			h.raise(L, "invalid UTF-8 code")
		}
		L.Push(lua.LNumber(r))
		k += n
		count++
	}
	return count
}

// position is a string position: negative counts from the end, beyond the start is 0.
func position(i, n int) int {
	switch {
	case i >= 0:
		return i
	case -i > n:
		return 0
	}
	return n + i + 1
}

func utf8Len(h *Host, L *lua.LState) int {
	s := h.str(L, 1)
	i, j := position(h.optInt(L, 2, 1), len(s)), position(h.optInt(L, 3, -1), len(s))
	if i < 1 || i > len(s)+1 {
		h.argError(L, 2, "initial position out of bounds")
	}
	if j > len(s) {
		h.argError(L, 3, "final position out of bounds")
	}
	h.chargeBytes(L, len(s))
	count := 0
	for k := i - 1; k < j; {
		_, n := decode(s, k, lua.LVAsBool(L.Get(4)))
		if n == 0 {
			L.Push(lua.LNil)
			L.Push(lua.LNumber(k + 1))
			return 2
		}
		k += n
		count++
	}
	L.Push(lua.LNumber(count))
	return 1
}

func utf8Offset(h *Host, L *lua.LState) int {
	s, n := h.str(L, 1), h.int(L, 2)
	def := 1
	if n < 0 {
		def = len(s) + 1
	}
	i := position(h.optInt(L, 3, def), len(s)) - 1
	if i < 0 || i > len(s) {
		h.argError(L, 3, "position out of bounds")
	}
	h.chargeBytes(L, len(s))
	if n == 0 {
		for i > 0 && continuation(s, i) {
			i--
		}
		L.Push(lua.LNumber(i + 1))
		return 1
	}
	if continuation(s, i) {
		h.raise(L, "initial position is a continuation byte")
	}
	for ; n < 0 && i > 0; n++ {
		i--
		for i > 0 && continuation(s, i) {
			i--
		}
	}
	if n > 0 {
		for n--; n > 0 && i < len(s); n-- {
			i++
			for continuation(s, i) {
				i++
			}
		}
	}
	if n != 0 {
		L.Push(lua.LNil)
	} else {
		L.Push(lua.LNumber(i + 1))
	}
	return 1
}

func utf8Codes(h *Host, L *lua.LState) int {
	s, lax := h.str(L, 1), lua.LVAsBool(L.Get(2))
	next := 0
	L.Push(L.NewFunction(h.Guard("utf8.codes", func(L *lua.LState) int {
		if next >= len(s) {
			return 0
		}
		r, n := decode(s, next, lax)
		if n == 0 || continuation(s, next+n) {
			h.raise(L, "invalid UTF-8 code")
		}
		L.Push(lua.LNumber(next + 1))
		L.Push(lua.LNumber(r))
		next += n
		return 2
	})))
	return 1
}
