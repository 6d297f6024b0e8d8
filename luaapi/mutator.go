// Mutators: a request or a response put together from steps, in one call, into an object that its slot has for it.

package luaapi

import (
	"bytes"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// mutator is an object that is called with what it is to fill and with what its steps copy from. It is immutable.
type mutator struct {
	of    stepFor
	steps []putter
	args  []lua.LValue // that it was made with
}

// putter appends one step's part to the line of m. It gives false if what it copies from is of no use, and may append nothing.
type putter func(L *lua.LState, m *mutation) bool

// mutation is what is being put together: each state has one, which is blank between calls.
type mutation struct {
	line  []byte
	long  bool   // it would be longer than maxMutated
	has   bool   // there is a value:
	value []byte // as bytes of a request or an answer
	text  string // or as a string of the script's. With CRLF
}

// maxMutated bounds a line that is being put together, and so what a state keeps for that. No longer answer can be parsed.
const maxMutated = 4 << 10

func (m *mutation) add(text string) bool {
	if len(m.line)+len(text) > maxMutated {
		m.long = true
		return true
	}
	m.line = append(m.line, text...)
	return true
}

var mutatorFuncs = []Func{
	{"req_mutator_new", StageRoutes, "step, ...", "mutator", "An object that is called with one of rctx:request_new and arguments, and makes it a request by its steps. Returns false, and leaves it blank, if an argument is of no use.", newMutator(forRequest)},
	{"res_mutator_new", StageRoutes, "step, ...", "mutator", "An object that is called with one of rctx:response_new and arguments, and makes it a response by its steps. Returns false, and leaves it blank, if an argument is of no use.", newMutator(forResponse)},
}

var mutatorSteps = []Step{
	{Name: "cmdset", For: forRequest, Args: "cmd", Doc: "The command, 20 bytes at most.", put: putCmdSet},
	{Name: "cmdcopy", For: forRequest, Args: "idx", Doc: "The command of a request, or a string.", put: copyFrom(commandOf)},
	{Name: "keyset", For: forRequest, Args: "val", Doc: "The key.", put: putText("val", false)},
	{Name: "keycopy", For: forRequest, Args: "idx", Doc: "The key of a request, or a string.", put: copyFrom(keyOf)},
	{Name: "rescodeset", For: forResponse, Args: "val", Doc: "The code.", put: putText("val", true)},
	{Name: "rescodecopy", For: forResponse, Args: "idx", Doc: "The code of a meta response, or a string.", put: copyFrom(codeOf)},
	{Name: "resnull", For: forResponse, Args: "idx", Doc: "The answer that nothing happened to a request: EN, NS, NF, END, NOT_STORED or NOT_FOUND.", put: putNull},
	{Name: "reserr", For: forResponse, Args: "code, msg?", Doc: "An error line; code is \"error\", \"server\" or \"client\".", put: putError},
	{Name: "flagset", For: forBoth, Args: "flag, val?", Doc: "A meta flag, with a token.", put: putFlagSet},
	{Name: "flagcopy", For: forBoth, Args: "flag, idx", Doc: "The flag as it is in a meta request or response; with a string as its token; bare for true; not at all for false and nil.", put: putFlagCopy},
	{Name: "flagcopyall", For: forBoth, Args: "idx", Doc: "All flags of a meta response, or a string.", put: copyFrom(flagsOf)},
	{Name: "valcopy", For: forBoth, Args: "idx", Doc: "The value of a request or response, or a string that ends in \\r\\n. Its length is put here.", put: putValue},
}

func newMutator(of stepFor) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		mut := &mutator{of: of, args: arguments(L)}
		compile(L, "mutator", mutatorSteps, of, func(k *Step, s *stepReader) { mut.steps = append(mut.steps, k.put(s)) })
		if len(mut.steps) == 0 {
			return raise(L, "mutator failed to initialize, no steps given")
		}
		a.charge(L, len(mut.steps), 0, 1)
		ud := L.NewUserData()
		ud.Value, ud.Metatable = mut, a.mutatorMT
		L.Push(ud)
		return 1
	}
}

// mutate is the call of a mutator.
func mutate(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	mut, _ := ud.Value.(*mutator)
	ud, _ = L.Get(2).(*lua.LUserData)
	var q *Request
	var r *Response
	if ud != nil {
		switch x := ud.Value.(type) {
		case *Request:
			q = x
		case *Response:
			r = x
		}
	}
	if mut.of == forRequest && q == nil || mut.of == forResponse && r == nil {
		L.RaiseError("bad argument #2 to '?' (invalid argument to mutator object)")
	}
	m := &a.mutation
	*m = mutation{line: m.line[:0]}
	if !mut.assemble(L, m) {
		return boolean(L, false)
	}
	a.charge(L, len(mut.steps), len(m.line)+len(m.value)+len(m.text), bytesPerStep)
	err := ""
	if q != nil {
		err = q.render(m)
	} else {
		err = r.render(m)
	}
	m.value, m.text = nil, ""
	if err != "" {
		return raise(L, err)
	}
	return 0
}

