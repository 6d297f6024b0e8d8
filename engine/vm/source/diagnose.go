// Which block or bracket is not closed: what a reader of "syntax error near <eof>" wants to know.

package source

import "fmt"

// closers says what closes each opener.
var closers = map[string]string{
	"function": "end", "do": "end", "if": "end", "while": "end", "for": "end", "repeat": "until", "(": ")", "{": "}", "[": "]",
}

// diagnose finds the first closer, up to line, that does not match, or the block that the end of the file left open.
// It returns nil if blocks and brackets are in order.
func diagnose(toks []token, line int) *Error {
	var open []token
	for i, t := range toks {
		if t.line > line {
			return nil
		}
		switch {
		case t.kind == kEOF:
			if len(open) == 0 {
				return nil
			}
			return expected(open[len(open)-1], t)
		case t.is("do") && len(open) > 0 && (open[len(open)-1].is("while") || open[len(open)-1].is("for")) && !isOpen(open):
			open[len(open)-1].kind = kName // its own do: from here on only `end` counts
		case t.kind != kString && closers[t.text] != "" && t.kind != kName:
			open = append(open, t)
		case t.is("end") || t.is("until") || t.is(")") || t.is("}") || t.is("]"):
			if len(open) == 0 {
				return &Error{Line: t.line, Msg: "<eof> expected near " + toks[i].near()}
			}
			top := open[len(open)-1]
			if closers[top.text] != t.text {
				return expected(top, t)
			}
			open = open[:len(open)-1]
		}
	}
	return nil
}

// isOpen reports that the innermost while or for has had its do.
func isOpen(open []token) bool { return open[len(open)-1].kind == kName }

func expected(open, found token) *Error {
	e := &Error{Line: found.line, Msg: fmt.Sprintf("'%s' expected near %s", closers[open.text], found.near())}
	if open.line != found.line {
		e.Msg = fmt.Sprintf("'%s' expected (to close '%s' at line %d) near %s", closers[open.text], open.text, open.line, found.near())
	}
	return e
}
