// The request object: what a route sees of a command, and how it edits it.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Request is a request as scripts hold it. A call's own is reused for every request that the call serves; those that
// mcp.request makes are the garbage collector's.
type Request struct {
	r       *mc.Request // nil while blank; &own once edited
	own     mc.Request
	buf     []byte // the lines of edits
	restore bool   // the answer must carry the client's key
	slot    *Call  // whose request_new made it; nil for others
	value   []byte // the value that a mutator gave it
	ud      *lua.LUserData
}

var requestMethods = []Method{
	{"command", "", "integer", "The command, one of mcp.CMD_*.", func(a *API, L *lua.LState) int {
		return number(L, int(self(L).r.Cmd))
	}},
	{"key", "", "string", "The key; empty for a command without one.", func(a *API, L *lua.LState) int {
		return a.text(L, self(L).r.Key)
	}},
	{"decoded_key", "", "string", "The key as the backend has it: what a base64 key (flag b) stands for. Tidepool's own.", func(a *API, L *lua.LState) int {
		return a.text(L, a.keyArg(L, 1, "request"))
	}},
	{"ltrimkey", "n", "n", "Overwrites the first n bytes of the key with spaces.", trimKey((*mc.Request).TrimKeyLeft)},
	{"rtrimkey", "n", "n", "Overwrites the last n bytes of the key with spaces.", trimKey((*mc.Request).TrimKeyRight)},
	{"strip_prefix", "n", "n", "Is ltrimkey, and the answer carries the key that the client asked for. Tidepool's own.", stripPrefix},
	{"ntokens", "", "integer", "How many tokens the line has, command and key included.", func(a *API, L *lua.LState) int {
		return number(L, self(L).r.NToken())
	}},
	{"token", "n, new?", "string or nil", "The n-th token (the command is 1); with new, replaces it; \"\", and what is no string, nil as well, removes it.", token},
	{"token_int", "n", "integer or nil", "The n-th token (n >= 2) if it is a plain decimal number.", tokenInt},
	{"has_flag", "flag", "boolean", "Whether a meta command has the flag.", func(a *API, L *lua.LState) int {
		q, f := self(L), readFlag(L)
		return boolean(L, q.r.Cmd.IsMeta() && q.r.HasFlag(f))
	}},
	{"flag_token", "flag, new?", "boolean, string?", "Whether the flag is there, and its token; with new, replaces flag and token, \"\" removes them.", flagToken},
	{"flag_token_int", "flag", "boolean, integer?", "Whether the flag is there, and its token as a number.", flagTokenInt},
	{"flag_add", "flag, token?", "boolean", "Adds a flag; false if it is there.", flagEdit((*mc.Request).FlagAdd)},
	{"flag_set", "flag, token?", "boolean", "Sets a flag in place, or adds it.", flagEdit((*mc.Request).FlagSet)},
	{"flag_replace", "flag, with, token?", "boolean", "Puts the flag `with` in place of flag, or adds it.", flagReplace},
	{"flag_del", "flag", "boolean", "Removes a flag; false if it is not there.", func(a *API, L *lua.LState) int {
		q, f := self(L), editFlag(L, 2)
		ok := false
		if q.r.Cmd.IsMeta() {
			a.edit(L, q)
			q.buf, ok = q.own.FlagDel(q.buf, f)
		}
		return boolean(L, ok)
	}},
	{"match_res", "response", "boolean, string?", "Whether the key and opaque that the answer reflects are the request's; if not, why.", matchRes},
	{"raw_line", "", "string", "The line without its end.", func(a *API, L *lua.LState) int { return a.text(L, self(L).r.Line) }},
	{"raw_value", "", "string or nil", "The value with its CRLF.", func(a *API, L *lua.LState) int {
		q := self(L)
		if q.r.Value == nil {
			L.Push(lua.LNil)
			return 1
		}
		return a.text(L, q.r.Value)
	}},
}

// maxKeep is the capacity in bytes up to which a blank object keeps its buffers.
const maxKeep = 64 << 10

// newRequestObject makes a blank request.
func (a *API) newRequestObject() *Request {
	q := &Request{ud: a.st.L.NewUserData()}
	q.ud.Value, q.ud.Metatable = q, a.requestMT
	return q
}

// reset points q at r, whose bytes stay valid until blank.
func (q *Request) reset(r *mc.Request) {
	q.r, q.buf, q.restore = r, q.buf[:0], false
}

func (q *Request) blank() {
	q.r, q.restore = nil, false
	q.own.Line, q.own.Key, q.own.Value = nil, nil, nil // the connection's buffer
	if cap(q.buf) > maxKeep {
		q.buf = nil
	}
	if cap(q.value) > maxKeep {
		q.value = nil
	}
}

