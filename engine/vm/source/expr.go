// The parser: expressions.

package source

import (
	"github.com/yuin/gopher-lua/ast"
)

// power is how strongly an operator binds to its left and right; more on the left is right-associative.
var power = map[string][2]uint8{
	"or": {1, 1}, "and": {2, 2}, "<": {3, 3}, ">": {3, 3}, "<=": {3, 3}, ">=": {3, 3}, "~=": {3, 3}, "==": {3, 3}, "|": {4, 4}, "~": {5, 5},
	"&": {6, 6}, "<<": {7, 7}, ">>": {7, 7}, "..": {9, 8}, "+": {10, 10}, "-": {10, 10}, "*": {11, 11}, "/": {11, 11}, "//": {11, 11},
	"%": {11, 11}, "^": {14, 13},
}

const unaryPower = 12

func (p *parser) exprs() []ast.Expr {
	list := []ast.Expr{p.expr()}
	for p.accept(",") {
		list = append(list, p.expr())
	}
	return list
}

func (p *parser) expr() ast.Expr { return p.binary(0) }

// binary reads an expression of operators that bind more strongly than limit.
func (p *parser) binary(limit uint8) ast.Expr {
	if p.depth++; p.depth > maxLevels {
		p.fail(p.t.line, "%s", tooManyLevels)
	}
	var e ast.Expr
	op := p.t
	switch {
	case op.is("not"), op.is("-"), op.is("#"), op.is("~"):
		p.next()
		e = unaryOp(op, p.binary(unaryPower))
	default:
		e = p.simple()
	}
	for {
		op := p.t
		if op.kind != kOp && op.kind != kKeyword {
			break
		}
		bind, ok := power[op.text]
		if !ok || bind[0] <= limit {
			break
		}
		p.next()
		e = binaryOp(op, e, p.binary(bind[1]))
	}
	p.depth--
	return e
}

func unaryOp(op token, e ast.Expr) ast.Expr {
	switch op.text {
	case "not":
		return at(&ast.UnaryNotOpExpr{Expr: e}, op.line)
	case "-":
		return at(&ast.UnaryMinusOpExpr{Expr: e}, op.line)
	case "#":
		return at(&ast.UnaryLenOpExpr{Expr: e}, op.line)
	}
	return at(&intOp{op: bitNot, lhs: e}, op.line)
}

func binaryOp(op token, l, r ast.Expr) ast.Expr {
	switch op.text {
	case "or", "and":
		return at(&ast.LogicalOpExpr{Operator: op.text, Lhs: l, Rhs: r}, op.line)
	case "..":
		return at(&ast.StringConcatOpExpr{Lhs: l, Rhs: r}, op.line)
	case "+", "-", "*", "/", "%", "^":
		return at(&ast.ArithmeticOpExpr{Operator: op.text, Lhs: l, Rhs: r}, op.line)
	case "//", "&", "|", "~", "<<", ">>":
		return at(&intOp{op: op.text[0], lhs: l, rhs: r}, op.line)
	}
	return at(&ast.RelationalOpExpr{Operator: op.text, Lhs: l, Rhs: r}, op.line)
}

func (p *parser) simple() ast.Expr {
	t := p.t
	switch t.kind {
	case kNumber:
		p.next()
		return numeralExpr(t)
	case kString:
		p.next()
		return at(&ast.StringExpr{Value: t.text}, t.line)
	case kKeyword:
		switch t.text {
		case "nil":
			p.next()
			return at(&ast.NilExpr{}, t.line)
		case "true":
			p.next()
			return at(&ast.TrueExpr{}, t.line)
		case "false":
			p.next()
			return at(&ast.FalseExpr{}, t.line)
		case "function":
			return p.function(p.open(), false)
		}
	}
	switch {
	case t.is("..."):
		if !p.fn.vararg {
			p.fail(t.line, "cannot use '...' outside a vararg function near '...'")
		}
		p.next()
		return at(&ast.Comma3Expr{}, t.line)
	case t.is("{"):
		return p.table()
	}
	e, _ := p.suffixed()
	return e
}

// suffixed reads a name or a bracket and the indices and calls behind it, and says whether it can be assigned to.
func (p *parser) suffixed() (e ast.Expr, variable bool) {
	first := p.t
	switch {
	case first.kind == kName:
		p.next()
		e, variable = p.variable(first), true
	case first.is("("):
		p.open()
		e = one(p.expr())
		p.closes(")", first)
	default:
		p.fail(first.last, "unexpected symbol near %s", first.near())
	}
	for {
		t := p.t
		switch {
		case t.is("."):
			p.next()
			key := p.ident()
			e, variable = at(&ast.AttrGetExpr{Object: e, Key: at(&ast.StringExpr{Value: key.text}, key.line)}, key.line), true
		case t.is("["):
			p.open()
			key := p.expr()
			p.shut("]")
			e, variable = at(&ast.AttrGetExpr{Object: e, Key: key}, t.line), true
		case t.is(":"):
			p.next()
			name := p.ident().text
			e, variable = at(&ast.FuncCallExpr{Receiver: e, Method: name, Args: p.args(first.line)}, first.line), false
		case t.is("("), t.is("{"), t.kind == kString:
			e, variable = at(&ast.FuncCallExpr{Func: e, Args: p.args(first.line)}, first.line), false
		default:
			return e, variable
		}
	}
}

// args reads the arguments of a call that begins at line.
func (p *parser) args(line int) []ast.Expr {
	t := p.t
	switch {
	case t.kind == kString:
		p.next()
		return []ast.Expr{at(&ast.StringExpr{Value: t.text}, t.line)}
	case t.is("{"):
		return []ast.Expr{p.table()}
	case !t.is("("):
		p.fail(t.last, "function arguments expected near %s", t.near())
	}
	p.open()
	args := []ast.Expr{}
	if !p.t.is(")") {
		args = p.exprs()
	}
	t.line = line
	p.closes(")", t)
	return args
}

func (p *parser) table() ast.Expr {
	first := p.open()
	e := at(&ast.TableExpr{Fields: []*ast.Field{}}, first.line)
	for !p.t.is("}") {
		f := &ast.Field{}
		switch t := p.t; {
		case t.kind == kName && p.peek().is("="):
			p.next()
			p.next()
			f.Key = at(&ast.StringExpr{Value: t.text}, t.line)
		case t.is("["):
			p.open()
			f.Key = p.expr()
			p.shut("]")
			p.want("=")
		}
		f.Value = p.expr()
		e.Fields = append(e.Fields, f)
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.closes("}", first)
	return e
}
