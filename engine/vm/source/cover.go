// Coverage: every statement of a script is preceded by a call that tells of it.

package source

import (
	"strconv"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Cover is the upvalue of what CompileCovered compiles that is called before each statement: function(at), with what number gave.
const Cover = "(cover)"

// CompileCovered is Compile, and has every statement tell that it is about to run. number gives the number of a line on which a statement begins.
func CompileCovered(src []byte, name string, number func(line int) int) (*lua.FunctionProto, error) {
	return translate(src, name, func(chunk []ast.Stmt) []ast.Stmt {
		c := &cover{number: number}
		chunk = c.block(chunk)
		find{inside: true, loops: true, want: c.visit}.stmts(chunk)
		return chunk
	})
}

type cover struct {
	number func(line int) int
}

// visit puts calls into the blocks of a node, which are looked at after it.
func (c *cover) visit(n any) bool {
	switch n := n.(type) {
	case *ast.DoBlockStmt:
		n.Stmts = c.block(n.Stmts)
	case *ast.WhileStmt:
		n.Stmts = c.block(n.Stmts)
	case *ast.RepeatStmt:
		n.Stmts = c.block(n.Stmts)
	case *ast.NumberForStmt:
		n.Stmts = c.block(n.Stmts)
	case *ast.GenericForStmt:
		n.Stmts = c.block(n.Stmts)
	case *ast.IfStmt:
		n.Then, n.Else = c.block(n.Then), c.block(n.Else)
	case *ast.FunctionExpr:
		n.Stmts = c.block(n.Stmts)
	case *closeStmt:
		n.rest = c.block(n.rest)
	}
	return false
}

// block puts a call before every statement but labels, behind which nothing may come that they are not meant to be before.
func (c *cover) block(stmts []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, 2*len(stmts))
	for _, s := range stmts {
		if _, label := s.(*ast.LabelStmt); !label {
			line := s.Line()
			at := at(&ast.NumberExpr{Value: strconv.Itoa(c.number(line))}, line)
			out = append(out, tell(line, at))
		}
		out = append(out, s)
	}
	return out
}

func tell(line int, what ast.Expr) ast.Stmt {
	return at(&ast.FuncCallStmt{Expr: call(Cover, line, what)}, line)
}
