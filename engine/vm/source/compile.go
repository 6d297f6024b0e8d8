// Compile: the stages in order, their errors in Lua's form, and the limits that gopher-lua does not check.

package source

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The upvalues that compiled code uses. A prototype's DbgUpvalues says which, in which order.
const (
	Count  = "(count)"  // a number, the steps left of the quantum: every step takes one, and below zero calls Tick
	Tick   = "(tick)"   // function(): sets Count anew, or raises when the budget is spent
	Concat = "(concat)" // function(a, b, ...): a .. b .. ..., charged by bytes
	Set    = "(set)"    // function(t, k, v): t[k] = v, charged for what an array grows by
	Made   = "(made)"   // function(t): t, a table that was just made with computed keys, charged likewise
	Varied = "(varied)" // function(...): ..., charged by their number
	Ints   = "(ints)"   // function(program, ...): what a program of integer operations gives

	Closable = "(closable)" // function(v, name): raises unless v can be closed; without name always
	Close    = "(close)"    // function(v, f, ...): f(...), after which v is closed, whether or not f raised an error
	Pack     = "(pack)"     // function(...): a table of its arguments
	Unpack   = "(unpack)"   // function(t): what was packed into t, but for the first
)

var hidden = []string{Count, Tick, Concat, Set, Made, Varied, Ints, Closable, Close, Pack, Unpack, Cover}

func init() {
	// Lua 5.1's implicit table `arg` of vararg functions: Lua 5.4 has none, and it costs a table per call. gopher-lua has
	// this only as a variable of the package.
	lua.CompatVarArg = false
}

// maxUpvalues is what fits gopher-lua's uint8; it does not look.
const maxUpvalues = 255

// Compile turns a script's text into a prototype. name is what error messages and tracebacks show, as it is. The prototype must
// be given its upvalues (lualib's Host.Bind); it may be shared by any number of states. Errors are *Error.
func Compile(src []byte, name string) (*lua.FunctionProto, error) {
	return translate(src, name, func(chunk []ast.Stmt) []ast.Stmt { return chunk })
}

// translate is Compile with the tree, as it was parsed, changed by edit.
func translate(src []byte, name string, edit func([]ast.Stmt) []ast.Stmt) (*lua.FunctionProto, error) {
	toks, bad := scan(string(src), name)
	chunk, names, err := parse(toks, bad, name)
	if err != nil {
		return nil, err
	}
	if tooDeep(chunk) {
		return nil, &Error{Name: name, Line: toks[len(toks)-1].line, Msg: tooManyLevels}
	}
	p := &pass{name: name, names: names}
	chunk = p.chunk(edit(chunk))
	if p.err != nil {
		return nil, p.err
	}
	return compile(chunk, name, toks[len(toks)-1].line, names)
}

// compile wraps the chunk in a function, so that the hidden names are upvalues of it, and gives that function.
func compile(chunk []ast.Stmt, name string, last int, names *names) (proto *lua.FunctionProto, err error) {
	defer func() {
		if r := recover(); r != nil {
			proto, err = nil, &Error{Name: name, Line: last, Msg: fmt.Sprintf("cannot compile: %v", r)}
		}
	}()
	main := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: true}, Stmts: chunk}
	main.SetLastLine(last)
	outer := []ast.Stmt{
		at(&ast.LocalAssignStmt{Names: hidden}, 1),
		at(&ast.ReturnStmt{Exprs: []ast.Expr{main}}, 1),
	}
	numbered := number(outer, names)
	p, err := lua.Compile(outer, name)
	if err != nil {
		return nil, numbered.error(err, name)
	}
	proto = p.FunctionPrototypes[0]
	numbered.restore(proto)
	return proto, checkLimits(proto)
}

func checkLimits(p *lua.FunctionProto) error {
	if len(p.DbgUpvalues) > maxUpvalues {
		return &Error{Name: p.SourceName, Line: p.LineDefined, Msg: fmt.Sprintf("too many upvalues (limit is %d) in function at line %d",
			maxUpvalues, p.LineDefined)}
	}
	for _, child := range p.FunctionPrototypes {
		if err := checkLimits(child); err != nil {
			return err
		}
	}
	return nil
}
