// The walk over the syntax tree: every statement list and expression once, bottom up.

package source

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// pass rewrites one chunk in place. fn is the function being walked.
type pass struct {
	name  string
	names *names
	fn    *function
	err   error
}

// function is what the pass knows of a function while it is inside.
type function struct {
	closures bool            // a function is made in it: its variables may outlive their blocks
	made     int             // steps that the tables take which are made in the body being walked
	labels   map[string]bool // labels passed so far: a goto to one of them may be a loop
}

func (p *pass) chunk(stmts []ast.Stmt) []ast.Stmt {
	return p.body(stmts, 1)
}

// body walks the body of a function that begins at line.
func (p *pass) body(stmts []ast.Stmt, line int) []ast.Stmt {
	outer := p.fn
	p.fn = &function{closures: makesFunction(stmts), labels: map[string]bool{}}
	inner := p.block(stmts)
	stmts = append(step(line, 1+p.fn.made), inner...)
	p.fn = outer
	return stmts
}

func (p *pass) block(stmts []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, len(stmts)+2)
	for _, s := range stmts {
		out = append(out, p.stmt(s)...)
	}
	return out
}

// stmt gives the statements that stand for s.
func (p *pass) stmt(s ast.Stmt) []ast.Stmt {
	switch s := s.(type) {
	case *ast.AssignStmt:
		p.exprs(s.Lhs)
		p.exprs(s.Rhs)
		return stores(p.repairAssign(s))
	case *ast.LocalAssignStmt:
		p.exprs(s.Exprs)
	case *closeStmt:
		return p.block(s.lower())
	case *ast.FuncCallStmt:
		s.Expr = p.expr(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = p.block(s.Stmts)
	case *ast.WhileStmt:
		return p.loop(s, &s.Stmts, &s.Condition)
	case *ast.RepeatStmt:
		return p.loop(s, &s.Stmts, &s.Condition)
	case *ast.NumberForStmt:
		s.Init, s.Limit = p.expr(s.Init), p.expr(s.Limit)
		if s.Step != nil {
			s.Step = p.expr(s.Step)
		}
		return p.loop(s, &s.Stmts)
	case *ast.GenericForStmt:
		p.exprs(s.Exprs)
		if plainIterator(s.Exprs) {
			return p.loop(s, &s.Stmts)
		}
		return p.genericFor(s)
	case *ast.IfStmt:
		s.Condition = p.expr(s.Condition)
		s.Then, s.Else = p.block(s.Then), p.block(s.Else)
	case *ast.FuncDefStmt:
		if s.Name.Func != nil {
			s.Name.Func = p.expr(s.Name.Func)
		} else {
			s.Name.Receiver = p.expr(s.Name.Receiver)
		}
		p.expr(s.Func)
	case *ast.ReturnStmt:
		p.exprs(s.Exprs)
	case *ast.LabelStmt:
		p.fn.labels[s.Name] = true
	case *ast.GotoStmt:
		return p.jump(s)
	}
	return []ast.Stmt{s}
}

// loop walks a loop's body, and its condition if it has one, and gives the loop with what must stand around it.
func (p *pass) loop(loop ast.Stmt, body *[]ast.Stmt, condition ...*ast.Expr) []ast.Stmt {
	leaks := breaks(*body) && makesFunction(*body)
	inner, made := p.made(*body, condition...)
	*body = append(step(loop.Line(), 1+made), inner...)
	if leaks {
		return closing(loop)
	}
	return []ast.Stmt{loop}
}

// made walks the body of a loop and says how many steps its tables take at each turn.
func (p *pass) made(body []ast.Stmt, condition ...*ast.Expr) (stmts []ast.Stmt, steps int) {
	outer := p.fn.made
	p.fn.made = 0
	for _, e := range condition {
		*e = p.expr(*e)
	}
	stmts = p.block(body)
	steps, p.fn.made = p.fn.made, outer
	return stmts, steps
}

func (p *pass) exprs(list []ast.Expr) {
	for i, e := range list {
		list[i] = p.expr(e)
	}
}

// expr walks e and gives what stands for it.
func (p *pass) expr(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		e.Object, e.Key = p.expr(e.Object), p.expr(e.Key)
	case *ast.TableExpr:
		return p.table(e)
	case *ast.Comma3Expr:
		if !e.AdjustRet {
			return call(Varied, e.Line(), e)
		}
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = p.expr(e.Func)
		} else {
			e.Receiver = p.expr(e.Receiver)
		}
		p.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = p.expr(e.Lhs), p.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = p.expr(e.Lhs), p.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = p.expr(e.Lhs), p.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return p.concat(e)
	case *intOp:
		return p.ints(e)
	case *longInt:
		return numberExpr(float64(e.value), e.Line())
	case *ast.UnaryMinusOpExpr:
		e.Expr = p.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = p.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = p.expr(e.Expr)
	case *ast.FunctionExpr:
		e.Stmts = p.body(e.Stmts, e.Line())
	}
	return e
}

// maxItems is how many list items gopher-lua can put into one table constructor; it stores more in the wrong places.
const maxItems = 511 * 50

