// string.find, match, gmatch and gsub.

package lualib

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// capture is the i-th capture of a match from s to e as a value; the whole match if there are no captures.
func (m *matcher) capture(i, s, e int) lua.LValue {
	if i >= m.level {
		if i != 0 {
			m.fail("invalid capture index %%%d", i+1)
		}
		return lua.LString(m.src[s:e])
	}
	c := m.captures[i]
	switch c.len {
	case positionCapture:
		return lua.LNumber(c.start + 1)
	case openCapture:
		m.fail("unfinished capture")
	}
	return lua.LString(m.src[c.start : c.start+c.len])
}

// push pushes the captures, or the whole match if there are none and whole says so.
func (m *matcher) push(s, e int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.L.Push(m.capture(i, s, e))
	}
	return n
}

// search gives the first match at init or later, or -1.
func (m *matcher) search(init int) (s, e int) {
	p := 0
	anchored := strings.HasPrefix(m.pat, "^")
	if anchored {
		p = 1
	}
	for s = init; s <= len(m.src); s++ {
		m.level, m.depth = 0, 0
		if e = m.match(s, p); e >= 0 {
			return s, e
		}
		if anchored {
			break
		}
	}
	return -1, -1
}

// specials are the bytes that make a pattern more than plain text.
const specials = "^$*+?.([%-"

func strFind(h *Host, L *lua.LState) int {
	src, pat := h.str(L, 1), h.str(L, 2)
	init := from(h.optInt(L, 3, 1), len(src)) - 1
	if init > len(src) {
		L.Push(lua.LNil)
		return 1
	}
	h.Charge(L, len(pat)/bytesPerStep)
	if lua.LVAsBool(L.Get(4)) || !strings.ContainsAny(pat, specials) {
		return h.findPlain(L, src, pat, init)
	}
	m := matcher{h: h, L: L, src: src, pat: pat}
	s, e := m.search(init)
	if s < 0 {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(s + 1))
	L.Push(lua.LNumber(e))
	return m.push(s, e, false) + 2
}

func (h *Host) findPlain(L *lua.LState, src, pat string, init int) int {
	i := strings.Index(src[init:], pat)
	if i < 0 {
		h.chargeBytes(L, len(src)-init)
		L.Push(lua.LNil)
		return 1
	}
	h.chargeBytes(L, i)
	L.Push(lua.LNumber(init + i + 1))
	L.Push(lua.LNumber(init + i + len(pat)))
	return 2
}

func strMatch(h *Host, L *lua.LState) int {
	src, pat := h.str(L, 1), h.str(L, 2)
	init := from(h.optInt(L, 3, 1), len(src)) - 1
	if init > len(src) {
		L.Push(lua.LNil)
		return 1
	}
	m := matcher{h: h, L: L, src: src, pat: pat}
	s, e := m.search(init)
	if s < 0 {
		L.Push(lua.LNil)
		return 1
	}
	return m.push(s, e, true)
}

// strGmatch gives an iterator. In it a ^ is no anchor, as in Lua.
func strGmatch(h *Host, L *lua.LState) int {
	src, pat := h.str(L, 1), h.str(L, 2)
	pos := from(h.optInt(L, 3, 1), len(src)) - 1
	last := -1 // where the previous match ended: an empty one there is not repeated
	L.Push(L.NewFunction(h.Guard("string.gmatch", func(L *lua.LState) int {
		m := matcher{h: h, L: L, src: src, pat: pat}
		for ; pos <= len(src); pos++ {
			m.level, m.depth = 0, 0
			if e := m.match(pos, 0); e >= 0 && e != last {
				s := pos
				pos, last = e, e
				return m.push(s, e, true)
			}
		}
		return 0
	})))
	return 1
}

func strGsub(h *Host, L *lua.LState) int {
	src, pat := h.str(L, 1), h.str(L, 2)
	repl := L.Get(3)
	switch v := repl.(type) {
	case lua.LNumber:
		repl = lua.LString(formatNumber(float64(v)))
	case lua.LString, *lua.LTable, *lua.LFunction:
	default:
		h.typeError(L, 3, "string/function/table")
	}
	most := h.optInt(L, 4, len(src)+1)
	m := matcher{h: h, L: L, src: src, pat: pat}
	p := 0
	if strings.HasPrefix(pat, "^") {
		p, most = 1, min(most, 1)
	}
	var out []byte
	copied, n := 0, 0 // src up to copied is in out
	last := -1
	for s := 0; n < most && s <= len(src); {
		m.level, m.depth = 0, 0
		e := m.match(s, p)
		if e < 0 || e == last {
			s++
			if p == 1 {
				break
			}
			continue
		}
		n++
		if v := m.replacement(repl, s, e); v != nil {
			out = append(out, src[copied:s]...)
			grown := len(out)
			out = m.appendReplacement(out, v, s, e)
			h.checkSize(L, len(out)-grown)
			if len(out) > maxString {
				h.raise(L, "resulting string too large")
			}
			copied = e
		}
		s, last = e, e
	}
	if copied == 0 && out == nil {
		L.Push(lua.LString(src))
	} else {
		h.chargeBytes(L, len(src))
		L.Push(own(append(out, src[copied:]...)))
	}
	L.Push(lua.LNumber(n))
	return 2
}

// replacement is what stands for a match: nil to keep it.
func (m *matcher) replacement(repl lua.LValue, s, e int) lua.LValue {
	var v lua.LValue
	switch r := repl.(type) {
	case lua.LString:
		return r
	case *lua.LTable:
		v = m.L.GetTable(r, m.capture(0, s, e))
	case *lua.LFunction:
		m.L.Push(r)
		m.L.Call(m.push(s, e, true), 1)
		v = m.L.Get(-1)
		m.L.Pop(1)
	}
	switch v := v.(type) {
	case lua.LString, lua.LNumber:
		return v
	case *lua.LNilType:
		return nil
	case lua.LBool:
		if !bool(v) {
			return nil
		}
	}
	m.fail("invalid replacement value (a %s)", m.h.typeName(m.L, v))
	return nil
}

// appendReplacement appends v; % means something only in a string that was given as the replacement itself.
func (m *matcher) appendReplacement(b []byte, v lua.LValue, s, e int) []byte {
	r, ok := v.(lua.LString)
	if !ok || m.L.Get(3).Type() == lua.LTTable || m.L.Get(3).Type() == lua.LTFunction {
		return appendPlain(b, v)
	}
	for {
		i := strings.IndexByte(string(r), '%')
		if i < 0 {
			return append(b, r...)
		}
		b = append(b, r[:i]...)
		c := byte(0)
		if i+1 < len(r) {
			c = r[i+1]
		}
		switch {
		case c == '%':
			b = append(b, '%')
		case c == '0':
			b = append(b, m.src[s:e]...)
		case c >= '1' && c <= '9':
			if int(c-'1') >= max(m.level, 1) {
				m.fail("invalid capture index %%%d", c-'0')
			}
			b = appendPlain(b, m.capture(int(c-'1'), s, e))
		default:
			m.fail("invalid use of '%%' in replacement string")
		}
		r = r[i+2:]
	}
}
