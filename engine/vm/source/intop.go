// // & | ~ << >>: gopher-lua has no instructions for them, so they become calls of a helper.
//
// A tree of bitwise operators, and of + - * // % below them, is one call: (ints)(program, operands...). Integers inside are
// 64 bits wide, as Lua 5.4's are, so that (h ~ b) * 16777619 & 0xffffffff is right although the product is beyond 2^53, where
// a double is not exact. What comes out must be exact again. A program is the tree in postfix form, in Int's codes.

package source

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// The codes of a program of integer operations: an operator's own first byte, or one of these.
const (
	IntOperand  = '.' // the next operand
	IntConstant = '#' // the integer in the 8 bytes that follow, big-endian
	IntDivide   = '/'
	IntNegate   = '_'
	bitNot      = '!'
	IntNot      = bitNot
)

// maxOperands is how many operands a program takes; a larger tree is several calls.
const maxOperands = 50

// intOp is an operator that gopher-lua lacks. rhs is nil for ~a.
type intOp struct {
	ast.ExprBase
	op       byte // its first byte, bitNot for ~a
	lhs, rhs ast.Expr
}

// longInt is an integer that no double holds. Outside of integer operations it is the double next to it.
type longInt struct {
	ast.ExprBase
	value int64
}

// numeralExpr is the expression for a numeral. gopher-lua's own numbers are text, parsed again: infinity and negative numbers
// (hexadecimal ones that wrap) have none.
func numeralExpr(t token) ast.Expr {
	if t.long {
		return at(&longInt{value: t.integer}, t.line)
	}
	return numberExpr(t.number, t.line)
}

func numberExpr(v float64, line int) ast.Expr {
	num := func(s string) ast.Expr { return at(&ast.NumberExpr{Value: s}, line) }
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return at(&ast.ArithmeticOpExpr{Operator: "/", Lhs: num(strconv.Itoa(sign(v))), Rhs: num("0")}, line)
	case math.Signbit(v):
		return at(&ast.UnaryMinusOpExpr{Expr: numberExpr(-v, line)}, line)
	case v == math.Trunc(v) && v < 1<<53:
		return num(strconv.FormatInt(int64(v), 10))
	}
	return num(strconv.FormatFloat(v, 'g', -1, 64))
}

// sign is 1, -1, or 0 for what is no number: v is the sign divided by zero.
func sign(v float64) int {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// program collects a tree.
type program struct {
	p        *pass
	code     []byte
	operands []ast.Expr
	constant bool // there are no operands but constants
}

// ints walks a tree and gives what stands for it.
func (p *pass) ints(e *intOp) ast.Expr {
	g := &program{p: p, constant: true}
	g.op(e)
	if g.constant {
		if v, err := RunInts(string(g.code), nil); err == nil {
			return numberExpr(v, e.Line())
		}
	}
	args := append([]ast.Expr{at(&ast.StringExpr{Value: string(g.code)}, e.Line())}, g.operands...)
	return one(call(Ints, e.Line(), args...))
}

func (g *program) op(e *intOp) {
	if e.op == '/' { // its operands are numbers, which need not be integers
		g.operand(e.lhs)
		g.operand(e.rhs)
	} else {
		g.tree(e.lhs)
		if e.rhs != nil {
			g.tree(e.rhs)
		}
	}
	g.code = append(g.code, e.op)
}

// tree adds e, and what is below it if that is integer arithmetic too.
func (g *program) tree(e ast.Expr) {
	if len(g.operands) < maxOperands && len(g.code) < 1000 {
		switch e := e.(type) {
		case *intOp:
			g.op(e)
			return
		case *ast.ArithmeticOpExpr:
			if op := e.Operator; op != "/" && op != "^" {
				g.tree(e.Lhs)
				g.tree(e.Rhs)
				g.code = append(g.code, op[0])
				return
			}
		case *ast.UnaryMinusOpExpr:
			g.tree(e.Expr)
			g.code = append(g.code, IntNegate)
			return
		}
	}
	g.operand(e)
}

func (g *program) operand(e ast.Expr) {
	switch c := e.(type) {
	case *longInt:
		g.put(c.value)
		return
	case *ast.NumberExpr:
		if v, err := strconv.ParseFloat(c.Value, 64); err == nil && v == math.Trunc(v) && v <= MaxExact {
			g.put(int64(v))
			return
		}
	}
	g.constant = false
	g.code = append(g.code, IntOperand)
	g.operands = append(g.operands, one(g.p.expr(e)))
}

func (g *program) put(v int64) {
	g.code = binary.BigEndian.AppendUint64(append(g.code, IntConstant), uint64(v))
}
