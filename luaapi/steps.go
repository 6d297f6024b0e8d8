// What inspectors and mutators are made of: steps, each a table whose t names what it does.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// stepFor says whether a step asks about (or makes) requests, responses or either.
type stepFor uint8

const (
	forRequest stepFor = 1 << iota
	forResponse
	forBoth = forRequest | forResponse
)

func (f stepFor) String() string { return [...]string{"", "request", "response", "both"}[f] }

// Step declares one kind of step.
type Step struct {
	Name    string
	For     stepFor
	Args    string // the fields of its table, as in a signature: "flag, val?"
	Returns string // of an inspector's
	Doc     string
	ask     func(*stepReader) asker  // an inspector's
	put     func(*stepReader) putter // a mutator's
}

// stepReader reads the table of one step. A mistake in it is raised.
type stepReader struct {
	L    *lua.LState
	t    *lua.LTable
	what string // "inspector" or "mutator"
	n    int    // which step, from 1
}

func (s *stepReader) fail(text string) { raise(s.L, fmt.Sprintf("%s step %d: %s", s.what, s.n, text)) }

// compile reads every argument of the running function as a step of one of these kinds.
func compile(L *lua.LState, what string, kinds []Step, of stepFor, add func(*Step, *stepReader)) {
	for i := 1; i <= L.GetTop(); i++ {
		s := &stepReader{L, L.CheckTable(i), what, i}
		name, _ := s.t.RawGetString("t").(lua.LString)
		k := findStep(kinds, string(name))
		switch {
		case k == nil:
			s.fail("unknown step type")
		case k.For&of == 0:
			s.fail("step incompatible with " + what + " type")
		}
		add(k, s)
	}
}

func findStep(kinds []Step, name string) *Step {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}

// text is a field as text: a string or a number. What is no text counts as empty.
func (s *stepReader) text(field string) (text string, given bool) {
	switch v := s.t.RawGetString(field).(type) {
	case *lua.LNilType:
		return "", false
	case lua.LString, lua.LNumber:
		return v.String(), true
	}
	return "", true
}

// need is text of a field that has to be there, and, unless empty is allowed, have something in it.
func (s *stepReader) need(field string, empty bool) string {
	text, given := s.text(field)
	switch {
	case !given:
		s.fail("must provide '" + field + "' argument")
	case text == "" && !empty:
		s.fail("'" + field + "' must have nonzero length")
	}
	return text
}

// flag is the field of that name.
func (s *stepReader) flag() byte {
	text, given := s.text("flag")
	switch {
	case !given:
		s.fail("must provide 'flag' argument")
	case len(text) != 1:
		s.fail("'flag' must be a single character")
	case text[0]|0x20 < 'a' || text[0]|0x20 > 'z':
		if s.what == "inspector" {
			s.what = "inspect" // the word of memcached's message
		}
		s.fail("'flag' must be alphanumeric")
	}
	return text[0]
}

// index is the field idx: which of the arguments after the object is meant, as an index of the Lua stack.
func (s *stepReader) index() int {
	switch n := s.t.RawGetString("idx").(type) {
	case *lua.LNilType:
		s.fail("must provide 'idx' argument")
	case lua.LNumber:
		switch {
		case n != lua.LNumber(int(n)):
			s.fail("must provide 'idx' argument as an integer")
		case n < 1:
			s.fail("'idx' argument must be greater than 0")
		}
		return int(n) + 2 // after the mutator and its object
	default:
		s.fail("must provide 'idx' argument as an integer")
	}
	return 0
}

// source is what a step looks at: a request or an answer, or neither if the value is none or has ended.
type source struct {
	q *mc.Request
	r *mc.Response
}

// noAnswer stands for the answer of a backend that gave none.
var noAnswer mc.Response

func toSource(v lua.LValue) (s source) {
	if ud, ok := v.(*lua.LUserData); ok {
		switch x := ud.Value.(type) {
		case *Request:
			s.q = x.r
		case *Response:
			switch {
			case x.p == nil:
			case x.p.Err != nil:
				s.r = &noAnswer
			default:
				s.r = &x.p.Resp
			}
		}
	}
	return s
}

// flag is a meta flag's token, and whether the flag is there.
func (s source) flag(f byte) (tok []byte, ok bool) {
	if s.q != nil {
		return s.q.Flag(f)
	}
	return s.r.Flag(f)
}

// meta reports whether it has flags at all.
func (s source) meta() bool {
	return s.q != nil && s.q.Cmd.IsMeta() || s.r != nil && s.r.Type == mc.TypeMeta
}
