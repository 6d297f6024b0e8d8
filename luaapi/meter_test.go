package luaapi

import (
	"math"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// A meter tells nothing before it has seen enough, follows what changes, and keeps what a quiet child once did.
func TestMeterFollows(t *testing.T) {
	now := int64(0)
	m := &meter{now: func() int64 { return now }, halfLife: int64(time.Second)}
	see := func(n int, d, every time.Duration) {
		for range n {
			now += int64(every)
			m.observe(int64(d))
		}
	}
	want := func(q float64, d time.Duration) {
		t.Helper()
		if got := m.quantile(q); math.Abs(float64(got)-float64(d)) > 0.04*float64(d) {
			t.Errorf("quantile %v is %v, want %v", q, time.Duration(got), d)
		}
	}
	see(meterLeast-1, time.Millisecond, time.Millisecond)
	if got := m.quantile(0.5); got >= 0 {
		t.Errorf("%v after %d answers", got, meterLeast-1)
	}
	see(10_000, time.Millisecond, time.Millisecond)
	want(0.95, time.Millisecond)
	see(2000, 50*time.Millisecond, 10*time.Millisecond) // the old ones are down to a hundredth
	want(0.5, 50*time.Millisecond)
	want(0.05, 50*time.Millisecond)
	see(8, time.Millisecond, time.Hour) // what is quiet is not forgotten
	want(0.5, 50*time.Millisecond)
}

// What is under way is counted until it is answered, whoever waits; errors are no latencies.
func TestMeterCountsWhatIsUnderWay(t *testing.T) {
	m := &meter{now: func() int64 { return 0 }, halfLife: 1}
	a, b := handle{meter: m}, handle{meter: m}
	for _, h := range []*handle{&a, &b} {
		h.metered, h.sentAt = true, 5
		m.begin()
	}
	if m.open != 2 || m.usual <= 0 || m.usual > 1 {
		t.Errorf("%d open, %v as a rule", m.open, m.usual)
	}
	a.measured(7, mc.RankMiss)
	a.measured(9, mc.RankMiss) // not twice
	b.measured(9, mc.RankError)
	b.reset()
	if m.open != 0 || m.seen.Count != 1 || m.seen.Sum != 2 {
		t.Errorf("%d open, %d seen", m.open, m.seen.Count)
	}
	a.metered = true
	m.begin()
	a.unmeasured()
	if m.open != 0 || m.seen.Count != 1 {
		t.Errorf("%d open, %d seen", m.open, m.seen.Count)
	}
}

func TestAllocMeter(t *testing.T) {
	m := &meter{now: func() int64 { return 0 }, halfLife: 1}
	if n := testing.AllocsPerRun(1000, func() { m.begin(); m.observe(1e6); m.quantile(0.95) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
