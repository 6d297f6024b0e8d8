// Meters: how fast answers come of late, and how many requests are under way.

package luaapi

import (
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// meter has the latencies of late in a histogram whose counts are halved now and then, and counts what is under way. It belongs to one
// worker, whose lock guards it: a worker sees enough answers for itself where quantiles matter, and one for all would be a lock, or cache
// lines, that every request of every worker fights for.
type meter struct {
	now      func() int64
	halfLife int64 // nanoseconds
	halved   int64 // when last

	seen  stat.Snapshot
	asked [2]askedQuantile

	open  int     // under way
	usual float64 // how many were under way when one more began, of late
}

// askedQuantile is one that was asked for, which serves for some observations more.
type askedQuantile struct {
	q     float64
	value int64
	left  int
}

const (
	meterLeast   = 20       // observations before there are quantiles
	meterKept    = 400      // observations below which nothing is halved: a quiet child's stay
	meterAsk     = 32       // observations for which a quantile that was asked for serves
	meterUsual   = 1. / 128 // weight of one request in meter.usual
	meterDefault = 5        // seconds of half-life
)

var meterFuncs = []Func{
	{"meter", StageRoutes, "{half_life=}?", "meter", "A meter of this worker, for rctx:measure: how fast answers come of late, and how many requests are under way. What it has seen counts half every half_life seconds (5), unless that is less than 400 answers. Tidepool's own.", newMeter},
}

var meterMethods = []Method{
	{"quantile", "q", "seconds or nil", "The latency that the share q of answers (0.95) did not exceed, to within 4 %; nil before there are 20.", func(a *API, L *lua.LState) int {
		v := this[*meter](L, "meter").quantile(float64(L.CheckNumber(2)))
		if v < 0 {
			L.Push(lua.LNil)
		} else {
			L.Push(lua.LNumber(float64(v) / float64(time.Second)))
		}
		return 1
	}},
	{"observe", "seconds", "", "Counts a latency that was measured otherwise.", func(a *API, L *lua.LState) int {
		this[*meter](L, "meter").observe(int64(float64(L.CheckNumber(2)) * float64(time.Second)))
		return 0
	}},
	{"open", "", "integer", "How many requests are under way, those too that nobody waits for any more.", func(a *API, L *lua.LState) int {
		return number(L, this[*meter](L, "meter").open)
	}},
	{"usual", "", "number", "How many are under way as a rule: the mean of the last hundred or two that were sent.", func(a *API, L *lua.LState) int {
		L.Push(lua.LNumber(this[*meter](L, "meter").usual))
		return 1
	}},
}

var measureMethods = []Method{
	{"measure", "handle, meter", "", "Has the meter measure what is sent to the handle, from sending it to its answer, whoever waits for that. Errors and timeouts are no latencies. Tidepool's own.", func(a *API, L *lua.LState) int {
		c := selfRctx(L)
		at := handleAt(L, c, L.Get(2), "invalid handle passed to measure")
		m, _ := L.CheckUserData(3).Value.(*meter)
		if m == nil {
			return raise(L, "measure: want a meter")
		}
		c.handles[at].meter = m
		return 0
	}},
}

func newMeter(a *API, L *lua.LState) int {
	half := numberField(L, "meter", given(L, "meter", "half_life"), "half_life", 0.001, meterDefault)
	m := &meter{now: a.o.Now, halfLife: int64(duration(half))}
	m.halved = m.now()
	L.Push(a.wrap(m, a.meterMT))
	return 1
}

func (m *meter) begin() {
	m.open++
	m.usual += (float64(m.open) - m.usual) * meterUsual
}

func (m *meter) observe(v int64) {
	if m.seen.Count >= meterKept {
		if now := m.now(); now-m.halved >= m.halfLife {
			m.halved = now
			m.halve()
		}
	}
	m.seen.Observe(v)
	for i := range m.asked {
		m.asked[i].left--
	}
}

func (m *meter) halve() {
	m.seen.Count = 0
	for i := range m.seen.Counts {
		m.seen.Counts[i] /= 2
		m.seen.Count += m.seen.Counts[i]
	}
}

// quantile is in nanoseconds; negative without enough observations.
func (m *meter) quantile(q float64) int64 {
	if m.seen.Count < meterLeast {
		return -1
	}
	old := &m.asked[0]
	for i := range m.asked {
		a := &m.asked[i]
		if a.q == q && a.left > 0 {
			return a.value
		}
		if a.left < old.left {
			old = a
		}
	}
	*old = askedQuantile{q, m.seen.Quantile(q), meterAsk}
	return old.value
}

// measured tells the handle's meter of an answer, if it has one.
func (h *handle) measured(end int64, rank mc.Rank) {
	if !h.metered {
		return
	}
	h.meter.open--
	if rank >= mc.RankMiss {
		h.meter.observe(end - h.sentAt)
	}
	h.metered = false
}

// unmeasured tells it that there will be none.
func (h *handle) unmeasured() {
	if h.metered {
		h.meter.open--
		h.metered = false
	}
}

// rank is how good the handle's result is.
func (h *handle) rank() mc.Rank {
	if h.res == nil || h.res.p == nil {
		return mc.RankUnsent
	}
	return backend.Rank(h.res.p)
}
