// Tokens of Lua 5.4, with Lua's own lexical errors.

package source

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	kEOF     kind = iota
	kName         // an identifier
	kKeyword      // a reserved word
	kNumber       // text is the numeral
	kString       // text is the string's bytes
	kOp           // punctuation
)

// token is one token. line is where it starts, counted from 1, last where it ends.
type token struct {
	kind kind
	line int
	last int
	text string

	raw     string  // of kString: as it is written
	number  float64 // of kNumber
	integer int64   // of kNumber, if long
	long    bool    // an integer that number does not hold
}

func (t token) is(text string) bool { return t.text == text && (t.kind == kOp || t.kind == kKeyword) }

// near is the token as Lua shows it in "near 'x'".
func (t token) near() string {
	switch t.kind {
	case kEOF:
		return "<eof>"
	case kString:
		return "'" + t.raw + "'"
	case kOp:
		if len(t.text) == 1 {
			return "'" + printable(t.text[0]) + "'"
		}
	}
	return "'" + t.text + "'"
}

// maxNesting bounds brackets and blocks inside each other, as Lua does; parser and compiler recurse over them.
const maxNesting = 190

// Error is a mistake in a script's text. Its message is Lua's: file:line: what near 'token'.
type Error struct {
	Name string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Msg) }

var keywords = map[string]bool{
	"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true,
	"function": true, "goto": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true,
	"repeat": true, "return": true, "then": true, "true": true, "until": true, "while": true,
}

// ops are the operators of more than one byte, longest first.
var ops = []string{"...", "..", "==", "~=", "<=", ">=", "::", "//", "<<", ">>"}

type scanner struct {
	name string
	src  string
	pos  int
	line int
}

// scan cuts src into tokens; the last is kEOF. With an error, that is where the text that cannot be read begins.
func scan(src, name string) ([]token, *Error) {
	src = strings.TrimPrefix(src, "\uFEFF") // some editors begin a file with it, and Lua skips it
	s := &scanner{name: name, src: src, line: 1}
	if strings.HasPrefix(src, "#") { // a shebang, or anything else a shell would read
		if s.pos = strings.IndexByte(src, '\n'); s.pos < 0 { // no other line end counts here
			s.pos = len(src)
		}
	}
	toks := make([]token, 0, len(src)/4+1)
	for {
		t, err := s.next()
		if err != nil {
			return append(toks, token{line: err.Line, last: err.Line}), err
		}
		t.last = s.line
		toks = append(toks, t)
		if t.kind == kEOF {
			return toks, nil
		}
	}
}

func (s *scanner) fail(line int, format string, args ...any) *Error {
	return &Error{Name: s.name, Line: line, Msg: fmt.Sprintf(format, args...)}
}

func (s *scanner) peek(ahead int) byte {
	if s.pos+ahead < len(s.src) {
		return s.src[s.pos+ahead]
	}
	return 0
}

func (s *scanner) next() (token, *Error) {
	if err := s.skipBlank(); err != nil {
		return token{}, err
	}
	t := token{line: s.line}
	if s.pos == len(s.src) {
		return t, nil
	}
	c := s.src[s.pos]
	switch {
	case isLetter(c):
		start := s.pos
		for s.pos < len(s.src) && (isLetter(s.src[s.pos]) || isDigit(s.src[s.pos])) {
			s.pos++
		}
		t.kind, t.text = kName, s.src[start:s.pos]
		if keywords[t.text] {
			t.kind = kKeyword
		}
		return t, nil
	case isDigit(c) || c == '.' && isDigit(s.peek(1)):
		return s.number(t)
	case c == '"' || c == '\'':
		return s.quoted(t, c)
	case c == '[' && (s.peek(1) == '[' || s.peek(1) == '='):
		if level := s.longLevel(); level >= 0 {
			start := s.pos
			text, err := s.long(level, "string")
			t.kind, t.text, t.raw = kString, text, s.src[start:s.pos]
			return t, err
		}
		if s.peek(1) == '=' {
			rest := strings.TrimLeft(s.src[s.pos+1:], "=")
			return t, s.fail(s.line, "invalid long string delimiter near '%s'", s.src[s.pos:len(s.src)-len(rest)])
		}
	}
	return s.operator(t)
}

func (s *scanner) operator(t token) (token, *Error) {
	t.kind = kOp
	rest := s.src[s.pos:]
	for _, op := range ops {
		if strings.HasPrefix(rest, op) {
			t.text = op
			break
		}
	}
	if t.text == "" {
		t.text = s.src[s.pos : s.pos+1] // of no meaning, perhaps: then the parser says so
	}
	s.pos += len(t.text)
	return t, nil
}

// skipBlank passes white space and comments.
func (s *scanner) skipBlank() *Error {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '\n' || c == '\r':
			s.newline()
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			s.pos++
		case c == '-' && s.peek(1) == '-':
			s.pos += 2
			if level := s.longLevel(); level >= 0 {
				if _, err := s.long(level, "comment"); err != nil {
					return err
				}
			} else {
				s.skipLine()
			}
		default:
			return nil
		}
	}
	return nil
}

func (s *scanner) skipLine() {
	for s.pos < len(s.src) && s.src[s.pos] != '\n' && s.src[s.pos] != '\r' {
		s.pos++
	}
}

// newline passes one line end, of one byte or two.
func (s *scanner) newline() {
	c := s.src[s.pos]
	s.pos++
	if d := s.peek(0); (d == '\n' || d == '\r') && d != c {
		s.pos++
	}
	s.line++
}

// longLevel is the number of = in the long bracket that starts here, -1 if none does.
func (s *scanner) longLevel() int {
	if s.peek(0) != '[' {
		return -1
	}
	n := 1
	for s.peek(n) == '=' {
		n++
	}
	if s.peek(n) != '[' {
		return -1
	}
	return n - 1
}

// long reads a long string or comment from its opening bracket to its closing one.
func (s *scanner) long(level int, what string) (string, *Error) {
	start := s.line
	s.pos += level + 2
	if c := s.peek(0); s.pos < len(s.src) && (c == '\n' || c == '\r') {
		s.newline()
	}
	end := "]" + strings.Repeat("=", level) + "]"
	var b strings.Builder
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == ']' && strings.HasPrefix(s.src[s.pos:], end):
			s.pos += len(end)
			return b.String(), nil
		case c == '\n' || c == '\r':
			s.newline()
			b.WriteByte('\n')
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
	return "", s.fail(s.line, "unfinished long %s (starting at line %d) near <eof>", what, start)
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func printable(c byte) string {
	if c < ' ' || c > '~' {
		return fmt.Sprintf("<\\%d>", c)
	}
	return string(rune(c))
}
