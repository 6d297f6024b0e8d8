// Mutants: a script with one thing changed, to see whether its tests notice (tests/mutate).

package source

import (
	"fmt"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Mutation says what is changed besides operators, numbers, strings, true and false, conditions and statements.
type Mutation struct {
	Names  map[string]string // t.A becomes t.B
	Calls  []string          // what is in a call of such a function or method stays as it is
	Fields []string          // and what is in such a field of a table
	Mark   string            // and what is in a list that has this field besides, but for functions
}

// Mutant is a script with one change.
type Mutant struct {
	Line      int    // of what is changed
	Statement int    // the line on which the innermost statement around it begins, which is what CompileCovered counts
	Change    string // as people read it: "< -> <="

	apply func()
}

// Mutants are the mutants of a script, in the order of its text. Prose stays as it is: strings that hold a space and begin with a small letter or
// none, but for those that something is compared with.
func (m *Mutation) Mutants(src []byte, name string) ([]Mutant, error) {
	toks, bad := scan(string(src), name)
	chunk, _, err := parse(toks, bad, name)
	if err != nil {
		return nil, err
	}
	return m.find(chunk), nil
}

// Compile is the function Compile for the mutant that is n-th among Mutants.
func (m *Mutation) Compile(src []byte, name string, n int) (*lua.FunctionProto, error) {
	return translate(src, name, func(chunk []ast.Stmt) []ast.Stmt {
		m.find(chunk)[n].apply()
		return chunk
	})
}

// mutator walks a tree and notes what can be changed in it.
type mutator struct {
	*Mutation
	found     []Mutant
	statement int // its line
}

func (m *Mutation) find(chunk []ast.Stmt) []Mutant {
	w := &mutator{Mutation: m}
	if n := len(chunk); n > 0 {
		w.block(chunk[:n-1])
		w.stmt(&chunk[n-1], true) // what a module returns can only be missed
	}
	return w.found
}

func (w *mutator) add(line int, change string, apply func()) {
	w.found = append(w.found, Mutant{Line: line, Statement: w.statement, Change: change, apply: apply})
}

func (w *mutator) block(list []ast.Stmt) {
	outer := w.statement
	for i := range list {
		w.statement = list[i].Line()
		w.stmt(&list[i], false)
	}
	w.statement = outer
}

// stmt notes the mutants of a statement; one that must stay is only changed within.
func (w *mutator) stmt(slot *ast.Stmt, stays bool) {
	line := (*slot).Line()
	w.statement = line
	drop := func(what string) {
		if !stays {
			w.add(line, "drop "+what, func() { *slot = at(&ast.DoBlockStmt{}, line) })
		}
	}
	switch s := (*slot).(type) {
	case *ast.AssignStmt:
		if !hasFunction(s.Rhs) {
			drop("the assignment")
		}
		w.exprs(s.Lhs)
		w.exprs(s.Rhs)
	case *ast.LocalAssignStmt:
		if !hasFunction(s.Exprs) && len(s.Exprs) > 0 && !isRequire(s.Exprs[0]) {
			w.add(line, "drop the value of "+strings.Join(s.Names, ", "), func() { s.Exprs = nil })
		}
		w.exprs(s.Exprs)
	case *ast.FuncCallStmt:
		drop("the call")
		w.expr(&s.Expr)
	case *ast.ReturnStmt:
		drop("return")
		w.exprs(s.Exprs)
	case *ast.BreakStmt:
		drop("break")
	case *ast.DoBlockStmt:
		w.block(s.Stmts)
	case *ast.IfStmt:
		w.condition(&s.Condition, true, true)
		w.block(s.Then)
		w.block(s.Else)
	case *ast.FuncDefStmt:
		w.expr(&[]ast.Expr{s.Func}[0])
	case *closeStmt:
		w.exprs(s.local.Exprs)
		w.block(s.rest)
	default:
		drop("the loop")
		w.loop(s)
	}
}

func (w *mutator) loop(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.WhileStmt:
		w.condition(&s.Condition, false, true)
		w.block(s.Stmts)
	case *ast.RepeatStmt:
		w.condition(&s.Condition, true, false)
		w.block(s.Stmts)
	case *ast.NumberForStmt:
		w.expr(&s.Init)
		w.expr(&s.Limit)
		if s.Step != nil {
			w.expr(&s.Step)
		}
		w.block(s.Stmts)
	case *ast.GenericForStmt:
		w.exprs(s.Exprs)
		w.block(s.Stmts)
	}
}

// condition notes that one may be true or false whatever it says.
func (w *mutator) condition(slot *ast.Expr, always, never bool) {
	line := (*slot).Line()
	if always {
		w.add(line, "condition -> true", func() { *slot = at(&ast.TrueExpr{}, line) })
	}
	if never {
		w.add(line, "condition -> false", func() { *slot = at(&ast.FalseExpr{}, line) })
	}
	w.expr(slot)
}

func (w *mutator) exprs(list []ast.Expr) {
	for i := range list {
		w.expr(&list[i])
	}
}

var otherRelation = map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "~=", "~=": "=="}