func (p *pass) table(e *ast.TableExpr) ast.Expr {
	items, fields, computed := 0, 0, false
	for _, f := range e.Fields {
		if f.Key != nil {
			computed = computed || computedKey(f.Key)
			fields++
			f.Key = p.expr(f.Key)
		} else {
			items++
		}
		f.Value = p.expr(f.Value)
	}
	if items > maxItems && p.err == nil {
		p.err = &Error{Name: p.name, Line: e.Line(), Msg: fmt.Sprintf("too many items in a table constructor (limit is %d)", maxItems)}
	}
	p.fn.made += items / 8
	if fields > 0 {
		p.fn.made += 8 + fields
	}
	if computed {
		c := call(Made, e.Line(), e)
		c.AdjustRet = true
		return c
	}
	return e
}

// at gives a made node its place.
func at[N ast.PositionHolder](n N, line int) N {
	n.SetLine(line)
	n.SetLastLine(line)
	return n
}

func ident(name string, line int) ast.Expr { return at(&ast.IdentExpr{Value: name}, line) }

// find reports whether want holds for any statement or expression below the given ones. It looks into functions only if
// inside says so.
type find struct {
	want   func(n any) bool
	inside bool // also inside function bodies
	loops  bool // also inside loops
	limit  int  // what lies deeper counts as found; 0: nothing does
	depth  int
}

func (f find) stmts(list []ast.Stmt) bool {
	for _, s := range list {
		if f.stmt(s) {
			return true
		}
	}
	return false
}

func (f find) stmt(s ast.Stmt) bool {
	if f.depth++; f.depth == f.limit || f.want(s) {
		return true
	}
	switch s := s.(type) {
	case *ast.AssignStmt:
		return f.exprs(s.Lhs...) || f.exprs(s.Rhs...)
	case *ast.LocalAssignStmt:
		return f.exprs(s.Exprs...)
	case *ast.FuncCallStmt:
		return f.exprs(s.Expr)
	case *ast.DoBlockStmt:
		return f.stmts(s.Stmts)
	case *ast.WhileStmt:
		return f.exprs(s.Condition) || f.loops && f.stmts(s.Stmts)
	case *ast.RepeatStmt:
		return f.exprs(s.Condition) || f.loops && f.stmts(s.Stmts)
	case *ast.NumberForStmt:
		return f.exprs(s.Init, s.Limit, s.Step) || f.loops && f.stmts(s.Stmts)
	case *ast.GenericForStmt:
		return f.exprs(s.Exprs...) || f.loops && f.stmts(s.Stmts)
	case *ast.IfStmt:
		return f.exprs(s.Condition) || f.stmts(s.Then) || f.stmts(s.Else)
	case *ast.FuncDefStmt:
		return f.exprs(s.Name.Func, s.Name.Receiver, s.Func)
	case *ast.ReturnStmt:
		return f.exprs(s.Exprs...)
	case *closeStmt:
		return f.exprs(s.local.Exprs...) || f.stmts(s.rest)
	}
	return false
}

func (f find) exprs(list ...ast.Expr) bool {
	for _, e := range list {
		if e != nil && f.expr(e) {
			return true
		}
	}
	return false
}

func (f find) expr(e ast.Expr) bool {
	if f.depth++; f.depth == f.limit || f.want(e) {
		return true
	}
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		return f.exprs(e.Object, e.Key)
	case *ast.TableExpr:
		for _, field := range e.Fields {
			if f.exprs(field.Key, field.Value) {
				return true
			}
		}
	case *ast.FuncCallExpr:
		return f.exprs(e.Func, e.Receiver) || f.exprs(e.Args...)
	case *ast.LogicalOpExpr:
		return f.exprs(e.Lhs, e.Rhs)
	case *ast.RelationalOpExpr:
		return f.exprs(e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		return f.exprs(e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		return f.exprs(e.Lhs, e.Rhs)
	case *intOp:
		return f.exprs(e.lhs, e.rhs)
	case *ast.UnaryMinusOpExpr:
		return f.exprs(e.Expr)
	case *ast.UnaryNotOpExpr:
		return f.exprs(e.Expr)
	case *ast.UnaryLenOpExpr:
		return f.exprs(e.Expr)
	case *ast.FunctionExpr:
		return f.inside && f.stmts(e.Stmts)
	}
	return false
}

// maxLevels is how deep statements and expressions may nest, operators too: passes and compiler go down by recursion, and
// a Go stack that is used up is the end of the process.
const maxLevels = 10_000

func tooDeep(stmts []ast.Stmt) bool {
	return find{inside: true, loops: true, limit: maxLevels, want: func(any) bool { return false }}.stmts(stmts)
}

// makesFunction reports whether a function is made among stmts.
func makesFunction(stmts []ast.Stmt) bool {
	return find{loops: true, want: isFunction}.stmts(stmts)
}

func isFunction(n any) bool {
	switch n.(type) {
	case *ast.FunctionExpr, *closeStmt:
		return true
	}
	return false
}

// breaks reports whether a break among stmts leaves the loop whose body they are.
func breaks(stmts []ast.Stmt) bool {
	return find{want: func(n any) bool { _, ok := n.(*ast.BreakStmt); return ok }}.stmts(stmts)
}
