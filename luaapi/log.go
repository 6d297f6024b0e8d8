// Logging and clocks.

package luaapi

import (
	"math/rand/v2"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

var logFuncs = []Func{
	{"log", StageBoth, "message", "", "Logs a message.", func(a *API, L *lua.LState) int {
		msg := L.CheckString(1)
		a.charge(L, 1, len(msg), bytesPerStep)
		a.o.Logger.Log(msg)
		return 0
	}},
	{"log_req", StageRoutes, "request, response?, detail?", "", "Logs a request and its answer.", func(a *API, L *lua.LState) int {
		a.logRequest(L, 1)
		return 0
	}},
	{"log_reqsample", StageRoutes, "ms, rate, errors, request, response?, detail?", "",
		"Logs a request that failed (with errors), took longer than ms, or by chance, one in rate.", logSample},
	{"where", StageBoth, "level?", "string", "file:line of the caller's caller (level 2; more for its callers). Tidepool's own.", func(a *API, L *lua.LState) int {
		L.Push(lua.LString(strings.TrimSuffix(L.Where(L.OptInt(1, 2)), ":")))
		return 1
	}},
}

var timeFuncs = []Func{
	{"time_real_millis", StageRoutes, "", "integer", "Milliseconds since 1970.", func(a *API, L *lua.LState) int {
		return number(L, int(time.Now().UnixMilli()))
	}},
	{"time_mono_millis", StageRoutes, "", "integer", "Milliseconds of a clock that only goes forward.", func(a *API, L *lua.LState) int {
		return number(L, int(backend.Now()/1e6))
	}},
}

// logArgs reads request, response and detail from argument i on.
func logArgs(L *lua.LState, i int) (q *mc.Request, p *backend.Pending, detail string) {
	q = checkRequest(L, i, "log_req").r
	if L.Get(i+1) != lua.LNil {
		p = checkResponse(L, i+1, "log_req").p
	}
	return q, p, L.OptString(i+2, "")
}

func (a *API) logRequest(L *lua.LState, i int) {
	a.o.Logger.LogRequest(logArgs(L, i))
}

func logSample(a *API, L *lua.LState) int {
	ms, rate, errors := L.CheckInt64(1), L.CheckInt(2), L.ToBool(3)
	_, p, _ := logArgs(L, 4)
	switch {
	case errors && p != nil && (p.Err != nil || !p.Resp.OK()):
	case ms > 0 && p != nil && (p.End-p.Start)/1e6 > ms:
	case rate > 0 && rand.IntN(rate) == 0:
	default:
		return 0
	}
	a.logRequest(L, 4)
	return 0
}
