// The parser: statements. It makes gopher-lua's syntax tree of Lua 5.4's grammar, with Lua's own errors.

package source

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// parser reads tokens. Its methods are named for what they read, and leave t at the first token behind it. Errors are thrown
// as *Error and caught in parse.
type parser struct {
	name  string
	toks  []token
	bad   *Error // what is wrong with the text behind the last token
	i     int
	t     token // toks[i]
	prev  token
	fn    *scope
	names *names
	nest  int // brackets and blocks that are open
	depth int // expressions that are under way
}

// parse makes the syntax tree of a chunk, and says what its variables are.
func parse(toks []token, bad *Error, name string) (chunk []ast.Stmt, vars *names, err error) {
	p := &parser{name: name, toks: toks, bad: bad, i: -1, fn: &scope{vararg: true}}
	p.names = &names{scoped: map[*ast.IdentExpr]string{}, stands: map[*ast.IdentExpr]ast.Expr{}}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			chunk, vars, err = nil, nil, e
		}
	}()
	p.next()
	chunk = p.block()
	if p.t.kind != kEOF {
		p.expected("<eof>")
	}
	p.checkBreaks()
	return chunk, p.names, nil
}

func (p *parser) next() {
	p.prev = p.t
	p.i++
	if p.toks[p.i].kind == kEOF && p.bad != nil {
		panic(p.bad)
	}
	p.t = p.toks[p.i]
}

// peek is the token after t.
func (p *parser) peek() token { return p.toks[min(p.i+1, len(p.toks)-1)] }

func (p *parser) fail(line int, format string, args ...any) {
	panic(&Error{Name: p.name, Line: line, Msg: fmt.Sprintf(format, args...)})
}

func (p *parser) expected(what string) { p.fail(p.t.last, "%s expected near %s", what, p.t.near()) }

