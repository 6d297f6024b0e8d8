// Crons that one proxy of many runs.

package engine

import (
	"testing"
	"time"
)

// told is a Leader.
type told struct {
	stood int
	asked []time.Time
	leads bool
}

func (l *told) Stand()                  { l.stood++ }
func (l *told) Leads(at time.Time) bool { l.asked = append(l.asked, at); return l.leads }

// TestOnce: who does not lead leaves them out, and who does runs them for instants since it has.
func TestOnce(t *testing.T) {
	const once = `
    mcp.register_cron("one", { every = 1e9, once = true, func = function() mcp.log("one") end })
    mcp.register_cron("all", { every = 1e9, func = function() mcp.log("all") end })`
	const much = 1 << 40 // seconds: long after everything was due, but for what this test does nothing is for years
	path := writeConfig(t, cronConfig(once))
	var l told
	p := startProxy(t, path, func(o *Options) { o.Leader = &l })
	w := watcher(t, p, "proxyuser")
	one := p.loader.crons.all[0]
	first := one.at
	if wait := time.Until(time.Unix(first, 0)); first%1e9 != 0 || wait > 1e9*time.Second || p.untilSecond(one.next) < wait || p.untilSecond(one.next) > wait+time.Second {
		t.Errorf("first at %d, %v from now, due in %v", first, wait, p.untilSecond(one.next))
	}
	p.runCrons(much)
	w.told("user msg=all")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	one = p.loader.crons.all[0]
	second := one.at
	l.leads = true
	p.runCrons(2 * much)
	w.told("user msg=one", "user msg=all")
	asked := l.asked
	if len(asked) != 2 || l.stood == 0 || asked[0].Unix() != first || asked[1].Unix() != second || second != first+1e9 {
		t.Errorf("asked for %v; first at %d, second at %d", asked, first, second)
	}
	if runs := p.stats.cronRuns.Load(); runs != 3 {
		t.Errorf("%d runs", runs)
	}
}

func TestNextInstant(t *testing.T) {
	f := func(every, last, wall, ms, want int64) {
		t.Helper()
		if got := nextInstant(every, last, time.Unix(wall, ms*int64(time.Millisecond))); got != want {
			t.Errorf("every %d, the last at %d, now %d.%03d: %d, want %d", every, last, wall, ms, got, want)
		}
	}
	f(10, 0, 100, 0, 110) // the first
	f(10, 0, 109, 999, 110)
	f(10, 110, 110, 900, 120) // met
	f(10, 110, 109, 999, 120) // met a little early, by this clock
	f(1, 110, 110, 900, 111)
	f(1, 110, 109, 990, 111)
	f(10, 110, 175, 0, 180)  // it was asleep
	f(10, 1000, 110, 0, 120) // the clock was put back
}
