// Names: what the operands of instructions are called in the source. "attempt to index a nil value (field 'x')" wants it.
//
// gopher-lua notes a line for every instruction and a name for every call, and what it notes of local variables is wrong where blocks
// follow each other. So the nodes of the tree are numbered, and the compiler is given the numbers for lines: then it says of every
// instruction from which node it comes. The lines are put back afterwards, and what a node's operands are called is put beside the
// names of calls, where nobody looks who has no error to tell of.

package source

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// names is what variables are called in error messages.
type names struct {
	scoped map[*ast.IdentExpr]string   // "local" or "upvalue"; other variables are global
	stands map[*ast.IdentExpr]ast.Expr // a variable that the pass made holds this
}

// of is what e is called, with what it is: "local 'x'". "" if it has no name.
func (n *names) of(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		switch stands := n.stands[e]; {
		case stands != nil:
			return n.of(stands)
		case strings.HasPrefix(e.Value, "("):
			return ""
		case n.scoped[e] != "":
			return n.scoped[e] + " '" + e.Value + "'"
		}
		return "global '" + e.Value + "'"
	case *ast.AttrGetExpr:
		switch key := e.Key.(type) {
		case *ast.StringExpr:
			return quoted("field", key.Value)
		case *ast.NumberExpr:
			if v, err := strconv.Atoi(key.Value); err == nil && v >= 0 && v < 256 {
				return "field 'integer index'"
			}
		}
		return "field '?'"
	case *ast.StringExpr:
		return quoted("constant", e.Value)
	}
	return ""
}

// quoted quotes a name as C does, to its first zero byte.
func quoted(kind, name string) string {
	name, _, _ = strings.Cut(name, separator)
	return kind + " '" + name + "'"
}

// numbered are the nodes of a tree by their numbers, which stand where their lines were. 0 is no node's.
type numbered struct {
	names *names
	lines []int
	nodes []any
	seen  map[any]bool
	owner map[ast.Expr]bool // receivers of method definitions
	texts map[string]string
}

// number numbers the nodes of a tree.
func number(stmts []ast.Stmt, names *names) *numbered {
	n := &numbered{
		names: names, lines: []int{0}, nodes: []any{nil}, seen: map[any]bool{}, owner: map[ast.Expr]bool{}, texts: map[string]string{},
	}
	find{inside: true, loops: true, want: n.visit}.stmts(stmts)
	return n
}

func (n *numbered) visit(node any) bool {
	at, ok := node.(ast.PositionHolder)
	if !ok || n.seen[node] {
		return false
	}
	n.seen[node] = true
	first, last := at.Line(), at.LastLine()
	if last == 0 {
		last = first
	}
	at.SetLine(len(n.lines))
	at.SetLastLine(len(n.lines) + 1)
	n.lines = append(n.lines, first, last)
	n.nodes = append(n.nodes, node, node)
	if def, ok := node.(*ast.FuncDefStmt); ok && def.Name.Receiver != nil {
		n.owner[def.Name.Receiver] = true
	}
	return false
}

// line is the line that a number stands for.
func (n *numbered) line(number int) int { return n.lines[min(max(number, 0), len(n.lines)-1)] }

// restore gives p and the functions in it their lines back, and notes what operands are called.
func (n *numbered) restore(p *lua.FunctionProto) {
	for pc, number := range p.DbgSourcePositions {
		p.DbgSourcePositions[pc] = n.line(number)
		if text := n.operands(int(p.Code[pc]>>26), n.nodes[min(number, len(n.nodes)-1)]); strings.Trim(text, separator) != "" {
			if n.texts[text] == "" {
				n.texts[text] = text
			}
			p.DbgCalls = append(p.DbgCalls, lua.DbgCall{Pc: pc, Name: n.texts[text]})
		}
	}
	p.LineDefined, p.LastLineDefined = n.line(p.LineDefined), n.line(p.LastLineDefined)
	for _, child := range p.FunctionPrototypes {
		n.restore(child)
	}
}

// separator stands before each operand's name in a DbgCall that is not a call's name.
const separator = "\x00"

// operands lists what the operands of an instruction are called which was made of a node, as far as errors may tell of them.
func (n *numbered) operands(opcode int, node any) string {
	name := func(e ast.Expr) string { return separator + n.names.of(e) }
	switch e := node.(type) {
	case *ast.AttrGetExpr:
		switch opcode {
		case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
			if n.owner[e] {
				return name(e)
			}
			return name(e.Object)
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			return name(e.Object)
		}
	case *ast.IdentExpr:
		if (opcode == lua.OP_SETTABLE || opcode == lua.OP_SETTABLEKS) && n.owner[e] {
			return name(e)
		}
	case *ast.FuncCallExpr:
		switch opcode {
		case lua.OP_SELF:
			return name(e.Receiver)
		case lua.OP_CALL, lua.OP_TAILCALL:
			return n.callee(e)
		}
	case *ast.ArithmeticOpExpr:
		return name(e.Lhs) + name(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		return name(e.Expr)
	case *ast.UnaryLenOpExpr:
		return name(e.Expr)
	case *ast.GenericForStmt:
		if opcode == lua.OP_TFORLOOP {
			return separator + iterator
		}
	}
	return ""
}

const iterator = "for iterator 'for iterator'"

// callee names what is called; of a helper, which is always there, its arguments instead.
func (n *numbered) callee(e *ast.FuncCallExpr) string {
	if e.Func == nil {
		return separator + "method '" + e.Method + "'"
	}
	id, ok := e.Func.(*ast.IdentExpr)
	switch {
	case !ok || !strings.HasPrefix(id.Value, "("):
		return separator + n.names.of(e.Func)
	case id.Value == generator:
		return separator + iterator
	}
	var list strings.Builder
	for i, a := range e.Args {
		list.WriteString(separator)
		if i > 0 || id.Value != Ints { // it is the program
			list.WriteString(n.names.of(a))
		}
	}
	return list.String()
}

// Operands gives what the operands of the instruction at pc are called, "" for those that have no name. Of a call it is what is called; of
// a call to a helper its arguments.
func Operands(p *lua.FunctionProto, pc int) []string {
	for _, c := range p.DbgCalls {
		if c.Pc == pc && !IsCallName(c.Name) {
			return strings.Split(c.Name[len(separator):], separator)
		}
	}
	return nil
}

// IsCallName reports whether the name of a DbgCall is one: others tell of operands.
func IsCallName(name string) bool { return !strings.HasPrefix(name, separator) }

var gotoLine = regexp.MustCompile(`<goto.*> at line (\d+)`)

// error is an error of gopher-lua's compiler, with the lines of the source.
func (n *numbered) error(err error, name string) error {
	var ce *lua.CompileError
	if !errors.As(err, &ce) {
		return &Error{Name: name, Msg: err.Error()}
	}
	number, msg := ce.Line, ce.Message
	if m := gotoLine.FindStringSubmatchIndex(msg); m != nil {
		jump, _ := strconv.Atoi(msg[m[2]:m[3]])
		msg = msg[:m[2]] + strconv.Itoa(n.line(jump)) + msg[m[3]:]
		number = jump
	}
	if strings.Contains(msg, "jumps into the scope") {
		number = ce.Line - 1 // it is said of the label, one line too far
	}
	return &Error{Name: name, Line: n.line(number), Msg: msg}
}