// accept passes the given token if it is there.
func (p *parser) accept(text string) bool {
	if !p.t.is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(text string) {
	if !p.accept(text) {
		p.expected("'" + text + "'")
	}
}

func (p *parser) ident() token {
	t := p.t
	if t.kind != kName {
		p.expected("<name>")
	}
	p.next()
	return t
}

// closes passes what closes open, a block's or bracket's first word, and gives its line.
func (p *parser) closes(text string, open token) int {
	line := p.t.line
	if !p.t.is(text) {
		if open.line == p.t.last {
			p.expected("'" + text + "'")
		}
		p.fail(p.t.last, "'%s' expected (to close '%s' at line %d) near %s", text, open.text, open.line, p.t.near())
	}
	p.nest--
	p.next()
	return line
}

// shut is closes where Lua's error does not say what was opened.
func (p *parser) shut(text string) {
	p.want(text)
	p.nest--
}

// open passes the first word of a block or bracket.
func (p *parser) open() token {
	t := p.t
	p.nest++
	if p.nest > maxNesting {
		p.fail(t.line, "%s", tooManyLevels)
	}
	p.next()
	return t
}

const tooManyLevels = "chunk has too many syntax levels"

func (p *parser) blockEnds() bool {
	t := p.t
	return t.kind == kEOF || t.is("end") || t.is("else") || t.is("elseif") || t.is("until")
}

// block reads statements to the end of the block; the names that they declare are gone after it.
func (p *parser) block() []ast.Stmt {
	mark := p.fn.mark()
	stmts := p.stmts()
	p.fn.release(mark)
	return stmts
}

// stmts is block without the end of the names: the condition of `until` sees them.
func (p *parser) stmts() []ast.Stmt {
	stmts := []ast.Stmt{}
	for !p.blockEnds() {
		if p.t.is("return") {
			return append(stmts, p.ret())
		}
		s := p.stmt()
		if s != nil {
			stmts = append(stmts, s)
		}
		if c, ok := s.(*closeStmt); ok {
			rest := p.stmts()
			n := withoutLabels(rest)
			c.rest = rest[:n:n]
			c.SetLastLine(p.t.line)
			return append(stmts, rest[n:]...)
		}
	}
	return stmts
}

// stmt reads one statement; nil is the empty one.
func (p *parser) stmt() ast.Stmt {
	first := p.t
	if first.kind == kKeyword {
		switch first.text {
		case "if":
			return p.ifStmt()
		case "while":
			p.open()
			s := &ast.WhileStmt{Condition: p.expr()}
			p.want("do")
			s.Stmts = p.loopBody()
			return spans(s, first.line, p.closes("end", first))
		case "do":
			p.open()
			s := &ast.DoBlockStmt{Stmts: p.block()}
			return spans(s, first.line, p.closes("end", first))
		case "for":
			return p.forStmt()
		case "repeat":
			return p.repeat()
		case "function":
			return p.funcStmt()
		case "local":
			return p.local()
		case "goto":
			p.next()
			return p.jump(first, p.ident().text)
		case "break":
			p.next()
			if p.fn.loops == 0 && p.fn.badBreak == 0 {
				p.fn.badBreak = first.line
			}
			return at(&ast.BreakStmt{}, first.line)
		}
	}
	switch {
	case p.accept(";"):
		return nil
	case p.accept("::"):
		name := p.ident().text
		p.want("::")
		return p.label(first, name)
	}
	return p.exprStmt()
}

func spans[N ast.PositionHolder](n N, first, last int) N {
	n.SetLine(first)
	n.SetLastLine(last)
	return n
}

func (p *parser) loopBody() []ast.Stmt {
	p.fn.loops++
	stmts := p.block()
	p.fn.loops--
	return stmts
}

func (p *parser) ret() ast.Stmt {
	s := at(&ast.ReturnStmt{}, p.t.line)
	p.next()
	if !p.blockEnds() && !p.t.is(";") {
		s.Exprs = p.exprs()
	}
	p.accept(";")
	return s // a statement that follows is an error of whoever reads the block's end
}

func (p *parser) ifStmt() ast.Stmt {
	first := p.open()
	outer := at(&ast.IfStmt{}, first.line)
	for cur := outer; ; {
		cur.Condition = p.expr()
		p.want("then")
		cur.Then = p.block()
		line := p.t.line
		if p.accept("elseif") {
			inner := at(&ast.IfStmt{}, line)
			cur.Else = []ast.Stmt{inner}
			cur = inner
			continue
		}
		if p.accept("else") {
			cur.Else = p.block()
		}
		return spans(outer, first.line, p.closes("end", first))
	}
}

func (p *parser) forStmt() ast.Stmt {
	first := p.open()
	names := []string{p.named(p.ident())}
	if p.t.is("=") {
		return p.numberFor(first, names[0])
	}
	if !p.t.is(",") && !p.t.is("in") {
		p.expected("'=' or 'in'")
	}
	for p.accept(",") {
		names = append(names, p.named(p.ident()))
	}
	p.want("in")
	s := &ast.GenericForStmt{Names: names, Exprs: p.exprs()}
	p.want("do")
	mark := p.fn.mark()
	p.fn.declare(names...)
	s.Stmts = p.loopBody()
	p.fn.release(mark)
	return spans(s, first.line, p.closes("end", first))
}

func (p *parser) numberFor(first token, name string) ast.Stmt {
	p.next()
	s := &ast.NumberForStmt{Name: name, Init: p.expr()}
	p.want(",")
	s.Limit = p.expr()
	if p.accept(",") {
		s.Step = p.expr()
	}
	p.want("do")
	mark := p.fn.mark()
	p.fn.declare(name)
	s.Stmts = p.loopBody()
	p.fn.release(mark)
	return spans(s, first.line, p.closes("end", first))
}

func (p *parser) repeat() ast.Stmt {
	first := p.open()
	s := &ast.RepeatStmt{}
	mark := p.fn.mark()
	p.fn.loops++
	s.Stmts = p.stmts()
	p.fn.loops--
	last := p.closes("until", first)
	s.Condition = p.expr()
	p.fn.release(mark)
	return closeInRepeat(spans(s, first.line, last))
}

// funcStmt reads `function a.b:c() end`.
func (p *parser) funcStmt() ast.Stmt {
	first := p.open()
	id := p.ident()
	name := &ast.FuncName{Func: p.variable(id)}
	for p.t.is(".") {
		p.next()
		key := p.ident()
		name.Func = at(&ast.AttrGetExpr{Object: name.Func, Key: at(&ast.StringExpr{Value: key.text}, key.line)}, key.line)
	}
	method := p.accept(":")
	if method {
		name = &ast.FuncName{Receiver: name.Func, Method: p.ident().text}
	} else if v, ok := name.Func.(*ast.IdentExpr); ok {
		p.assignable(v)
	}
	fn := p.function(first, method)
	return spans(&ast.FuncDefStmt{Name: name, Func: fn}, first.line, fn.LastLine())
}

// function reads a function from its parameters on; open has passed the word first. A method's self is declared by gopher-lua.
func (p *parser) function(first token, method bool) *ast.FunctionExpr {
	p.fn = &scope{outer: p.fn}
	if method {
		p.fn.declare("self")
	}
	p.want("(")
	pars := &ast.ParList{Names: []string{}}
	for !p.t.is(")") {
		if p.accept("...") {
			pars.HasVargs = true
			break
		}
		if p.t.kind != kName {
			p.expected("<name> or '...'")
		}
		pars.Names = append(pars.Names, p.named(p.ident()))
		if !p.accept(",") {
			break
		}
		if p.t.is(")") {
			p.expected("<name> or '...'")
		}
	}
	p.want(")")
	p.fn.declare(pars.Names...)
	p.fn.vararg = pars.HasVargs
	fn := spans(&ast.FunctionExpr{ParList: pars, Stmts: p.block()}, first.line, p.closes("end", first))
	p.checkBreaks()
	p.fn = p.fn.outer
	return fn
}

// exprStmt reads a call or an assignment.
func (p *parser) exprStmt() ast.Stmt {
	line := p.t.line
	e, variable := p.suffixed()
	if !p.t.is("=") && !p.t.is(",") {
		if c, ok := e.(*ast.FuncCallExpr); ok && !c.AdjustRet {
			return at(&ast.FuncCallStmt{Expr: e}, line)
		}
		p.fail(p.t.last, "syntax error near %s", p.t.near())
	}
	s := at(&ast.AssignStmt{}, line)
	for {
		if !variable {
			p.fail(p.t.last, "syntax error near %s", p.t.near())
		}
		if v, ok := e.(*ast.IdentExpr); ok {
			p.assignable(v)
		}
		s.Lhs = append(s.Lhs, e)
		if !p.accept(",") {
			break
		}
		e, variable = p.suffixed()
	}
	p.want("=")
	s.Rhs = p.exprs()
	return s
}
