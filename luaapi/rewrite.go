// Requests that go on in another form than the client's: a copy to edit, and a key that the answer does not show.

package luaapi

import (
	"bytes"
	"encoding/base64"
	"hash/maphash"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// rewriteMethods are requests' methods, too.
var rewriteMethods = []Method{
	{"pure", "", "boolean", "Whether it reads and nothing more, so that it may be sent twice, shared or answered from elsewhere: get, and mg without c, E, N, R or T. Tidepool's own.", func(a *API, L *lua.LState) int {
		return boolean(L, self(L).r.PureRead())
	}},
	{"set_key", "key", "boolean", "Replaces the key's bytes (encoded, where the b flag says so); the answer carries the key that the client asked for. False, and nothing has changed, if no such key can be sent. Tidepool's own.", setKey},
	{"copy", "request", "boolean", "Makes a blank request of rctx:request_new a copy of another, to be edited and sent in its place. Tidepool's own.", copyRequest},
}

func setKey(a *API, L *lua.LState) int {
	q, key := self(L), []byte(L.CheckString(2))
	if q.r.Base64 {
		key = base64.StdEncoding.AppendEncode(nil, key)
	}
	if len(key) == 0 || len(key) > mc.MaxKey || len(q.r.Key) == 0 {
		return boolean(L, false)
	}
	a.edit(L, q)
	buf, err := q.own.SetKey(q.buf, key)
	if err == nil {
		q.buf, q.restore = buf, true
	}
	return boolean(L, err == nil)
}

// copyRequest makes a blank object a copy. It has its own bytes: it may be sent after the one that it was copied from has ended.
func copyRequest(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	var q *Request
	if ud != nil {
		q, _ = ud.Value.(*Request)
	}
	if q == nil || q.slot == nil {
		return raise(L, "copy: want a request of rctx:request_new to be made a copy")
	}
	from := checkRequest(L, 2, "copy")
	switch {
	case q.r != nil:
		return raise(L, errRequestRendered)
	case q.slot.task == nil:
		return raise(L, errIdleObject)
	}
	a.charge(L, 2, len(from.r.Line)+len(from.r.Value), bytesPerStep)
	q.buf = append(append(q.buf[:0], from.r.Line...), "\r\n"...)
	var value []byte
	if from.r.Value != nil {
		q.value = append(q.value[:0], from.r.Value...)
		value = q.value
	}
	if err := mc.NewRequest(&q.own, q.buf, value); err != nil {
		return boolean(L, false)
	}
	q.r, q.restore = &q.own, from.restore
	return boolean(L, true)
}

var digestMethods = []Method{
	{"digest", "", "string", "Is equal for answers that say the same: code, value and client flags; not which key, CAS number or opaque they name. It is short, and is worth nothing in another process. Tidepool's own.", digest},
}

// digestSeed is one for the whole process.
var digestSeed = maphash.MakeSeed()

func digest(a *API, L *lua.LState) int {
	p := selfResponse(L).p
	if p.Err != nil {
		return a.text(L, []byte("none"))
	}
	var buf [64]byte
	b := strconv.AppendInt(buf[:0], int64(p.Resp.Code), 10)
	b = append(append(b, ' '), clientFlags(&p.Resp)...)
	if p.Resp.HasValue() {
		a.charge(L, 0, p.Resp.VLen(), sentPerStep)
		b = strconv.AppendUint(append(b, ' '), maphash.Bytes(digestSeed, p.Resp.Value()), 36)
	}
	return a.text(L, b)
}

// clientFlags are the flags that a client has stored with a value, as the answer writes them; nil where it does not.
func clientFlags(r *mc.Response) []byte {
	if r.Type != mc.TypeGet {
		tok, _ := r.Flag('f')
		return tok
	}
	words := bytes.Fields(r.Text()) // VALUE key flags bytes
	if len(words) < 3 {
		return nil
	}
	return words[2]
}
