// Rate limiters: token buckets of one worker, or of all.

package luaapi

import (
	"math"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// limiter is a token bucket, as memcached's proxy has it. One that mcp_config_pools made is shared by all workers, of every
// generation that still runs.
type limiter struct {
	limit, fill uint64       // tokens: most that it holds; added each tick
	tick        int64        // milliseconds
	now         func() int64 // monotonic nanoseconds

	mu     sync.Mutex
	tokens uint64
	last   int64 // the last tick, in milliseconds
}

const limiterArgs = "{limit=, fillrate=, tickrate=}"

var ratelimFuncs = []Func{
	{"ratelim_tbf", StageRoutes, "{limit=, fillrate=, tickrate=, shared=}", "limiter",
		"A token bucket of this worker: obj(n) is true and takes n tokens if it holds more than n. It holds limit at first and gets fillrate (1) every tickrate (1) milliseconds, up to limit. shared = true, Tidepool's own: one bucket for all workers, each of which makes the same, in the same order, while it loads.", newLimiter},
	{"ratelim_global_tbf", StagePools, limiterArgs, "limiter", "A token bucket for all workers: routes get it in what mcp_config_pools returns, and use it like one of ratelim_tbf.", newLimiter},
}

func newLimiter(a *API, L *lua.LState) int {
	t := L.CheckTable(1)
	rate := [3]uint64{limiterField(L, t, "limit"), max(1, limiterField(L, t, "fillrate")), max(1, limiterField(L, t, "tickrate"))}
	fill := func() *limiter {
		now := a.o.Now
		return &limiter{limit: rate[0], fill: rate[1], tick: int64(rate[2]), now: now, tokens: rate[0], last: now() / 1e6}
	}
	if a.o.Stage == StageRoutes && lua.LVAsBool(t.RawGetString("shared")) {
		L.Push(a.limiter(share[*limiter](a, L, "ratelim_tbf", "", func() (any, error) { return fill(), nil })))
	} else {
		L.Push(a.limiter(fill()))
	}
	return 1
}

// limiter wraps l for scripts.
func (a *API) limiter(l *limiter) *lua.LUserData {
	ud := a.st.L.NewUserData()
	ud.Value, ud.Metatable = l, a.limiterMT
	return ud
}

func limiterField(L *lua.LState, t *lua.LTable, name string) uint64 {
	v := t.RawGetString(name)
	if v == lua.LNil {
		return 0
	}
	n, ok := whole(v)
	if !ok || n < 0 || n > math.MaxUint32-1 {
		raise(L, "mcp.ratelim_tbf: arguments must be unsigned 32 bit integer")
	}
	return uint64(n)
}

// limit is the call of a limiter.
func limit(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	l, _ := ud.Value.(*limiter)
	return boolean(L, l.take(float64(L.CheckNumber(2))))
}

// take takes n tokens if there are more than n. Part of a token counts as a whole one; less than none is never there.
func (l *limiter) take(n float64) bool {
	n = math.Ceil(n)
	now := l.now() / 1e6
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now - l.last; since > l.tick {
		ticks := since / l.tick
		l.last += ticks * l.tick
		if missing := l.limit - l.tokens; uint64(ticks) > missing/l.fill {
			l.tokens = l.limit
		} else {
			l.tokens += uint64(ticks) * l.fill
		}
	}
	if !(n >= 0) || n >= float64(l.tokens) {
		return false
	}
	l.tokens -= uint64(n)
	return true
}
