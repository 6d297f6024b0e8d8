// Integer operations as Lua 5.4 does them, on numbers that are doubles: what a program of them gives.

package source

import (
	"encoding/binary"
	"errors"
	"math"
)

// MaxExact is the largest integer up to which doubles have them all.
const MaxExact = 1 << 53

// Errors of integer operations, in Lua's words where Lua has them. A number beyond 2^53 may have lost its low bits where it was
// made, so its bits mean nothing.
var (
	ErrNoInteger = errors.New("number has no integer representation")
	ErrTooLarge  = errors.New("number has no integer representation (numbers are doubles: integers are exact to 2^53)")
	ErrInexact   = errors.New("result of integer operation has no exact number (numbers are doubles: integers are exact to 2^53)")
	ErrDivZero   = errors.New("attempt to divide by zero")
	ErrModZero   = errors.New("attempt to perform 'n%0'")
)

// Int is a number inside a program: a 64-bit integer, or a float.
type Int struct {
	Float   float64
	Integer int64
	IsFloat bool
}

// IntOf is the number v inside a program: an integer if it is one.
func IntOf(v float64) Int {
	if v == math.Trunc(v) && v >= -MaxExact && v <= MaxExact {
		return Int{Integer: int64(v)}
	}
	return Int{Float: v, IsFloat: true}
}

// Number is the number that scripts see. An integer that no double holds is an error.
func (x Int) Number() (float64, error) {
	if x.IsFloat {
		return x.Float, nil
	}
	v := float64(x.Integer)
	if v >= 1<<63 || int64(v) != x.Integer {
		return 0, ErrInexact
	}
	return v, nil
}

func (x Int) float() float64 {
	if x.IsFloat {
		return x.Float
	}
	return float64(x.Integer)
}

// bits is x for a bitwise operator.
func (x Int) bits() (int64, error) {
	switch {
	case !x.IsFloat:
		return x.Integer, nil
	case x.Float == math.Trunc(x.Float) && !math.IsInf(x.Float, 0):
		return 0, ErrTooLarge
	}
	return 0, ErrNoInteger
}

// Unary reports that code takes one operand, not two.
func Unary(code byte) bool { return code == IntNot || code == IntNegate }

// Bitwise reports that code is a bitwise operator, not arithmetic.
func Bitwise(code byte) bool {
	switch code {
	case '&', '|', '~', '<', '>', IntNot:
		return true
	}
	return false
}

// IntOp does one operation. Unary ones ignore b.
func IntOp(code byte, a, b Int) (Int, error) {
	if Bitwise(code) {
		return bitwise(code, a, b)
	}
	if code == IntNegate {
		if a.IsFloat {
			return Int{Float: -a.Float, IsFloat: true}, nil
		}
		return Int{Integer: -a.Integer}, nil
	}
	if a.IsFloat || b.IsFloat {
		return Int{Float: floatOp(code, a.float(), b.float()), IsFloat: true}, nil
	}
	x, y := a.Integer, b.Integer
	switch code {
	case '+':
		return Int{Integer: x + y}, nil
	case '-':
		return Int{Integer: x - y}, nil
	case '*':
		return Int{Integer: x * y}, nil
	case IntDivide:
		if y == 0 {
			return Int{}, ErrDivZero
		}
		return Int{Integer: floorDiv(x, y)}, nil
	}
	if y == 0 {
		return Int{}, ErrModZero
	}
	return Int{Integer: x - floorDiv(x, y)*y}, nil
}

func bitwise(code byte, a, b Int) (Int, error) {
	x, err := a.bits()
	if err != nil {
		return Int{}, err
	}
	if code == IntNot {
		return Int{Integer: ^x}, nil
	}
	y, err := b.bits()
	if err != nil {
		return Int{}, err
	}
	switch code {
	case '&':
		x &= y
	case '|':
		x |= y
	case '~':
		x ^= y
	case '<':
		x = shift(x, y)
	case '>':
		if y == math.MinInt64 {
			return Int{}, nil
		}
		x = shift(x, -y)
	}
	return Int{Integer: x}, nil
}

// shift shifts to the left, or by a negative n to the right, without the sign.
func shift(x, n int64) int64 {
	switch {
	case n <= -64 || n >= 64:
		return 0
	case n >= 0:
		return int64(uint64(x) << n)
	}
	return int64(uint64(x) >> -n)
}

func floorDiv(x, y int64) int64 {
	if y == -1 {
		return -x // the least integer divided by -1 wraps
	}
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return q
}

func floatOp(code byte, x, y float64) float64 {
	switch code {
	case '+':
		return x + y
	case '-':
		return x - y
	case '*':
		return x * y
	case IntDivide:
		return math.Floor(x / y)
	}
	m := math.Mod(x, y)
	if m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	return m
}

// RunInts runs a program on its operands.
func RunInts(code string, operands []Int) (float64, error) {
	var buf [8]Int
	stack := buf[:0]
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == IntOperand:
			stack = append(stack, operands[0])
			operands = operands[1:]
		case c == IntConstant:
			stack = append(stack, Int{Integer: ConstantAt(code, i)})
			i += 8
		default:
			var b Int
			n := len(stack) - 1
			if !Unary(c) {
				b = stack[n]
				stack = stack[:n]
				n--
			}
			v, err := IntOp(c, stack[n], b)
			if err != nil {
				return 0, err
			}
			stack[n] = v
		}
	}
	return stack[0].Number()
}

// ConstantAt is the constant whose code is at i.
func ConstantAt(code string, i int) int64 {
	var b [8]byte
	copy(b[:], code[i+1:])
	return int64(binary.BigEndian.Uint64(b[:]))
}
