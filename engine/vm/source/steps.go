// Steps: the count-down that bounds a script's run, and loops over iterators that may wait.

package source

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// step is n steps of the budget, one for the turn or the call and the others for the tables in it:
//
//	(count) = (count) - n
//	if (count) < 0 then (tick)() end
//
// It stands at the head of every function and loop body and before every goto that may go back, so nothing can run for ever
// without passing one. A quantum below 128 keeps count among the numbers that gopher-lua has boxed beforehand: a step then
// allocates nothing.
func step(line, n int) []ast.Stmt {
	less := at(&ast.ArithmeticOpExpr{Operator: "-", Lhs: ident(Count, line), Rhs: at(&ast.NumberExpr{Value: strconv.Itoa(n)}, line)}, line)
	spent := at(&ast.RelationalOpExpr{Operator: "<", Lhs: ident(Count, line), Rhs: at(&ast.NumberExpr{Value: "0"}, line)}, line)
	return []ast.Stmt{
		at(&ast.AssignStmt{Lhs: []ast.Expr{ident(Count, line)}, Rhs: []ast.Expr{less}}, line),
		at(&ast.IfStmt{Condition: spent, Then: []ast.Stmt{
			at(&ast.FuncCallStmt{Expr: call(Tick, line)}, line),
		}}, line),
	}
}

func call(name string, line int, args ...ast.Expr) *ast.FuncCallExpr {
	return at(&ast.FuncCallExpr{Func: ident(name, line), Args: args}, line)
}

// jump walks a goto. One to a label that has been passed may be a loop and is a step.
func (p *pass) jump(s *ast.GotoStmt) []ast.Stmt {
	var out []ast.Stmt
	if p.fn.labels[s.Label] {
		out = step(s.Line(), 1+p.fn.made)
	}
	if p.fn.closures {
		return append(out, closing(s)...)
	}
	return append(out, s)
}

// concat turns a .. b .. c into (concat)(a, b, c): the instruction cannot be charged, and s = s .. s forty times is a terabyte.
func (p *pass) concat(e *ast.StringConcatOpExpr) ast.Expr {
	line := e.Line()
	var args []ast.Expr
	var last ast.Expr = e
	constant := true
	for {
		c, ok := last.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		args = append(args, p.expr(c.Lhs))
		last = c.Rhs
	}
	args = append(args, one(p.expr(last)))
	text := ""
	for _, a := range args {
		s, ok := a.(*ast.StringExpr)
		if constant = constant && ok; constant {
			text += s.Value
		}
	}
	if constant {
		return at(&ast.StringExpr{Value: text}, line)
	}
	c := call(Concat, line, args...)
	c.AdjustRet = true
	return c
}

// one makes e give one value at the end of a list.
func one(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// plainIterator reports that a generic for iterates with pairs or ipairs. Their iterators never wait. (`in next, t` is not left as it
// is either: gopher-lua does not set the third hidden variable if there are as many names as expressions.)
func plainIterator(exprs []ast.Expr) bool {
	c, ok := exprs[0].(*ast.FuncCallExpr)
	if !ok || len(exprs) != 1 || c.Func == nil {
		return false
	}
	id, ok := c.Func.(*ast.IdentExpr)
	return ok && (id.Value == "pairs" || id.Value == "ipairs")
}

const generator = "(for generator)"

// genericFor makes the iterator's call an ordinary one: gopher-lua's own for calls it from inside an instruction, and a
// coroutine that yields there is lost.
//
//	do
//	  local (for generator), (for state), (for control), (for closing) = exprs
//	  if (for closing) then (closable)((for closing)) end     -- Lua 5.4 closes it; here it is an error
//	  while true do
//	    local names = (for generator)((for state), (for control))
//	    if first name == nil then break end
//	    (for control) = first name
//	    body
//	  end
//	end
func (p *pass) genericFor(s *ast.GenericForStmt) []ast.Stmt {
	const state, control, closing = "(for state)", "(for control)", "(for closing)"
	line := s.Line()
	first := func() ast.Expr { return ident(s.Names[0], line) }
	leaks := breaks(s.Stmts) && makesFunction(s.Stmts)
	body := []ast.Stmt{
		at(&ast.LocalAssignStmt{Names: s.Names, Exprs: []ast.Expr{call(generator, line, ident(state, line), ident(control, line))}}, line),
		at(&ast.IfStmt{
			Condition: at(&ast.RelationalOpExpr{Operator: "==", Lhs: first(), Rhs: at(&ast.NilExpr{}, line)}, line),
			Then:      []ast.Stmt{at(&ast.BreakStmt{}, line)},
		}, line),
		at(&ast.AssignStmt{Lhs: []ast.Expr{ident(control, line)}, Rhs: []ast.Expr{first()}}, line),
	}
	inner, made := p.made(s.Stmts)
	body = append(body, step(line, 1+made)...)
	loop := &ast.WhileStmt{Condition: at(&ast.TrueExpr{}, line), Stmts: append(body, inner...)}
	loop.SetLine(line)
	loop.SetLastLine(s.LastLine())
	stmts := []ast.Stmt{
		at(&ast.LocalAssignStmt{Names: []string{generator, state, control, closing}, Exprs: s.Exprs}, line),
		at(&ast.IfStmt{Condition: ident(closing, line), Then: []ast.Stmt{
			at(&ast.FuncCallStmt{Expr: call(Closable, line, ident(closing, line))}, line),
		}}, line),
		loop,
	}
	if leaks {
		stmts = append(capture(line), stmts...)
	}
	block := &ast.DoBlockStmt{Stmts: stmts}
	block.SetLine(line)
	block.SetLastLine(s.LastLine())
	return []ast.Stmt{block}
}