// edit makes q's request its own, so that an edit does not show in the client's.
func (q *Request) edit() {
	if q.r != &q.own {
		q.own = *q.r
		q.r = &q.own
	}
}

// edit is q.edit for a script, charged: every edit leaves a line in q's buffer.
func (a *API) edit(L *lua.LState, q *Request) {
	a.charge(L, 2, len(q.r.Line), 16)
	q.edit()
}

// detach makes q keep its bytes, which lie in a buffer that is about to be used again.
func (q *Request) detach() {
	if q.r == nil {
		return
	}
	var p mc.Parser
	wire, max := mc.AppendWire(nil, q.r), len(q.r.Value)
	if _, _, err := p.Next(wire, &mc.Rules{MaxValue: max}, &q.own); err == nil && q.own.Bad == mc.BadNone {
		q.r = &q.own
	} else {
		q.r = nil // it is not in form; whoever uses it still is told that it has ended
	}
}

// trim cuts n bytes off the key on behalf of a router.
func (q *Request) trim(n int) error {
	q.edit()
	var err error
	q.buf, err = q.own.TrimKeyLeft(q.buf, n)
	q.restore = q.restore || err == nil
	return err
}

// checkRequest is argument i as a request.
func checkRequest(L *lua.LState, i int, what string) *Request {
	ud, _ := L.Get(i).(*lua.LUserData)
	if ud != nil {
		if q, ok := ud.Value.(*Request); ok {
			switch {
			case q.r != nil:
			case q.slot != nil:
				L.RaiseError("%s: the request is blank: no mutator has filled it", what)
			default:
				L.RaiseError("%s: the request has ended", what)
			}
			return q
		}
	}
	L.RaiseError("%s: want a request, got %s", what, L.Get(i).Type())
	return nil
}

func self(L *lua.LState) *Request { return checkRequest(L, 1, "request") }

func number(L *lua.LState, n int) int {
	L.Push(numberValue(n))
	return 1
}

// small are numbers that cost no memory: commands, codes, ranks, counts.
var small = func() (vs [64]lua.LValue) {
	for n := range vs {
		vs[n] = lua.LNumber(n)
	}
	return vs
}()

func numberValue(n int) lua.LValue {
	if n >= 0 && n < len(small) {
		return small[n]
	}
	return lua.LNumber(n)
}

func (a *API) text(L *lua.LState, b []byte) int {
	a.charge(L, 0, len(b), bytesPerStep)
	L.Push(lua.LString(b))
	return 1
}

func boolean(L *lua.LState, b bool) int {
	L.Push(lua.LBool(b))
	return 1
}

// readFlag is argument 2 as the flag of has_flag and its like, editFlag argument i as that of flag_add and its like.
func readFlag(L *lua.LState) byte {
	f, err := mc.ReadFlagName(L.CheckString(2))
	if err != nil {
		raise(L, err.Error())
	}
	return f
}

func editFlag(L *lua.LState, i int) byte {
	f, err := mc.EditFlagName(L.CheckString(i))
	if err != nil {
		raise(L, err.Error())
	}
	return f
}

// tokenArg is an optional token: a string or a number.
func tokenArg(L *lua.LState, i int) []byte {
	switch v := L.Get(i).(type) {
	case *lua.LNilType:
		return nil
	case lua.LString, lua.LNumber:
		return []byte(v.String())
	}
	raise(L, mc.ErrFlagArg.Error())
	return nil
}

func trimKey(cut func(*mc.Request, []byte, int) ([]byte, error)) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		q, n := self(L), int(intArg(L, 2))
		a.edit(L, q)
		var err error
		if q.buf, err = cut(&q.own, q.buf, n); err != nil {
			return raise(L, err.Error())
		}
		return number(L, n)
	}
}

func stripPrefix(a *API, L *lua.LState) int {
	q, n := self(L), int(intArg(L, 2))
	a.edit(L, q)
	if err := q.trim(n); err != nil {
		return raise(L, err.Error())
	}
	return number(L, n)
}

func token(a *API, L *lua.LState) int {
	q, n := self(L), 0
	if L.GetTop() >= 2 {
		n = int(intArg(L, 2))
	}
	if n < 1 || n > q.r.NToken() {
		L.Push(lua.LNil)
		return 1
	}
	if L.GetTop() >= 3 {
		a.edit(L, q)
		var err error
		if q.buf, err = q.own.SetToken(q.buf, n-1, []byte(lua.LVAsString(L.Get(3)))); err != nil {
			return raise(L, err.Error())
		}
		return 0
	}
	return a.text(L, q.r.Token(n-1))
}

