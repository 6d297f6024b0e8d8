// math.*

package lualib

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// maxInteger is the largest integer up to which float64 has them all.
const maxInteger = 1<<53 - 1

var mathLib = []entry{
	{"abs", unary(math.Abs)}, {"acos", unary(math.Acos)}, {"asin", unary(math.Asin)}, {"atan", mathAtan}, {"ceil", unary(math.Ceil)},
	{"cos", unary(math.Cos)}, {"deg", unary(func(x float64) float64 { return x * (180 / math.Pi) })}, {"exp", unary(math.Exp)},
	{"floor", unary(math.Floor)}, {"fmod", mathFmod}, {"log", mathLog}, {"max", mathMax}, {"min", mathMin}, {"modf", mathModf},
	{"rad", unary(func(x float64) float64 { return x * (math.Pi / 180) })}, {"random", mathRandom}, {"randomseed", mathRandomSeed},
	{"sin", unary(math.Sin)}, {"sqrt", unary(math.Sqrt)}, {"tan", unary(math.Tan)}, {"tointeger", mathToInteger}, {"type", mathType},
	{"ult", mathUlt},
}

func (h *Host) openMath() {
	t := h.lib("math", mathLib)
	t.RawSetString("pi", lua.LNumber(math.Pi))
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
	t.RawSetString("maxinteger", lua.LNumber(maxInteger))
	t.RawSetString("mininteger", lua.LNumber(-maxInteger))
}

func unary(f func(float64) float64) builtin {
	return func(h *Host, L *lua.LState) int {
		L.Push(lua.LNumber(f(h.num(L, 1))))
		return 1
	}
}

func mathAtan(h *Host, L *lua.LState) int {
	y, x := h.num(L, 1), 1.0
	if L.Get(2) != lua.LNil {
		x = h.num(L, 2)
	}
	L.Push(lua.LNumber(math.Atan2(y, x)))
	return 1
}

func mathFmod(h *Host, L *lua.LState) int {
	x, y := h.num(L, 1), h.num(L, 2)
	if _, ok := toInteger(x); ok && y == 0 {
		h.argError(L, 2, "zero")
	}
	L.Push(lua.LNumber(math.Mod(x, y)))
	return 1
}

func mathLog(h *Host, L *lua.LState) int {
	x := h.num(L, 1)
	switch base := L.Get(2); {
	case base == lua.LNil:
		x = math.Log(x)
	case h.num(L, 2) == 2:
		x = math.Log2(x)
	case h.num(L, 2) == 10:
		x = math.Log10(x)
	default:
		x = math.Log(x) / math.Log(h.num(L, 2))
	}
	L.Push(lua.LNumber(x))
	return 1
}

// mathMax and mathMin compare as < does, and give the argument itself.
func mathMax(h *Host, L *lua.LState) int {
	return h.best(L, func(a, b lua.LValue) bool { return h.lessThan(L, a, b) })
}

func mathMin(h *Host, L *lua.LState) int {
	return h.best(L, func(a, b lua.LValue) bool { return h.lessThan(L, b, a) })
}

// best pushes the first of the arguments that no other is better than.
func (h *Host) best(L *lua.LState, better func(a, b lua.LValue) bool) int {
	if L.GetTop() == 0 {
		h.num(L, 1)
	}
	v := L.Get(1)
	for i := 2; i <= L.GetTop(); i++ {
		if x := L.Get(i); better(v, x) {
			v = x
		}
	}
	L.Push(v)
	return 1
}

func mathModf(h *Host, L *lua.LState) int {
	x := h.num(L, 1)
	whole, part := math.Trunc(x), 0.0
	if !math.IsInf(x, 0) {
		part = x - whole
	}
	L.Push(lua.LNumber(whole))
	L.Push(lua.LNumber(part))
	return 2
}

func mathRandom(h *Host, L *lua.LState) int {
	lo, hi := 1, 0
	switch L.GetTop() {
	case 0:
		L.Push(lua.LNumber(h.rand.Float64()))
		return 1
	case 1:
		if hi = h.int(L, 1); hi == 0 { // all bits there are
			L.Push(lua.LNumber(h.rand.Int64N(2*maxInteger+1) - maxInteger))
			return 1
		}
	case 2:
		lo, hi = h.int(L, 1), h.int(L, 2)
	default:
		h.raise(L, "wrong number of arguments")
	}
	if lo > hi {
		h.argError(L, L.GetTop(), "interval is empty")
	}
	span := uint64(hi) - uint64(lo) + 1
	r := h.rand.Uint64()
	if span != 0 {
		r = h.rand.Uint64N(span)
	}
	L.Push(lua.LNumber(int64(uint64(lo) + r)))
	return 1
}

func mathRandomSeed(h *Host, L *lua.LState) int {
	if L.GetTop() == 0 {
		h.opts.Seed = 0
	} else {
		h.opts.Seed = math.Float64bits(h.num(L, 1))
	}
	h.seed()
	return 0
}

func mathToInteger(h *Host, L *lua.LState) int {
	h.any(L, 1)
	if v, ok := Number(L.Get(1)); ok {
		if _, ok := toInteger(v); ok {
			L.Push(lua.LNumber(v))
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}

// mathType calls integral numbers integers: all are floats underneath.
func mathType(h *Host, L *lua.LState) int {
	v, ok := h.any(L, 1).(lua.LNumber)
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	if _, ok := toInteger(float64(v)); ok {
		L.Push(lua.LString("integer"))
	} else {
		L.Push(lua.LString("float"))
	}
	return 1
}

func mathUlt(h *Host, L *lua.LState) int {
	L.Push(lua.LBool(uint64(h.int(L, 1)) < uint64(h.int(L, 2))))
	return 1
}
