// Logging and clocks.

package luaapi

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

var logFuncs = []Func{
	{"log", StageBoth, "message", "", "Logs a message, to who watches proxyuser too.", func(a *API, L *lua.LState) int {
		msg := L.CheckString(1)
		a.charge(L, 1, len(msg), bytesPerStep)
		a.o.Logger.Log(msg)
		return 0
	}},
	{"log_req", StageRoutes, "request, response?, detail?, cfd?", "", "Logs a request and its answer, to who watches proxyreqs. cfd is the client's file descriptor.", logRequest},
	{"log_reqsample", StageRoutes, "ms, rate, errors, request, response?, detail?, cfd?", "",
		"Logs a request that failed (with errors), took longer than ms, or by chance, one in rate.", logSample},
	{"where", StageBoth, "level?", "string", "file:line of the caller's caller (level 2; more for its callers). Tidepool's own.", func(a *API, L *lua.LState) int {
		L.Push(lua.LString(strings.TrimSuffix(L.Where(L.OptInt(1, 2)), ":")))
		return 1
	}},
}

var timeFuncs = []Func{
	{"time_real_millis", StageRoutes, "", "integer", "Milliseconds since 1970.", func(a *API, L *lua.LState) int {
		return number(L, int(a.o.Wall().UnixMilli()))
	}},
	{"time_mono_millis", StageRoutes, "", "integer", "Milliseconds of a clock that only goes forward.", func(a *API, L *lua.LState) int {
		return number(L, int(a.o.Now()/1e6))
	}},
	{"time_mono_micros", StageRoutes, "", "integer", "Microseconds of that clock. Tidepool's own.", func(a *API, L *lua.LState) int {
		return number(L, int(a.o.Now()/1e3))
	}},
}

// logged are the arguments of log_req from number i on.
type logged struct {
	req    *mc.Request
	res    *backend.Pending // nil: none
	detail string
	fd     int
}

func logArgs(L *lua.LState, i int) (l logged) {
	l.req = checkRequest(L, i, "log_req").r
	if L.Get(i+1) != lua.LNil {
		l.res = checkResponse(L, i+1, "log_req").p
	}
	l.detail, l.fd = L.OptString(i+2, ""), L.OptInt(i+3, 0)
	return l
}

// logRequest is mcp.log_req. Like memcached's proxy it does not look at its arguments when nobody wants to know.
func logRequest(a *API, L *lua.LState) int {
	if a.o.Logger.LogsRequests() {
		a.logRequest(L, logArgs(L, 1))
	}
	return 0
}

// logSteps is what a logged request costs of the step budget.
const logSteps = 10

func (a *API) logRequest(L *lua.LState, l logged) {
	a.charge(L, logSteps, len(l.detail), bytesPerStep)
	a.o.Logger.LogRequest(l.req, l.res, l.detail, l.fd)
}

// logSample is mcp.log_reqsample.
func logSample(a *API, L *lua.LState) int {
	if !a.o.Logger.LogsRequests() {
		return 0
	}
	ms, rate, errors := min(intArg(L, 1), 1e9), int(intArg(L, 2)), L.ToBool(3)
	l := logArgs(L, 4)
	p := l.res
	switch {
	case errors && p != nil && (p.Err != nil || !p.Resp.OK()):
	case ms > 0 && p != nil && p.End-p.Start > ms*1e6:
	case rate > 0 && a.st.Host.IntN(rate) == 0:
	default:
		return 0
	}
	a.logRequest(L, l)
	return 0
}