// decimal is tok as a number if it is a plain decimal one.
func decimal(tok []byte) lua.LValue {
	n, ok := mc.ParseInt(tok)
	if !ok {
		return lua.LNil
	}
	return lua.LNumber(n)
}

func tokenInt(a *API, L *lua.LState) int {
	q, n := self(L), 0
	if L.GetTop() >= 2 {
		n = int(intArg(L, 2))
	}
	if n < 2 || n > q.r.NToken() {
		L.Push(lua.LNil)
	} else {
		L.Push(decimal(q.r.Token(n - 1)))
	}
	return 1
}

func flagToken(a *API, L *lua.LState) int {
	q, f := self(L), readFlag(L)
	tok, ok := q.r.Flag(f)
	if !q.r.Cmd.IsMeta() || !ok {
		return boolean(L, false)
	}
	L.Push(lua.LTrue)
	n := 1
	if len(tok) > 0 {
		L.Push(lua.LString(tok))
		n = 2
	}
	if L.Get(3) != lua.LNil && L.Get(3).Type() != lua.LTBool {
		repl := tokenArg(L, 3)
		a.edit(L, q)
		var err error
		if q.buf, err = q.own.SetFlagToken(q.buf, f, repl); err != nil {
			return raise(L, err.Error())
		}
	}
	return n
}

func flagTokenInt(a *API, L *lua.LState) int {
	q, f := self(L), readFlag(L)
	tok, ok := q.r.Flag(f)
	if !q.r.Cmd.IsMeta() || !ok {
		return boolean(L, false)
	}
	L.Push(lua.LTrue)
	n := decimal(tok)
	if n == lua.LNil {
		return 1
	}
	L.Push(n)
	return 2
}

func flagEdit(edit func(*mc.Request, []byte, byte, []byte) ([]byte, bool)) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		q, f, tok := self(L), editFlag(L, 2), tokenArg(L, 3)
		a.edit(L, q)
		var ok bool
		q.buf, ok = edit(&q.own, q.buf, f, tok)
		return boolean(L, ok)
	}
}

func flagReplace(a *API, L *lua.LState) int {
	q, f, with, tok := self(L), editFlag(L, 2), editFlag(L, 3), tokenArg(L, 4)
	a.edit(L, q)
	var ok bool
	q.buf, ok = q.own.FlagReplace(q.buf, f, with, tok)
	return boolean(L, ok)
}

func matchRes(a *API, L *lua.LState) int {
	q, r := self(L), checkResponse(L, 2, "match_res")
	if r.p.Err != nil {
		L.Push(lua.LFalse)
		L.Push(lua.LString(mc.MatchUnparsed))
		return 2
	}
	ok, why := mc.MatchRes(q.r, &r.p.Resp)
	L.Push(lua.LBool(ok))
	if why == "" {
		L.Push(lua.LNil)
	} else {
		L.Push(lua.LString(why))
	}
	return 2
}

// newRequest is mcp.request(line, value).
func newRequest(a *API, L *lua.LState) int {
	line := []byte(L.CheckString(1))
	var value []byte
	switch v := L.Get(2).(type) {
	case *lua.LNilType:
	case lua.LString:
		value = []byte(v)
	case *lua.LUserData:
		switch x := v.Value.(type) {
		case *Request:
			if x.r != nil {
				value = append(value, part(L, x.r.Value)...)
			}
		case *Response:
			if x.ok() {
				value = append(value, part(L, x.p.Resp.ValueCRLF())...)
			}
		}
		if L.GetTop() > 2 {
			value = append(value, "\r\n"...)
		}
	default:
		return raise(L, mc.ErrValueEnd.Error())
	}
	a.charge(L, 1, len(line)+len(value), bytesPerStep)
	q := a.newRequestObject()
	if err := mc.NewRequest(&q.own, line, value); err != nil {
		return raise(L, err.Error())
	}
	q.r = &q.own
	L.Push(q.ud)
	return 1
}

// part is what mcp.request takes of a value that ends in CRLF: all, or without that the bytes from argument 3 to argument 4.
func part(L *lua.LState, value []byte) []byte {
	if L.GetTop() <= 2 || len(value) < 2 {
		return value
	}
	value = value[:len(value)-2]
	from, to := max(L.CheckInt(3), 1), min(L.OptInt(4, len(value)), len(value))
	if from > to {
		return value[:0]
	}
	return value[from-1 : to]
}
