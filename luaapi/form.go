// rctx:answer: what is known of an item, in the form that a request wants.

package luaapi

import (
	"bytes"
	"fmt"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

var formMethods = []Method{
	{"answer", "request, what, {flags=, ttl=, cas=, size=, like=}?", "response",
		"An answer to the request, in its form. what is a response to another request for the item, whose outcome, value and flags it has; a string, or a list of strings and responses: a hit with their values, joined; true: success; false: a miss, not stored or not found. flags, ttl (-1), cas and, of mg without v and of ms, size are what is told of the item where what does not say; like is a response that does. A response that is an error is given as it is. Tidepool's own.", rctxAnswer},
}

// outcome is what is answered.
type outcome struct {
	code   mc.Code      // CodeOK: success
	res    *mc.Response // where it is from, or nil
	values [][]byte     // a hit's
	size   int
	lua    *lua.LTable // flags, ttl, cas, size; or nil
}

// hits reports whether there is an item to tell of.
func (o *outcome) hits() bool { return o.code == mc.CodeOK }

func (o *outcome) add(v []byte) {
	o.values = append(o.values, v)
	o.size += len(v)
}

// rctxAnswer is rctx:answer.
func rctxAnswer(a *API, L *lua.LState) int {
	c := serving(L)
	q := checkRequest(L, 2, "answer").r
	o := outcome{code: mc.CodeOK}
	if o.lua, _ = L.Get(4).(*lua.LTable); o.lua != nil {
		if r := responseOf(o.lua.RawGetString("like")); r != nil && r.p != nil && r.p.Err == nil {
			o.res = &r.p.Resp
		}
	}
	switch v := L.Get(3).(type) {
	case lua.LBool:
		if !v {
			o.code = mc.CodeEnd
		}
	case lua.LString:
		o.add([]byte(v))
	case *lua.LTable:
		for i := 1; i <= v.Len(); i++ {
			if s, ok := v.RawGetInt(i).(lua.LString); ok {
				o.add([]byte(s))
			} else if r := responseOf(v.RawGetInt(i)); r != nil && r.p != nil && r.p.Err == nil {
				o.add(r.p.Resp.Value())
			} else {
				return raise(L, fmt.Sprintf("answer: part %d is no string and no response with a value", i))
			}
		}
	default:
		r := checkResponse(L, 3, "answer")
		if r.p.Err != nil || !r.p.Resp.OK() {
			L.Push(r.ud)
			return 1
		}
		o.code, o.res = success(r.p.Resp.Code), &r.p.Resp
		if v := o.res.Value(); v != nil {
			o.add(v)
		}
	}
	p := backend.NewPending()
	p.Start = c.caller.Now()
	p.Buf = appendAnswer(p.Buf[:0], q, &o)
	if n, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil || n != len(p.Buf) {
		text := fmt.Sprintf("answer: cannot answer %q so", q.Line)
		p.Release()
		return raise(L, text)
	}
	p.End = a.o.Now()
	a.charge(L, askSteps, len(p.Buf), bytesPerStep)
	L.Push(c.response(p).ud)
	return 1
}

func responseOf(v lua.LValue) *Response {
	if ud, ok := v.(*lua.LUserData); ok {
		r, _ := ud.Value.(*Response)
		return r
	}
	return nil
}

// success makes one code of all that say that it has been done.
func success(c mc.Code) mc.Code {
	switch c {
	case mc.CodeStored, mc.CodeDeleted, mc.CodeTouched:
		return mc.CodeOK
	}
	return c
}

// What text commands are answered, by what came of them.
var textOutcomes = map[mc.Code]string{mc.CodeExists: "EXISTS\r\n", mc.CodeNotFound: "NOT_FOUND\r\n", mc.CodeNotStored: "NOT_STORED\r\n"}

// metaOutcomes are the codes of the meta protocol.
var metaOutcomes = map[mc.Code]string{mc.CodeExists: "EX", mc.CodeNotFound: "NF", mc.CodeNotStored: "NS"}

func appendAnswer(dst []byte, q *mc.Request, o *outcome) []byte {
	switch {
	case o.code == mc.CodeEnd && (!q.Cmd.IsMeta() || q.Cmd == mc.CmdMG):
		return mc.AppendNull(dst, q)
	case q.Cmd == mc.CmdMG:
		return o.appendMeta(dst, q)
	case q.Cmd.IsMeta():
		return o.appendDone(dst, q)
	case !o.hits():
		return append(dst, textOutcomes[o.code]...)
	}
	switch q.Cmd {
	case mc.CmdGet, mc.CmdGets, mc.CmdGat, mc.CmdGats:
		return o.appendText(dst, q)
	case mc.CmdDelete:
		return append(dst, "DELETED\r\n"...)
	case mc.CmdTouch:
		return append(dst, "TOUCHED\r\n"...)
	}
	return append(dst, "STORED\r\n"...)
}

// number appends what is known of the item by flag f, or otherwise.
func (o *outcome) number(dst []byte, f byte, field, otherwise string) []byte {
	if o.res != nil {
		if tok, ok := told(o.res, f); ok {
			return append(dst, tok...)
		}
	}
	if o.lua != nil {
		switch v := o.lua.RawGetString(field).(type) {
		case lua.LNumber:
			return strconv.AppendFloat(dst, float64(v), 'f', 0, 64)
		case lua.LString: // a CAS number is too long for a number of Lua's
			return append(dst, v...)
		}
	}
	return append(dst, otherwise...)
}

// told is what an answer says of an item by flag f, or, where it is a VALUE line, in that flag's place.
func told(r *mc.Response, f byte) (tok []byte, ok bool) {
	if r.Type != mc.TypeGet || f != 'f' && f != 'c' {
		return r.Flag(f)
	}
	words := bytes.Fields(r.Text()) // VALUE key flags size [cas]
	i := 2
	if f == 'c' {
		i = 4
	}
	if i >= len(words) {
		return nil, false
	}
	return words[i], true
}

func (o *outcome) appendText(dst []byte, q *mc.Request) []byte {
	dst = append(append(dst, "VALUE "...), q.Key...)
	dst = o.number(append(dst, ' '), 'f', "flags", "0")
	dst = strconv.AppendInt(append(dst, ' '), int64(o.size), 10)
	if q.Cmd == mc.CmdGets || q.Cmd == mc.CmdGats {
		dst = o.number(append(dst, ' '), 'c', "cas", "0")
	}
	return append(o.appendValue(dst), "END\r\n"...)
}

func (o *outcome) appendValue(dst []byte) []byte {
	dst = append(dst, "\r\n"...)
	for _, v := range o.values {
		dst = append(dst, v...)
	}
	return append(dst, "\r\n"...)
}

// appendMeta answers mg. The marks of a lease (W X Z) go along.
func (o *outcome) appendMeta(dst []byte, q *mc.Request) []byte {
	value := q.HasFlag('v')
	if value {
		dst = strconv.AppendInt(append(dst, "VA "...), int64(o.size), 10)
	} else {
		dst = append(dst, "HD"...)
	}
	for i := q.FlagStart(); i < q.NToken(); i++ {
		f := q.Token(i)[0]
		switch f {
		case 'f':
			dst = o.number(append(dst, " f"...), 'f', "flags", "0")
		case 't':
			dst = o.number(append(dst, " t"...), 't', "ttl", "-1")
		case 'c':
			dst = o.number(append(dst, " c"...), 'c', "cas", "0")
		case 'h', 'l':
			dst = o.number(append(dst, ' ', f), f, "", "0")
		case 's':
			dst = o.appendSize(dst)
		case 'O', 'k':
			dst = q.AppendReflected(dst, i)
		}
	}
	if o.res != nil {
		for _, f := range []byte("ZXW") {
			if _, ok := o.res.Flag(f); ok {
				dst = append(dst, ' ', f)
			}
		}
	}
	if value {
		return o.appendValue(dst)
	}
	return append(dst, "\r\n"...)
}

// appendSize appends s.
func (o *outcome) appendSize(dst []byte) []byte {
	dst = append(dst, " s"...)
	if o.lua != nil && o.lua.RawGetString("size") != lua.LNil {
		dst = append(dst, o.lua.RawGetString("size").String()...)
	} else if o.values == nil && o.res != nil {
		dst = o.number(dst, 's', "", "0")
	} else {
		dst = strconv.AppendInt(dst, int64(o.size), 10)
	}
	return dst
}

// appendDone answers ms, md and ma.
func (o *outcome) appendDone(dst []byte, q *mc.Request) []byte {
	if code, ok := metaOutcomes[o.code]; ok {
		dst = append(dst, code...)
	} else if o.code == mc.CodeEnd {
		dst = append(dst, mc.NullAnswer(q.Cmd)[:2]...)
	} else {
		dst = append(dst, "HD"...)
	}
	for i := q.FlagStart(); i < q.NToken(); i++ {
		switch q.Token(i)[0] {
		case 'O', 'k':
			dst = q.AppendReflected(dst, i)
		case 'c':
			if o.hits() {
				dst = o.number(append(dst, " c"...), 'c', "cas", "0")
			}
		case 's':
			dst = o.appendSize(dst)
		}
	}
	return append(dst, "\r\n"...)
}
