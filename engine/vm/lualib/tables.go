// table.*

package lualib

import (
	"math"
	"sort"

	lua "github.com/yuin/gopher-lua"
)

var tableLib = []entry{
	{"concat", tabConcat}, {"insert", tabInsert}, {"move", tabMove}, {"pack", tabPack}, {"remove", tabRemove}, {"sort", tabSort},
	{"unpack", tabUnpack},
}

// index is t[i], by __index where the raw value is nil.
func (h *Host) index(L *lua.LState, v lua.LValue, i int) lua.LValue {
	t, ok := v.(*lua.LTable)
	if !ok {
		return L.GetTable(v, lua.LNumber(i))
	}
	var r lua.LValue
	if i > 0 && i < lua.MaxArrayIndex {
		r = t.RawGetInt(i)
	} else {
		r = t.RawGet(lua.LNumber(i))
	}
	if r == lua.LNil && t.Metatable != lua.LNil {
		return L.GetTable(v, lua.LNumber(i))
	}
	return r
}

func (h *Host) setIndex(L *lua.LState, t *lua.LTable, i int, v lua.LValue) {
	h.chargeGap(L, t, i)
	if t.Metatable == lua.LNil {
		t.RawSetInt(i, v)
	} else {
		L.SetTable(t, lua.LNumber(i), v)
	}
}

// length is #t.
func (h *Host) length(L *lua.LState, t *lua.LTable) int {
	if t.Metatable == lua.LNil {
		return t.Len()
	}
	return L.ObjLen(t)
}

func tabConcat(h *Host, L *lua.LState) int {
	t, sep := h.table(L, 1), h.optStr(L, 2, "")
	i := h.optInt(L, 3, 1)
	j := 0
	if L.Get(4) == lua.LNil {
		j = h.length(L, t)
	} else {
		j = h.int(L, 4)
	}
	var b []byte
	for k := i; k <= j; k++ {
		v := h.index(L, t, k)
		if !plain(v) {
			h.raise(L, "invalid value (at index %d) in table for 'concat'", k)
		}
		n := width(v) + len(sep)
		h.checkSize(L, n)
		if len(b)+n > maxString {
			h.raise(L, "resulting string too large")
		}
		b = appendPlain(b, v)
		if k < j {
			b = append(b, sep...)
		}
	}
	L.Push(own(b))
	return 1
}

func tabInsert(h *Host, L *lua.LState) int {
	t := h.table(L, 1)
	n := h.length(L, t) + 1
	switch L.GetTop() {
	case 2:
		h.setIndex(L, t, n, L.Get(2))
		return 0
	case 3:
	default:
		h.raise(L, "wrong number of arguments to 'insert'")
	}
	pos := h.int(L, 2)
	if pos < 1 || pos > n {
		h.argError(L, 2, "position out of bounds")
	}
	h.Charge(L, (n-pos)/8)
	for i := n; i > pos; i-- {
		h.setIndex(L, t, i, h.index(L, t, i-1))
	}
	h.setIndex(L, t, pos, L.Get(3))
	return 0
}

func tabRemove(h *Host, L *lua.LState) int {
	t := h.table(L, 1)
	n := h.length(L, t)
	pos := n
	if L.GetTop() >= 2 {
		if pos = h.int(L, 2); n+1 != pos && (pos < 1 || pos > n+1) && !(n == 0 && pos == 0) {
			h.argError(L, 2, "position out of bounds")
		}
	}
	v := h.index(L, t, pos)
	if t.Metatable == lua.LNil && pos >= 1 && pos <= n && n < lua.MaxArrayIndex {
		h.Charge(L, (n-pos)/8)
		t.Remove(pos) // shortens the array too: nils left at its end would make # slow
	} else {
		for ; pos < n; pos++ {
			h.Charge(L, 1)
			h.setIndex(L, t, pos, h.index(L, t, pos+1))
		}
		if pos <= n || v != lua.LNil {
			h.setIndex(L, t, pos, lua.LNil)
		}
	}
	L.Push(v)
	return 1
}

func tabMove(h *Host, L *lua.LState) int {
	src, f, e, t := h.table(L, 1), h.int(L, 2), h.int(L, 3), h.int(L, 4)
	dst := src
	if L.Get(5) != lua.LNil {
		dst = h.table(L, 5)
	}
	if e >= f {
		if f < 1 && e >= math.MaxInt+f {
			h.argError(L, 3, "too many elements to move")
		}
		if t > math.MaxInt-(e-f) {
			h.argError(L, 4, "destination wrap around")
		}
		h.Charge(L, e-f+1)
		if t > e || t <= f || dst != src {
			for i := f; i <= e; i++ {
				h.setIndex(L, dst, t+i-f, h.index(L, src, i))
			}
		} else {
			for i := e; i >= f; i-- {
				h.setIndex(L, dst, t+i-f, h.index(L, src, i))
			}
		}
	}
	L.Push(dst)
	return 1
}

func tabPack(h *Host, L *lua.LState) int {
	n := L.GetTop()
	t := L.CreateTable(n, 1)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, L.Get(i))
	}
	t.RawSetString("n", lua.LNumber(n))
	L.Push(t)
	return 1
}

func tabUnpack(h *Host, L *lua.LState) int {
	v := h.any(L, 1)
	i := h.optInt(L, 2, 1)
	j := 0
	if L.Get(3) != lua.LNil {
		j = h.int(L, 3)
	} else if t, ok := v.(*lua.LTable); ok {
		j = h.length(L, t)
	} else {
		j = L.ObjLen(v)
	}
	if i > j {
		return 0
	}
	h.checkResults(L, j-i+1, "too many results to unpack")
	for k := i; k <= j; k++ {
		L.Push(h.index(L, v, k))
	}
	return j - i + 1
}

// sorter sorts a copy of a list's items; a comparator that contradicts itself gives some order and no more.
type sorter struct {
	h     *Host
	L     *lua.LState
	items []lua.LValue
	less  *lua.LFunction // nil: <
}

func (s *sorter) Len() int      { return len(s.items) }
func (s *sorter) Swap(i, j int) { s.items[i], s.items[j] = s.items[j], s.items[i] }
func (s *sorter) Less(i, j int) bool {
	a, b := s.items[i], s.items[j]
	s.h.Charge(s.L, 1)
	if s.less == nil {
		return s.h.lessThan(s.L, a, b)
	}
	s.L.Push(s.less)
	s.L.Push(a)
	s.L.Push(b)
	s.L.Call(2, 1)
	v := s.L.Get(-1)
	s.L.Pop(1)
	return lua.LVAsBool(v)
}

// lessThan is a < b.
func (h *Host) lessThan(L *lua.LState, a, b lua.LValue) bool {
	if x, ok := a.(lua.LString); ok {
		if y, ok := b.(lua.LString); ok {
			return x < y
		}
	}
	if a.Type() != b.Type() {
		h.raise(L, "attempt to compare %s with %s", a.Type(), b.Type())
	}
	return L.LessThan(a, b)
}

func tabSort(h *Host, L *lua.LState) int {
	t := h.table(L, 1)
	s := &sorter{h: h, L: L}
	if L.Get(2) != lua.LNil {
		s.less = h.function(L, 2)
	}
	n := h.length(L, t)
	h.Charge(L, n/8)
	s.items = make([]lua.LValue, n)
	for i := range s.items {
		s.items[i] = h.index(L, t, i+1)
	}
	sort.Sort(s)
	for i, v := range s.items {
		h.setIndex(L, t, i+1, v)
	}
	return 0
}
