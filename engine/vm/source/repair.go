// Repairs: what gopher-lua v1.1.2 compiles to something else than it says. Each has a line in testdata and fails without its
// repair; when gopher-lua mends one, its repair can go.

package source

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// capture declares a variable that a function captures, which makes gopher-lua close upvalues where the block around it is left.
// The function is never made.
//
//	local (captured)
//	if false then (captured) = function() return (captured) end end
func capture(line int) []ast.Stmt {
	const captured = "(captured)"
	fn := at(&ast.FunctionExpr{ParList: &ast.ParList{}, Stmts: []ast.Stmt{
		at(&ast.ReturnStmt{Exprs: []ast.Expr{ident(captured, line)}}, line),
	}}, line)
	return []ast.Stmt{
		at(&ast.LocalAssignStmt{Names: []string{captured}}, line),
		at(&ast.IfStmt{Condition: at(&ast.FalseExpr{}, line), Then: []ast.Stmt{
			at(&ast.AssignStmt{Lhs: []ast.Expr{ident(captured, line)}, Rhs: []ast.Expr{fn}}, line),
		}}, line),
	}
}

// closing puts s into a block that closes upvalues when it is left, where gopher-lua would
//   - leave them open: a break out of a nested block whose variables were captured; the closures then see whatever takes the
//     variables' place;
//   - close too many: a goto closes every captured variable of the function; closures and function then part ways.
func closing(s ast.Stmt) []ast.Stmt {
	block := &ast.DoBlockStmt{Stmts: append(capture(s.Line()), s)}
	block.SetLine(s.Line())
	block.SetLastLine(max(s.Line(), s.LastLine()))
	return []ast.Stmt{block}
}

// notRecursive makes `local f = function` see the outer f inside, as it shall; gopher-lua treats it as `local function f`. A second
// expression, ignored, is enough.
func notRecursive(s *ast.LocalAssignStmt) {
	if len(s.Names) != 1 || len(s.Exprs) != 1 {
		return
	}
	if fn, ok := s.Exprs[0].(*ast.FunctionExpr); ok {
		s.Exprs = append(s.Exprs, at(&ast.NilExpr{}, fn.LastLine()))
	}
}

// repairAssign goes through temporaries where gopher-lua writes a local variable before it has read it for the last time:
//
//	a, b = b, a             a is set, then read for b
//	t, t[1] = x, y          t is set, then indexed
//	a = (b or c) and a      a is used to hold b or c
//	a = t.b and c           a stays as it is if t.b is false or nil: the jump over c goes past the instruction that would have set it
//	a, b = f(a), 1          the call is built in a's own register, if a is the last parameter
//	a = (...)               a's register is counted among those in use
//	a, a = 1, 2             the second value stays
func (p *pass) repairAssign(s *ast.AssignStmt) []ast.Stmt {
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		id, ok := s.Lhs[0].(*ast.IdentExpr)
		if !ok {
			return []ast.Stmt{s}
		}
		switch e := s.Rhs[0].(type) {
		case *ast.FuncCallExpr:
			e.AdjustRet = false // one variable takes one value anyway, and this way the call gets registers of its own
			return []ast.Stmt{s}
		case *ast.Comma3Expr:
			e.AdjustRet = false // likewise
			return []ast.Stmt{s}
		case *ast.LogicalOpExpr:
			if hasAnd(e) || nestedLogic(e) && mentions(e, id.Value) {
				return p.throughTemporaries(s)
			}
		}
		return []ast.Stmt{s}
	}
	if computedStore(s) {
		return p.throughTemporaries(s)
	}
	if spread(s) || !assignsVariable(s) || len(s.Rhs) == len(s.Lhs) && onlyConstants(s) {
		return []ast.Stmt{s}
	}
	return p.throughTemporaries(s)
}

// spread reports an assignment of one call's or vararg's values, which gopher-lua gets right.
func spread(s *ast.AssignStmt) bool {
	if len(s.Rhs) != 1 {
		return false
	}
	switch e := s.Rhs[0].(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

func assignsVariable(s *ast.AssignStmt) bool {
	for _, e := range s.Lhs {
		if _, ok := e.(*ast.IdentExpr); ok {
			return true
		}
	}
	return false
}

// onlyConstants reports that variables, each once, are assigned constants: nothing is read.
func onlyConstants(s *ast.AssignStmt) bool {
	seen := map[string]bool{}
	for _, e := range s.Lhs {
		id, ok := e.(*ast.IdentExpr)
		if !ok || seen[id.Value] {
			return false
		}
		seen[id.Value] = true
	}
	for _, e := range s.Rhs {
		if _, ok := e.(ast.ConstExpr); !ok {
			return false
		}
	}
	return true
}

func hasAnd(e *ast.LogicalOpExpr) bool {
	return find{want: func(n any) bool { l, ok := n.(*ast.LogicalOpExpr); return ok && l.Operator == "and" }}.expr(e)
}

func nestedLogic(e *ast.LogicalOpExpr) bool {
	return find{want: func(n any) bool { _, ok := n.(*ast.LogicalOpExpr); return ok }}.exprs(e.Lhs, e.Rhs)
}

func mentions(e ast.Expr, name string) bool {
	return find{want: func(n any) bool { id, ok := n.(*ast.IdentExpr); return ok && id.Value == name }}.expr(e)
}

// throughTemporaries evaluates everything into fresh locals and then assigns, from the right as Lua does.
func (p *pass) throughTemporaries(s *ast.AssignStmt) []ast.Stmt {
	line := s.Line()
	var pre, post []ast.Stmt
	temp := func(name string, e ast.Expr) ast.Expr {
		if _, ok := e.(ast.ConstExpr); ok {
			return e
		}
		pre = append(pre, at(&ast.LocalAssignStmt{Names: []string{name}, Exprs: []ast.Expr{one(e)}}, e.Line()))
		made := at(&ast.IdentExpr{Value: name}, e.Line())
		p.names.stands[made] = e
		return made
	}
	var values []string
	for i, e := range s.Lhs {
		if a, ok := e.(*ast.AttrGetExpr); ok {
			a.Object = temp(fmt.Sprintf("(object %d)", i), a.Object)
			a.Key = temp(fmt.Sprintf("(key %d)", i), a.Key)
		}
		value := fmt.Sprintf("(value %d)", i)
		values = append(values, value)
		assign := at(&ast.AssignStmt{Lhs: []ast.Expr{e}, Rhs: []ast.Expr{ident(value, line)}}, line)
		post = append([]ast.Stmt{assign}, post...)
	}
	pre = append(pre, at(&ast.LocalAssignStmt{Names: values, Exprs: s.Rhs}, line))
	return []ast.Stmt{at(&ast.DoBlockStmt{Stmts: append(pre, post...)}, line)}
}
