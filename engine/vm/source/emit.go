// Text for gopher-lua's parser: the same program, without what that parser cannot read.

package source

import "strings"

// emitter writes tokens, each on its own line number. What it changes on the way:
//   - comments are gone, numbers and strings are in plain form;
//   - <const> and <close> after a local's name are gone;
//   - break may stand in the middle of a block: it becomes do break end;
//   - a call's parenthesis may start a line: it is moved up to the end of the line before (gopher-lua calls it ambiguous);
//   - `local f = function` becomes `local f = false or function`, so that repair can tell it from `local function f`.
type emitter struct {
	name string
	toks []token
	i    int
	out  strings.Builder
	line int
}

func emit(toks []token, name string) (string, error) {
	e := &emitter{name: name, toks: toks, line: 1}
	depth := 0
	for ; e.toks[e.i].kind != kEOF; e.i++ {
		t := e.toks[e.i]
		switch {
		case t.is("(") || t.is("{") || t.is("[") || t.is("do") || t.is("function") || t.is("then") || t.is("repeat"):
			if depth++; depth > maxNesting {
				return "", e.fail(t, "chunk has too many syntax levels")
			}
		case t.is(")") || t.is("}") || t.is("]") || t.is("end") || t.is("until") || t.is("elseif"):
			depth--
		}
		switch {
		case t.is("break") && !endsBlock(e.toks[e.i+1]):
			e.put(t, "do break end")
		case t.is("local"):
			e.put(t, t.text)
			if err := e.local(); err != nil {
				return "", err
			}
		default:
			e.put(t, text(t))
		}
	}
	return e.out.String(), nil
}

func text(t token) string {
	if t.kind == kString {
		return quote(t.text)
	}
	return t.text
}

func endsBlock(t token) bool {
	return t.kind == kEOF || t.is("end") || t.is("else") || t.is("elseif") || t.is("until")
}

// put writes one token at its line.
func (e *emitter) put(t token, text string) {
	call := t.is("(") && e.i > 0 && e.toks[e.i-1].is(")")
	if !call {
		e.newlines(t.line)
	}
	e.out.WriteByte(' ')
	e.out.WriteString(text)
	if call {
		e.newlines(t.line)
	}
}

func (e *emitter) newlines(line int) {
	for ; e.line < line; e.line++ {
		e.out.WriteByte('\n')
	}
}

func (e *emitter) fail(t token, msg string) error {
	return &Error{Name: e.name, Line: t.line, Msg: msg}
}

// local writes the names after `local`, without their attributes.
func (e *emitter) local() error {
	names := 0
	for e.at(1).kind == kName {
		e.i++
		e.put(e.toks[e.i], e.toks[e.i].text)
		names++
		if e.at(1).is("<") {
			if err := e.attribute(); err != nil {
				return err
			}
		}
		if !e.at(1).is(",") {
			break
		}
		e.i++
		e.put(e.toks[e.i], ",")
	}
	if names == 1 && e.at(1).is("=") && e.at(2).is("function") {
		e.i++
		e.put(e.toks[e.i], "= false or")
	}
	return nil
}

func (e *emitter) at(ahead int) token {
	return e.toks[min(e.i+ahead, len(e.toks)-1)]
}

// attribute passes `<const>` or `<close>`. A variable that is closed needs __close, which is not there; answers of mcp functions,
// for which scripts use it, need no closing.
func (e *emitter) attribute() error {
	attr := e.at(2)
	if attr.kind != kName || !e.at(3).is(">") {
		return nil // the parser reports it
	}
	switch attr.text {
	case "const":
	case "close":
		if n := e.at(5); e.at(4).is("=") && !(n.kind == kName && n.text == "mcp") {
			return e.fail(attr, "<close> is supported for what mcp functions return, not for other values")
		}
	default:
		return e.fail(attr, "unknown attribute '"+attr.text+"'")
	}
	e.i += 3
	return nil
}
