// Names: local variables with their attributes, labels.

package source

import (
	"slices"

	"github.com/yuin/gopher-lua/ast"
)

// scope is what the parser knows of the function it is in.
type scope struct {
	outer    *scope
	vararg   bool
	loops    int // loops that are open
	badBreak int // the line of a break outside of loops, 0: there is none
	vars     []variable
	labels   []labelAt // of the blocks that are open
}

type variable struct {
	name     string
	constant bool
}

type labelAt struct {
	name string
	line int
}

// mark is how many names and labels a scope has.
type mark struct{ vars, labels int }

func (s *scope) mark() mark { return mark{len(s.vars), len(s.labels)} }

func (s *scope) release(m mark) { s.vars, s.labels = s.vars[:m.vars], s.labels[:m.labels] }

func (s *scope) declare(names ...string) {
	for _, name := range names {
		s.vars = append(s.vars, variable{name: name})
	}
}

// lookup finds the local variable that name means, in this function or those around it.
func (s *scope) lookup(name string) (variable, bool) {
	for ; s != nil; s = s.outer {
		for i := len(s.vars) - 1; i >= 0; i-- {
			if s.vars[i].name == name {
				return s.vars[i], true
			}
		}
	}
	return variable{}, false
}

// variable makes t a variable, and notes whether it is a local one.
func (p *parser) variable(t token) ast.Expr {
	id := at(&ast.IdentExpr{Value: p.named(t)}, t.line)
	here := func(v variable) bool { return v.name == id.Value }
	if slices.ContainsFunc(p.fn.vars, here) {
		p.names.scoped[id] = "local"
	} else if _, ok := p.fn.outer.lookup(id.Value); ok {
		p.names.scoped[id] = "upvalue"
	}
	return id
}

// named refuses the one name that means something else in Lua 5.4: where globals are.
func (p *parser) named(t token) string {
	if t.text == "_ENV" {
		p.fail(t.line, "'_ENV' is not supported: use _G, or load with an environment")
	}
	return t.text
}

// checkBreaks refuses a break outside of loops where Lua does: at the function's end.
func (p *parser) checkBreaks() {
	if line := p.fn.badBreak; line > 0 {
		p.fail(line, "break outside loop at line %d", line)
	}
}

// assignable refuses an assignment to a constant.
func (p *parser) assignable(id *ast.IdentExpr) {
	if v, _ := p.fn.lookup(id.Value); v.constant {
		p.fail(p.t.line, "attempt to assign to const variable '%s'", id.Value)
	}
}

func (p *parser) label(t token, name string) ast.Stmt {
	for _, l := range p.fn.labels {
		if l.name == name {
			p.fail(t.line, "label '%s' already defined on line %d", name, l.line)
		}
	}
	p.fn.labels = append(p.fn.labels, labelAt{name, t.line})
	return at(&ast.LabelStmt{Name: name}, t.line)
}

func (p *parser) jump(t token, name string) ast.Stmt { return at(&ast.GotoStmt{Label: name}, t.line) }

// local reads `local function f` or `local a <const>, b = ...`.
func (p *parser) local() ast.Stmt {
	first := p.t
	p.next()
	if p.t.is("function") {
		kw := p.open()
		name := p.named(p.ident())
		p.fn.declare(name)
		fn := p.function(kw, false)
		return spans(&ast.LocalAssignStmt{Names: []string{name}, Exprs: []ast.Expr{fn}}, first.line, fn.LastLine())
	}
	var vars []variable
	s := at(&ast.LocalAssignStmt{Exprs: []ast.Expr{}}, first.line)
	closed := -1
	for more := true; more; more = p.accept(",") {
		v := variable{name: p.named(p.ident())}
		if attr := p.attribute(); attr != "" {
			v.constant = true
			if attr == "close" {
				if closed >= 0 {
					p.fail(p.t.line, "multiple to-be-closed variables in local list")
				}
				closed = len(vars)
			}
		}
		vars = append(vars, v)
		s.Names = append(s.Names, v.name)
	}
	if p.accept("=") {
		s.Exprs = p.exprs()
	}
	p.fn.vars = append(p.fn.vars, vars...)
	if closed >= 0 && !p.needsNoClose(s, closed) {
		return at(&closeStmt{local: s, name: s.Names[closed], vararg: p.fn.vararg}, first.line)
	}
	notRecursive(s)
	return s
}

// attribute reads `<const>` or `<close>`, or nothing.
func (p *parser) attribute() string {
	if !p.accept("<") {
		return ""
	}
	attr := p.ident()
	p.want(">")
	if attr.text != "const" && attr.text != "close" {
		p.fail(attr.line, "unknown attribute '%s'", attr.text)
	}
	return attr.text
}

// needsNoClose reports that the variable at i is given what a function of mcp returns: the garbage collector is enough for
// that, and scripts on memcached's proxy write it in routes, where it should cost nothing.
func (p *parser) needsNoClose(s *ast.LocalAssignStmt, i int) bool {
	if i != len(s.Exprs)-1 {
		return false
	}
	c, ok := s.Exprs[i].(*ast.FuncCallExpr)
	if !ok || c.Func == nil {
		return false
	}
	field, ok := c.Func.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	id, ok := field.Object.(*ast.IdentExpr)
	if !ok || id.Value != "mcp" {
		return false
	}
	_, shadowed := p.fn.lookup("mcp")
	return !shadowed
}