// assemble makes the line.
func (mut *mutator) assemble(L *lua.LState, m *mutation) bool {
	for _, put := range mut.steps {
		at := len(m.line)
		if at > 0 {
			m.line = append(m.line, ' ')
		}
		before := len(m.line)
		if !put(L, m) {
			return false
		}
		if len(m.line) == before {
			m.line = m.line[:at]
		}
	}
	m.line = append(m.line, "\r\n"...)
	return true
}

// putText makes a step that puts what its table says.
func putText(field string, empty bool) func(*stepReader) putter {
	return func(s *stepReader) putter {
		text := s.need(field, empty)
		return func(_ *lua.LState, m *mutation) bool { return m.add(text) }
	}
}

func putCmdSet(s *stepReader) putter {
	if text, _ := s.text("cmd"); len(text) > 20 {
		s.fail("'cmd' too long")
	}
	return putText("cmd", true)(s)
}

// copyFrom makes a step that puts a string as it is, or what part finds in a request or response.
func copyFrom(part func(source) (tok []byte, ok bool)) func(*stepReader) putter {
	return func(s *stepReader) putter {
		i := s.index()
		return func(L *lua.LState, m *mutation) bool {
			if text, ok := L.Get(i).(lua.LString); ok {
				return m.add(string(text))
			}
			tok, ok := part(toSource(L.Get(i)))
			m.line = append(m.line, tok...)
			return ok
		}
	}
}

func commandOf(s source) ([]byte, bool) {
	if s.q == nil {
		return nil, false
	}
	return s.q.Token(0), true
}

func keyOf(s source) ([]byte, bool) {
	if s.q == nil {
		return nil, false
	}
	return s.q.Key, true
}

func codeOf(s source) ([]byte, bool) {
	if s.r == nil || !s.meta() {
		return nil, false
	}
	return s.r.Raw[:2], true
}

// flagsOf: a response without flags is of use, other than in memcached's proxy.
func flagsOf(s source) ([]byte, bool) {
	if s.r == nil || !s.meta() {
		return nil, false
	}
	return s.r.Line(), true
}

func putNull(s *stepReader) putter {
	i := s.index()
	return func(L *lua.LState, m *mutation) bool {
		q := toSource(L.Get(i)).q
		if q == nil || q.Cmd == mc.CmdMN || q.Cmd == mc.CmdME {
			return false
		}
		null := mc.NullAnswer(q.Cmd)
		return null != "" && m.add(null[:len(null)-2])
	}
}

func putError(s *stepReader) putter {
	text, given := s.text("code")
	if !given {
		s.fail("must provide 'code' argument")
	}
	switch text {
	case "error":
		text = "ERROR"
	case "server":
		text = "SERVER_ERROR"
	case "client":
		text = "CLIENT_ERROR"
	default:
		s.fail("code must be 'error', 'server', or 'client'")
	}
	if msg, given := s.text("msg"); given {
		if msg == "" {
			s.fail("'msg' must be a nonzero length string")
		}
		text += " " + msg
	}
	return func(_ *lua.LState, m *mutation) bool { return m.add(text) }
}

func putFlagSet(s *stepReader) putter {
	text := string([]byte{s.flag()})
	switch v := s.t.RawGetString("val").(type) {
	case *lua.LNilType:
	case lua.LString, lua.LNumber:
		text += v.String()
	default:
		s.fail("unsupported type for 'val'")
	}
	return func(_ *lua.LState, m *mutation) bool { return m.add(text) }
}

func putFlagCopy(s *stepReader) putter {
	f, i := s.flag(), s.index()
	return func(L *lua.LState, m *mutation) bool {
		switch v := L.Get(i).(type) {
		case *lua.LNilType:
		case lua.LBool:
			if v {
				m.line = append(m.line, f)
			}
		case lua.LString:
			m.line = append(m.line, f)
			return m.add(string(v))
		default:
			s := toSource(v)
			if !s.meta() {
				return false
			}
			if tok, ok := s.flag(f); ok {
				m.line = append(append(m.line, f), tok...)
			}
		}
		return true
	}
}

func putValue(s *stepReader) putter {
	i := s.index()
	return func(L *lua.LState, m *mutation) bool {
		n := 0
		if text, ok := L.Get(i).(lua.LString); ok {
			m.text, n = string(text), len(text)
			m.has = n >= 2 && text[n-2:] == "\r\n"
		} else {
			s := toSource(L.Get(i))
			switch {
			case s.q != nil:
				m.value = s.q.Value
			case s.r != nil:
				m.value = s.r.ValueCRLF()
			}
			n, m.has = len(m.value), bytes.HasSuffix(m.value, []byte("\r\n"))
		}
		if m.has {
			m.line = strconv.AppendInt(m.line, int64(n-2), 10)
		}
		return m.has
	}
}
