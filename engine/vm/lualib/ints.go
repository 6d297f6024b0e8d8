// Integer operations: what compiled code calls for // & | ~ << >>, and arithmetic on strings.

package lualib

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// ints(program, operands...) runs a program of package source.
func (h *Host) ints(L *lua.LState) int {
	code := L.Get(1).(lua.LString)
	var buf [8]source.Int
	operands := buf[:0]
	for i, n := 2, L.GetTop(); i <= n; i++ {
		v, ok := L.Get(i).(lua.LNumber)
		if !ok {
			return h.anyInts(L, string(code))
		}
		operands = append(operands, source.IntOf(float64(v)))
	}
	v, err := source.RunInts(string(code), operands)
	if err != nil {
		h.raise(L, "%v", err)
	}
	L.Push(lua.LNumber(v))
	return 1
}

// operand is a number, or any other value, which has metamethods or is an error.
type operand struct {
	number source.Int
	other  lua.LValue // nil: it is a number
	arg    int        // which argument of ints it is; 0: none
}

func operandOf(v lua.LValue, arg int) operand {
	if n, ok := v.(lua.LNumber); ok {
		return operand{number: source.IntOf(float64(n))}
	}
	return operand{other: v, arg: arg}
}

// arithmetic makes a number of a string that holds one: arithmetic takes it, bitwise operators do not.
func (h *Host) arithmetic(L *lua.LState, o operand) operand {
	if o.other != nil && o.other.Type() == lua.LTString {
		if n, ok := h.charged(L, o.other); ok {
			return operand{number: source.IntOf(n)}
		}
	}
	return o
}

// value is o as scripts see it.
func (h *Host) value(L *lua.LState, o operand) lua.LValue {
	if o.other != nil {
		return o.other
	}
	v, err := o.number.Number()
	if err != nil {
		h.raise(L, "%v", err)
	}
	return lua.LNumber(v)
}

// anyInts is ints where operands are not all numbers.
func (h *Host) anyInts(L *lua.LState, code string) int {
	var stack []operand
	arg := 2
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == source.IntOperand:
			stack = append(stack, operandOf(L.Get(arg), arg))
			arg++
		case c == source.IntConstant:
			stack = append(stack, operand{number: source.Int{Integer: source.ConstantAt(code, i)}})
			i += 8
		case source.Unary(c):
			n := len(stack) - 1
			stack[n] = h.arith(L, c, stack[n], stack[n])
		default:
			n := len(stack) - 2
			stack[n] = h.arith(L, c, stack[n], stack[n+1])
			stack = stack[:n+1]
		}
	}
	L.Push(h.value(L, stack[0]))
	return 1
}

// events are the metamethods of a program's operations.
var events = map[byte]string{
	'+': "__add", '-': "__sub", '*': "__mul", '%': "__mod", '/': "__idiv", '&': "__band", '|': "__bor", '~': "__bxor", '<': "__shl", '>': "__shr",
	source.IntNot: "__bnot", source.IntNegate: "__unm",
}

// arith does one operation; unary ones get their operand twice.
func (h *Host) arith(L *lua.LState, code byte, a, b operand) operand {
	what := "bitwise operation"
	if !source.Bitwise(code) {
		what = "arithmetic"
		a, b = h.arithmetic(L, a), h.arithmetic(L, b)
	}
	if a.other == nil && b.other == nil {
		v, err := source.IntOp(code, a.number, b.number)
		if err != nil {
			h.raise(L, "%v", err)
		}
		return operand{number: v}
	}
	bad := a
	if a.other == nil {
		bad = b
	}
	return operandOf(h.metaArith(L, events[code], what, bad.arg, h.value(L, a), h.value(L, b), a.other == nil), 0)
}

// metaArith calls the metamethod of an operation whose operands are not both numbers. isNumber is said of the first: of strings
// only their holder knows. arg is which argument of ints the first is that is none; 0: it is no argument.
func (h *Host) metaArith(L *lua.LState, event, what string, arg int, a, b lua.LValue, isNumber bool) lua.LValue {
	for _, v := range []lua.LValue{a, b} {
		if v.Type() == lua.LTString {
			continue
		}
		if mt := L.GetMetaField(v, event); mt != lua.LNil {
			L.Push(mt)
			L.Push(a)
			L.Push(b)
			L.Call(2, 1)
			r := L.Get(-1)
			L.Pop(1)
			return r
		}
	}
	if what == "arithmetic" && (a.Type() == lua.LTString || b.Type() == lua.LTString) {
		h.raise(L, "attempt to %s a '%s' with a '%s'", strings.TrimPrefix(event, "__"), a.Type(), b.Type())
	}
	bad := a
	if isNumber {
		bad = b
	}
	name := ""
	if arg > 0 {
		name = h.argument(L, arg)
	}
	h.raise(L, "attempt to perform %s on a %s value%s", what, h.typeName(L, bad), name)
	return nil
}

// stringArith are the metamethods of strings, as in Lua 5.4: gopher-lua's own conversion takes "010" for eight, and "inf" for a
// number.
var stringArith = map[string]func(a, b float64) (float64, error){
	"__add": func(a, b float64) (float64, error) { return a + b, nil },
	"__sub": func(a, b float64) (float64, error) { return a - b, nil },
	"__mul": func(a, b float64) (float64, error) { return a * b, nil },
	"__div": func(a, b float64) (float64, error) { return a / b, nil },
	"__pow": func(a, b float64) (float64, error) { return math.Pow(a, b), nil },
	"__unm": func(a, _ float64) (float64, error) { return -a, nil },
	"__mod": func(a, b float64) (float64, error) {
		m, err := source.IntOp('%', source.IntOf(a), source.IntOf(b))
		if err != nil {
			return 0, err
		}
		return m.Number()
	},
}

// openStringArith adds them to strings' metatable.
func (h *Host) openStringArith(mt *lua.LTable) {
	for event, op := range stringArith {
		mt.RawSetString(event, h.fn(event, func(h *Host, L *lua.LState) int {
			a, b := L.Get(1), L.Get(2)
			if event == "__unm" {
				b = a
			}
			x, isNumber := h.charged(L, a)
			y, also := h.charged(L, b)
			if !isNumber || !also {
				L.Push(h.metaArith(L, event, "arithmetic", 0, a, b, isNumber))
				return 1
			}
			v, err := op(x, y)
			if err != nil {
				h.raise(L, "%v", err)
			}
			L.Push(lua.LNumber(v))
			return 1
		}))
	}
}

// charged is toNumber, charged for what a string holds.
func (h *Host) charged(L *lua.LState, v lua.LValue) (float64, bool) {
	if s, ok := v.(lua.LString); ok {
		h.Charge(L, len(s)/bytesPerStep)
	}
	return Number(v)
}
