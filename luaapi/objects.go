// Blank objects: requests and responses that a slot has from the start, for mutators to fill while it serves.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// objects are what a slot's generator has made with request_new and response_new. They are blanked with the call.
type objects struct {
	requests  []*Request
	responses []*Response
}

func (o *objects) blank() {
	for _, q := range o.requests {
		q.blank()
	}
	for _, r := range o.responses {
		r.blank()
	}
}

var objectMethods = []Method{
	{"request_new", "", "request", "A blank request for a mutator to fill, once for each request served. It counts against u of fgen:ready.", func(a *API, L *lua.LState) int {
		c := objectOwner(L)
		q := a.newRequestObject()
		q.slot = c
		c.objects.requests = append(c.objects.requests, q)
		L.Push(q.ud)
		return 1
	}},
	{"response_new", "", "response", "A blank response for a mutator to fill, once for each request served. It counts against u of fgen:ready.", func(a *API, L *lua.LState) int {
		c := objectOwner(L)
		r := a.newResponseObject(c)
		r.mutable = true
		c.objects.responses = append(c.objects.responses, r)
		L.Push(r.ud)
		return 1
	}},
}

// objectOwner is argument 1 as a request context that may make one more object.
func objectOwner(L *lua.LState) *Call {
	c := selfRctx(L)
	if len(c.objects.requests)+len(c.objects.responses) >= c.gen.objects {
		raise(L, "rctx request new: object count limit reached")
	}
	return c
}

// What a mutator is told of an object that it cannot fill. The first four texts are memcached's.
const (
	errRequestRendered  = "mutator: request has already been rendered"
	errResponseRendered = "mutator: result has already been rendered"
	errRequestLong      = "mutator: new request is too long"
	errRequestParse     = "mutator: failed to parse new request"
	errResponseParse    = "mutator: failed to parse new result"
	errIdleObject       = "mutator: the object's request context serves no request"
)

// render makes q what m says, or gives why not and leaves q blank.
func (q *Request) render(m *mutation) string {
	switch {
	case q.slot == nil || q.r != nil:
		return errRequestRendered
	case q.slot.task == nil:
		return errIdleObject
	case m.long || len(m.line) > mc.MaxRequest:
		return errRequestLong
	}
	q.buf = append(q.buf[:0], m.line...)
	var value []byte
	if m.has { // its source may go before what q is sent for is answered
		q.value = append(append(q.value[:0], m.value...), m.text...)
		value = q.value
	}
	if err := mc.NewRequest(&q.own, q.buf, value); err != nil {
		return errRequestParse
	}
	q.r = &q.own
	return ""
}

// render makes r what m says, or gives why not and leaves r blank.
func (r *Response) render(m *mutation) string {
	switch {
	case !r.mutable || r.p != nil:
		return errResponseRendered
	case r.call.task == nil:
		return errIdleObject
	case m.long:
		return errResponseParse
	}
	p := backend.NewPending()
	p.Buf = append(p.Buf[:0], m.line...)
	p.Buf = append(append(p.Buf, m.value...), m.text...)
	if m.has && len(m.line) > 6 && string(m.line[:6]) == "VALUE " {
		p.Buf = append(p.Buf, "END\r\n"...)
	}
	n, _, err := mc.ParseResponse(p.Buf, &p.Resp)
	if err != nil || n != len(p.Buf) {
		p.Release()
		return errResponseParse
	}
	p.Start = backend.Now()
	p.End = p.Start
	r.p = p
	return ""
}
