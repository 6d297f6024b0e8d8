// local x <close>: what follows in the block becomes a function that is run protected, after which x is closed.
//
//	local x <close> = e        local x = (closable)(e)
//	rest                       (close)(x, function(...) rest end, ...)
//
// Where the rest leaves the block by return, break or goto, the function returns which, and the values, and the block leaves
// in its stead:
//
//	local (exit) = (pack)((close)(x, function(...) rest end, ...))
//	if (exit)[1] == "return" then return (unpack)(exit) end
//	if (exit)[1] == "break" then break end
//	if (exit)[1] == "goto name" then goto name end

package source

import (
	"sort"

	"github.com/yuin/gopher-lua/ast"
)

// closeStmt is a local statement with a variable to be closed, and the rest of its block.
type closeStmt struct {
	ast.StmtBase
	local  *ast.LocalAssignStmt
	name   string
	vararg bool // the function around it has ...
	rest   []ast.Stmt
}

const exit = "(exit)"

// lower gives the statements that stand for s.
func (s *closeStmt) lower() []ast.Stmt {
	line := s.Line()
	x := &exits{ways: map[string]ast.Stmt{}}
	body := &ast.FunctionExpr{ParList: &ast.ParList{Names: []string{}, HasVargs: s.vararg}, Stmts: x.block(s.rest, nil, false)}
	spans(body, line, s.LastLine())
	run := call(Close, line, ident(s.name, line), body)
	if s.vararg {
		run.Args = append(run.Args, at(&ast.Comma3Expr{}, line))
	}
	name := at(&ast.StringExpr{Value: s.name}, line)
	check := &ast.FuncCallStmt{Expr: call(Closable, line, ident(s.name, line), name)}
	out := []ast.Stmt{s.local, at(check, line)}
	if len(x.ways) == 0 {
		return append(out, at(&ast.FuncCallStmt{Expr: run}, line))
	}
	out = append(out, at(&ast.LocalAssignStmt{Names: []string{exit}, Exprs: []ast.Expr{one(call(Pack, line, run))}}, line))
	var ways []string
	for way := range x.ways {
		ways = append(ways, way)
	}
	sort.Strings(ways)
	for _, way := range ways {
		first := at(&ast.AttrGetExpr{Object: ident(exit, line), Key: at(&ast.NumberExpr{Value: "1"}, line)}, line)
		is := &ast.RelationalOpExpr{Operator: "==", Lhs: first, Rhs: at(&ast.StringExpr{Value: way}, line)}
		out = append(out, at(&ast.IfStmt{Condition: at(is, line), Then: []ast.Stmt{x.ways[way]}}, line))
	}
	return out
}

// withoutLabels is the length of stmts without the labels at its end: in Lua these lie outside of the scope of the block's variables.
func withoutLabels(stmts []ast.Stmt) int {
	n := len(stmts)
	for n > 0 {
		if _, ok := stmts[n-1].(*ast.LabelStmt); !ok {
			break
		}
		n--
	}
	return n
}

// exits turns the statements that leave a block into returns, and keeps what they were.
type exits struct{ ways map[string]ast.Stmt }

// leave is the return that stands for s.
func (x *exits) leave(way string, s ast.Stmt, values ...ast.Expr) ast.Stmt {
	line := s.Line()
	if _, ok := s.(*ast.ReturnStmt); ok {
		s = at(&ast.ReturnStmt{Exprs: []ast.Expr{call(Unpack, line, ident(exit, line))}}, line)
	}
	x.ways[way] = s
	return at(&ast.ReturnStmt{Exprs: append([]ast.Expr{at(&ast.StringExpr{Value: way}, line)}, values...)}, line)
}

// block rewrites stmts. visible are the labels of the blocks around them, inLoop says that a loop is among these.
func (x *exits) block(stmts []ast.Stmt, visible []string, inLoop bool) []ast.Stmt {
	for _, s := range stmts {
		if l, ok := s.(*ast.LabelStmt); ok {
			visible = append(visible[:len(visible):len(visible)], l.Name)
		}
	}
	for i, s := range stmts {
		switch s := s.(type) {
		case *ast.ReturnStmt:
			stmts[i] = x.leave("return", s, s.Exprs...)
		case *ast.BreakStmt:
			if !inLoop {
				stmts[i] = x.leave("break", s)
			}
		case *ast.GotoStmt:
			if !contains(visible, s.Label) {
				stmts[i] = x.leave("goto "+s.Label, s)
			}
		case *ast.DoBlockStmt:
			x.block(s.Stmts, visible, inLoop)
		case *ast.IfStmt:
			x.block(s.Then, visible, inLoop)
			x.block(s.Else, visible, inLoop)
		case *ast.WhileStmt:
			x.block(s.Stmts, visible, true)
		case *ast.RepeatStmt:
			x.block(s.Stmts, visible, true)
		case *ast.NumberForStmt:
			x.block(s.Stmts, visible, true)
		case *ast.GenericForStmt:
			x.block(s.Stmts, visible, true)
		case *closeStmt:
			x.block(s.rest, visible, inLoop)
		}
	}
	return stmts
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// closeInRepeat makes the condition part of the body, if that has a variable to be closed: the condition sees the variable, which
// is closed after it.
//
//	while true do body if condition then break end end
func closeInRepeat(s *ast.RepeatStmt) ast.Stmt {
	n := withoutLabels(s.Stmts)
	if n == 0 {
		return s
	}
	c, ok := s.Stmts[n-1].(*closeStmt)
	if !ok {
		return s
	}
	for k := len(c.rest); k > 0; k = len(c.rest) {
		next, ok := c.rest[k-1].(*closeStmt)
		if !ok {
			break
		}
		c = next
	}
	line := s.LastLine()
	c.rest = append(append(c.rest, s.Stmts[n:]...), at(&ast.IfStmt{Condition: s.Condition, Then: []ast.Stmt{at(&ast.BreakStmt{}, line)}}, line))
	return spans(&ast.WhileStmt{Condition: at(&ast.TrueExpr{}, s.Line()), Stmts: s.Stmts[:n]}, s.Line(), line)
}