var otherOperator = map[string]string{"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "^": "*", "and": "or", "or": "and"}

// turn notes that an operator may be another.
func (w *mutator) turn(line int, op *string, to map[string]string) {
	was, other := *op, to[*op]
	w.add(line, was+" -> "+other, func() { *op = other })
}

// without notes that what stands around an operand may be left out.
func (w *mutator) without(slot *ast.Expr, what string, operand ast.Expr) {
	w.add((*slot).Line(), "drop "+what, func() { *slot = operand })
}

func (w *mutator) expr(slot *ast.Expr) {
	line := (*slot).Line()
	switch e := (*slot).(type) {
	case *ast.NumberExpr:
		w.number(e)
	case *ast.TrueExpr:
		w.add(line, "true -> false", func() { *slot = at(&ast.FalseExpr{}, line) })
	case *ast.FalseExpr:
		w.add(line, "false -> true", func() { *slot = at(&ast.TrueExpr{}, line) })
	case *ast.StringExpr:
		if !isProse(e.Value) {
			w.text(e)
		}
	case *ast.AttrGetExpr:
		w.attr(e)
	case *ast.TableExpr:
		w.table(e)
	case *ast.FuncCallExpr:
		w.call(e)
	case *ast.LogicalOpExpr:
		w.turn(line, &e.Operator, otherOperator)
		w.expr(&e.Lhs)
		w.expr(&e.Rhs)
	case *ast.RelationalOpExpr:
		w.turn(line, &e.Operator, otherRelation)
		w.compared(&e.Lhs)
		w.compared(&e.Rhs)
	case *ast.ArithmeticOpExpr:
		w.turn(line, &e.Operator, otherOperator)
		w.expr(&e.Lhs)
		w.expr(&e.Rhs)
	case *ast.StringConcatOpExpr:
		w.expr(&e.Lhs)
		w.expr(&e.Rhs)
	case *intOp:
		if e.rhs != nil {
			w.without(slot, "the right of an operator of integers", e.lhs)
		}
		w.expr(&e.lhs)
		if e.rhs != nil {
			w.expr(&e.rhs)
		}
	case *ast.UnaryMinusOpExpr:
		w.without(slot, "-", e.Expr)
		w.expr(&e.Expr)
	case *ast.UnaryNotOpExpr:
		w.without(slot, "not", e.Expr)
		w.expr(&e.Expr)
	case *ast.UnaryLenOpExpr:
		w.expr(&e.Expr)
	case *ast.FunctionExpr:
		outer := w.statement
		w.block(e.Stmts)
		w.statement = outer
	}
}

func (w *mutator) number(e *ast.NumberExpr) {
	v, err := strconv.ParseFloat(e.Value, 64)
	if err != nil {
		return
	}
	v++
	if v > 3 {
		v = 2*v - 1 // what is next to a large number is seldom another answer; the border is changed where something is compared with it
	}
	next := strconv.FormatFloat(v, 'f', -1, 64)
	w.add(e.Line(), e.Value+" -> "+next, func() { e.Value = next })
}

// text notes that a string may be another: one that is not empty is, and the other way round.
func (w *mutator) text(e *ast.StringExpr) {
	other := ""
	if e.Value == "" {
		other = "x"
	}
	w.add(e.Line(), fmt.Sprintf("%q -> %q", e.Value, other), func() { e.Value = other })
}

// isProse reports whether a string is meant for people, which a test need not hold fast.
func isProse(s string) bool {
	return strings.Contains(s, " ") && (s[0] < 'A' || s[0] > 'Z')
}

// compared is expr for what is compared, of which every string matters.
func (w *mutator) compared(slot *ast.Expr) {
	if s, ok := (*slot).(*ast.StringExpr); ok {
		w.text(s)
		return
	}
	w.expr(slot)
}

func (w *mutator) attr(e *ast.AttrGetExpr) {
	w.expr(&e.Object)
	key, ok := e.Key.(*ast.StringExpr)
	if !ok {
		w.expr(&e.Key)
		return
	}
	if other := w.Names[key.Value]; other != "" {
		w.add(e.Line(), key.Value+" -> "+other, func() { key.Value = other })
	}
}

// table walks a table.
func (w *mutator) table(e *ast.TableExpr) {
	list, marked := false, false
	for _, f := range e.Fields {
		list = list || f.Key == nil
		marked = marked || isWord(f.Key, w.Mark)
	}
	for _, f := range e.Fields {
		if isWord(f.Key, w.Fields...) || list && marked && !isFunction(f.Value) {
			continue
		}
		if f.Key != nil && !isText(f.Key) {
			w.expr(&f.Key)
		}
		w.expr(&f.Value)
	}
}

func (w *mutator) call(e *ast.FuncCallExpr) {
	name := e.Method
	if e.Func != nil {
		switch f := e.Func.(type) {
		case *ast.IdentExpr:
			name = f.Value
		case *ast.AttrGetExpr:
			if key, ok := f.Key.(*ast.StringExpr); ok {
				name = key.Value
			}
		}
		w.expr(&e.Func)
	} else {
		w.expr(&e.Receiver)
	}
	if !contains(w.Calls, name) {
		w.exprs(e.Args)
	}
}

func isText(e ast.Expr) bool {
	_, ok := e.(*ast.StringExpr)
	return ok
}

func isWord(e ast.Expr, words ...string) bool {
	s, ok := e.(*ast.StringExpr)
	return ok && contains(words, s.Value)
}

func hasFunction(list []ast.Expr) bool {
	for _, e := range list {
		if isFunction(e) {
			return true
		}
	}
	return false
}

// isRequire reports whether e is a call of require.
func isRequire(e ast.Expr) bool {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok {
		return false
	}
	f, ok := call.Func.(*ast.IdentExpr)
	return ok && f.Value == "require"
}
