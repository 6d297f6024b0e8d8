// Compile: the stages in order, their errors in Lua's form, and the limits that gopher-lua does not check.

package source

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

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

var hidden = []string{Count, Tick, Concat, Set, Made, Varied, Ints, Closable, Close, Pack, Unpack}

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
	toks, bad := scan(string(src), name)
	chunk, err := parse(toks, bad, name)
	if err != nil {
		return nil, err
	}
	if tooDeep(chunk) {
		return nil, &Error{Name: name, Line: toks[len(toks)-1].line, Msg: tooManyLevels}
	}
	p := &pass{name: name}
	chunk = p.chunk(chunk)
	if p.err != nil {
		return nil, p.err
	}
	return compile(chunk, name, toks[len(toks)-1].line)
}

// compile wraps the chunk in a function, so that the hidden names are upvalues of it, and gives that function.
func compile(chunk []ast.Stmt, name string, last int) (proto *lua.FunctionProto, err error) {
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
	p, err := lua.Compile(outer, name)
	if err != nil {
		return nil, compileError(err, name)
	}
	proto = p.FunctionPrototypes[0]
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

var gotoLine = regexp.MustCompile(`for <goto> at line (\d+)$`)

func compileError(err error, name string) error {
	var ce *lua.CompileError
	if !errors.As(err, &ce) {
		return &Error{Name: name, Msg: err.Error()}
	}
	e := &Error{Name: name, Line: ce.Line, Msg: ce.Message}
	if m := gotoLine.FindStringSubmatch(ce.Message); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	if strings.Contains(ce.Message, "jumps into the scope") {
		e.Line-- // it is said of the label, one line too far
	}
	return e
}
