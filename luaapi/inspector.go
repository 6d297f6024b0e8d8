// Inspectors: questions about a request or a response, put together once and asked in one call.

package luaapi

import (
	"bytes"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// inspector is an object that is called with a request or a response. It is immutable.
type inspector struct {
	of    stepFor
	steps []asker
	args  []lua.LValue // that it was made with
}

// asker pushes the results of one step and says how many they are.
type asker func(a *API, L *lua.LState, s source) int

var inspectorFuncs = []Func{
	{"req_inspector_new", StageRoutes, "step, ...", "inspector", "An object that is called with a request and returns what its steps find, in order.", newInspector(forRequest)},
	{"res_inspector_new", StageRoutes, "step, ...", "inspector", "An object that is called with a response and returns what its steps find, in order.", newInspector(forResponse)},
}

var inspectorSteps = []Step{
	{Name: "sepkey", For: forRequest, Args: "sep?, pos?, map?", Returns: "string, value of map, or nil",
		Doc: "The pos-th (1) piece of the key between separators (\"/\"), those at its start left out; with map, what map has for it.", ask: askSepKey},
	{Name: "keybegin", For: forRequest, Args: "str", Returns: "boolean", Doc: "Whether the key begins with str and is longer.",
		ask: askKey(func(key, str []byte) bool { return len(key) > len(str) && bytes.HasPrefix(key, str) })},
	{Name: "keyis", For: forRequest, Args: "str", Returns: "boolean", Doc: "Whether the key is str.", ask: askKey(bytes.Equal)},
	{Name: "hasflag", For: forBoth, Args: "flag", Returns: "boolean", Doc: "Whether the meta flag is there. A response that is no meta one is an error.", ask: askHasFlag},
	{Name: "flagtoken", For: forBoth, Args: "flag", Returns: "boolean, string or nil", Doc: "Whether the flag is there, and its token.",
		ask: askFlag(func(a *API, L *lua.LState, tok []byte) { a.text(L, tok) })},
	{Name: "flagint", For: forBoth, Args: "flag", Returns: "boolean, integer or nil", Doc: "Whether the flag is there, and its token as a number.",
		ask: askFlag(func(_ *API, L *lua.LState, tok []byte) { L.Push(decimal(tok)) })},
	{Name: "flagis", For: forBoth, Args: "flag, str", Returns: "boolean, boolean or nil", Doc: "Whether the flag is there, and whether its token is str.", ask: askFlagIs},
}

func newInspector(of stepFor) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		ins := &inspector{of: of, args: arguments(L)}
		compile(L, "inspector", inspectorSteps, of, func(k *Step, s *stepReader) { ins.steps = append(ins.steps, k.ask(s)) })
		a.charge(L, len(ins.steps), 0, 1)
		ud := L.NewUserData()
		ud.Value, ud.Metatable = ins, a.inspectorMT
		L.Push(ud)
		return 1
	}
}

// inspect is the call of an inspector.
func inspect(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	ins, _ := ud.Value.(*inspector)
	ud, _ = L.Get(2).(*lua.LUserData)
	var s source
	if ud != nil {
		switch x := ud.Value.(type) {
		case *Request:
			if ins.of == forRequest {
				s.q = checkRequest(L, 2, "inspector").r
			}
		case *Response:
			if ins.of == forResponse {
				checkResponse(L, 2, "inspector")
				s = toSource(x.ud)
			}
		}
	}
	if s == (source{}) {
		L.RaiseError("bad argument #2 to '?' (invalid argument to inspector object)")
	}
	a.charge(L, len(ins.steps), 0, 1)
	n := 0
	for _, ask := range ins.steps {
		n += ask(a, L, s)
	}
	return n
}

func askSepKey(s *stepReader) asker {
	sep, given := s.text("sep")
	switch {
	case !given:
		sep = "/"
	case len(sep) != 1:
		s.fail("separator must be one character")
	}
	pos := 1
	if v := s.t.RawGetString("pos"); v != lua.LNil {
		n, ok := vm.Number(v)
		if !ok {
			s.fail("'pos' must be a number")
		}
		pos = int(n)
	}
	var values *lua.LTable
	switch t := s.t.RawGetString("map").(type) {
	case *lua.LNilType:
	case *lua.LTable:
		values = t
	default:
		s.fail("'map' must be a table")
	}
	return func(a *API, L *lua.LState, s source) int {
		piece := pieceOf(s.q.Key, sep[0], pos)
		switch {
		case len(piece) == 0:
			L.Push(lua.LNil)
		case values != nil:
			L.Push(values.RawGetString(string(piece)))
		default:
			return a.text(L, piece)
		}
		return 1
	}
}

// pieceOf is the pos-th piece of key between seps. Those that it begins with do not count; the last piece needs none after it.
func pieceOf(key []byte, sep byte, pos int) []byte {
	for len(key) > 0 && key[0] == sep {
		key = key[1:]
	}
	for ; pos > 0; pos-- {
		at := bytes.IndexByte(key, sep)
		switch {
		case at < 0 && pos == 1:
			return key
		case at < 0:
			return nil
		case pos == 1:
			return key[:at]
		}
		key = key[at+1:]
	}
	return nil
}

func askKey(is func(key, str []byte) bool) func(*stepReader) asker {
	return func(s *stepReader) asker {
		str := []byte(s.need("str", false))
		return func(_ *API, L *lua.LState, s source) int { return boolean(L, is(s.q.Key, str)) }
	}
}

func askHasFlag(s *stepReader) asker {
	f := s.flag()
	return func(_ *API, L *lua.LState, s source) int {
		if s.r != nil && s.r.Type != mc.TypeMeta {
			return raise(L, "inspector error: response is not meta protocol")
		}
		_, ok := s.flag(f)
		return boolean(L, ok)
	}
}

// askFlag makes the steps that give a flag and something of its token; push pushes that.
func askFlag(push func(a *API, L *lua.LState, tok []byte)) func(*stepReader) asker {
	return func(s *stepReader) asker {
		f := s.flag()
		return func(a *API, L *lua.LState, s source) int {
			tok, ok := s.flag(f)
			L.Push(lua.LBool(ok))
			if ok {
				push(a, L, tok)
			} else {
				L.Push(lua.LNil)
			}
			return 2
		}
	}
}

func askFlagIs(s *stepReader) asker {
	s.flag() // its mistakes are told before those of str
	str := s.need("str", false)
	return askFlag(func(_ *API, L *lua.LState, tok []byte) { boolean(L, string(tok) == str) })(s)
}
