// Tables and varargs: what takes memory in one instruction is made to take steps.
//
//	{ a = 1, b = 2 }    the steps of the loop turn or function that it is in grow with its fields
//	{ [k] = v }         (made)({ [k] = v }): an index far beyond the list makes gopher-lua fill up what lies between
//	t[k] = v            (set)(t, k, v), for the same reason
//	f(...)              f((varied)(...)): the values are copied

package source

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// computedKey reports that e may turn out to be a large index.
func computedKey(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StringExpr:
		return false
	case *ast.NumberExpr:
		n, err := strconv.Atoi(e.Value)
		return err != nil || n > 64
	}
	return true
}

// stores makes calls of assignments to computed keys. Assignments to several variables have gone through temporaries.
func stores(stmts []ast.Stmt) []ast.Stmt {
	for i, s := range stmts {
		switch s := s.(type) {
		case *ast.DoBlockStmt:
			s.Stmts = stores(s.Stmts)
		case *ast.AssignStmt:
			if computedStore(s) {
				a := s.Lhs[0].(*ast.AttrGetExpr)
				stmts[i] = at(&ast.FuncCallStmt{Expr: call(Set, s.Line(), a.Object, a.Key, one(s.Rhs[0]))}, s.Line())
			}
		}
	}
	return stmts
}

// computedStore reports an assignment with a computed key among its targets.
func computedStore(s *ast.AssignStmt) bool {
	for _, e := range s.Lhs {
		if a, ok := e.(*ast.AttrGetExpr); ok && computedKey(a.Key) {
			return true
		}
	}
	return false
}
