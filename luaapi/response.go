// The response object: what a route sees of an answer.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Response is an answer as scripts hold it. It belongs to its call and is blanked with it.
type Response struct {
	p    *backend.Pending // nil while blank
	call *Call
	ud   *lua.LUserData

	mutable bool // call's response_new made it
	restore bool // the key that was asked for is not the client's: see Answer.Restore
	text    bool // it is a string that a function returned
}

var responseMethods = []Method{
	{"ok", "", "boolean", "False for a failed backend and for error lines; a miss is ok, and so is all that the proxy's own store says.", func(a *API, L *lua.LState) int {
		return boolean(L, selfResponse(L).ok())
	}},
	{"hit", "", "boolean", "ok, and not a miss (END, EN). NOT_FOUND and NOT_STORED count as hits, as in memcached's proxy; see rank.", func(a *API, L *lua.LState) int {
		return boolean(L, selfResponse(L).hit())
	}},
	{"code", "", "integer", "One of mcp.MCMC_CODE_*; SERVER_ERROR for a failed backend.", func(a *API, L *lua.LState) int {
		r := selfResponse(L)
		if r.p.Err != nil {
			return number(L, int(mc.CodeServerError))
		}
		return number(L, int(r.p.Resp.Code))
	}},
	{"rank", "", "integer", "How good the answer is: 4 hit or success, 3 miss, not found, not stored, 2 error line, 1 timeout, 0 not sent. Tidepool's own.", rank},
	{"vlen", "", "integer", "Length of the value without CRLF.", func(a *API, L *lua.LState) int {
		r := selfResponse(L)
		if r.p.Err != nil {
			return number(L, 0)
		}
		return number(L, r.p.Resp.VLen())
	}},
	{"line", "", "string or nil", "Meta: what follows the code, or the size of a VA; nil when empty.", func(a *API, L *lua.LState) int {
		r := selfResponse(L)
		if r.p.Err != nil || len(r.p.Resp.Line()) == 0 {
			L.Push(lua.LNil)
			return 1
		}
		return a.text(L, r.p.Resp.Line())
	}},
	{"elapsed", "", "integer", "Microseconds from queueing the request to its answer.", func(a *API, L *lua.LState) int {
		r := selfResponse(L)
		return number(L, int((r.p.End-r.p.Start)/1000))
	}},
	{"flag_blank", "flag", "boolean", "Overwrites a meta flag of the answer with spaces.", func(a *API, L *lua.LState) int {
		r, f := selfResponse(L), editFlag(L, 2)
		return boolean(L, r.p.Err == nil && r.p.Resp.FlagBlank(f))
	}},
	{"raw_string", "", "string or nil", "Every byte of the answer.", func(a *API, L *lua.LState) int {
		r := selfResponse(L)
		if r.p.Err != nil {
			L.Push(lua.LNil)
			return 1
		}
		return a.text(L, r.p.Resp.Raw)
	}},
	{"close", "", "", "Does nothing: the answer is given back when its request ends.", func(a *API, L *lua.LState) int {
		return 0
	}},
}

// newResponseObject makes a blank response of c.
func (a *API) newResponseObject(c *Call) *Response {
	r := &Response{call: c, ud: a.st.L.NewUserData()}
	r.ud.Value, r.ud.Metatable = r, a.responseMT
	return r
}

func (r *Response) blank() {
	if r.p != nil {
		r.p.Release()
		r.p = nil
	}
}

// ok: what the proxy's own store says is always, as in memcached, error lines too.
func (r *Response) ok() bool {
	return r.p != nil && r.p.Err == nil && (r.p.Resp.OK() || r.p.Backend == nil && !r.mutable && !r.text)
}

func (r *Response) hit() bool { return r.ok() && r.p.Resp.Code != mc.CodeEnd }

// checkResponse is argument i as a response that still holds its answer.
func checkResponse(L *lua.LState, i int, what string) *Response {
	ud, _ := L.Get(i).(*lua.LUserData)
	if ud != nil {
		if r, ok := ud.Value.(*Response); ok {
			switch {
			case r.p != nil:
			case r.mutable:
				L.RaiseError("%s: the response is blank: no mutator has filled it", what)
			default:
				L.RaiseError("%s: the response's request has ended", what)
			}
			return r
		}
	}
	L.RaiseError("%s: want a response, got %s", what, L.Get(i).Type())
	return nil
}

func selfResponse(L *lua.LState) *Response { return checkResponse(L, 1, "response") }

func rank(a *API, L *lua.LState) int {
	return number(L, int(backend.Rank(selfResponse(L).p)))
}
