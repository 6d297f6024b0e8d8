// Crons that one proxy of many runs, in real proxies with a real etcd.

package main

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

const ticking = `function mcp_config_pools()
    mcp.register_cron("tick", { every = 2, once = true, func = function() mcp.log("tick at " .. os.time()) end })
    return true
end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function(r) return "END\r\n" end) end
`

var tickAt = regexp.MustCompile(`tick at (\d+)`)

// ticks are the instants that a proxy has run the job for: even seconds, of which it may be late by one, and by another on a busy machine.
func (p *process) ticks() (at []int) {
	for _, m := range tickAt.FindAllStringSubmatch(p.Stderr.Text(), -1) {
		n, _ := strconv.Atoi(m[1])
		at = append(at, n/2*2)
	}
	return at
}

// TestReign: who was suspended, or whose clock was put, counts as one that has just come to lead.
func TestReign(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	var r reign
	f := func(instant, now int64, want bool) {
		t.Helper()
		if got := r.leads(at(instant), at(now)); got != want {
			t.Errorf("%+v: leads since %d at %d: %v", r, instant, now, got)
		}
	}
	f(0, 0, false)
	r.beat(at(10_000))
	f(10_000, 10_001, true)
	f(9_999, 10_001, false)
	r.beat(at(10_900))
	r.beat(at(11_800))
	f(10_000, 12_800, true)
	f(10_000, 12_801, false) // it has not run for a while, and does not know yet what that means
	f(10_000, 11_700, false)
	r.beat(at(12_801))
	f(10_000, 12_802, false)
	f(12_801, 12_802, true)
	r.beat(at(5_000)) // the clock was put back
	f(4_999, 5_001, false)
	f(5_000, 5_001, true)
}

// TestOnce: of three proxies one runs the job; when it is killed, another does within the lease's time; when that stops, the last at once.
func TestOnce(t *testing.T) {
	c := etcdpeer.Start(t, 1)
	putText(t, c, ticking)
	ps := map[*process]bool{}
	for range 3 {
		p := etcdProxy(t, c)
		p.serves()
		ps[p] = true
	}
	leader := func(within time.Duration) *process {
		t.Helper()
		before := map[*process]int{}
		for p := range ps {
			before[p] = len(p.ticks())
		}
		for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // three logs: there is no one thing to wait on
			for p := range ps {
				if len(p.ticks()) > before[p] {
					return p
				}
			}
		}
		t.Fatalf("nobody has run the job within %v", within)
		return nil
	}
	first := leader(patience)
	first.Kill()
	delete(ps, first)
	second := leader(patience)
	second.signal(syscall.SIGTERM)
	second.exit(0)
	delete(ps, second)
	third := leader(patience)
	if third == first || third == second {
		t.Fatal("one that has ended runs the job")
	}
	// Nobody runs it while another does, and none of its instants is served twice.
	a, b, d := first.ticks(), second.ticks(), third.ticks()
	if a[len(a)-1] >= b[0] || b[len(b)-1] >= d[0] {
		t.Errorf("two ran the job at once: %v, then %v, then %v", a, b, d)
	}
	if gap := b[0] - a[len(a)-1]; gap > 10 { // 5 s for the lease, 2 for the next instant, and a machine that is busy
		t.Errorf("%d s without the job after the leader was killed", gap)
	}
	_, out, _ := tide(t, "status", "--etcd", c.Endpoints()[0])
	if strings.Count(out, "crons:config") != 1 {
		t.Errorf("status:\n%s", out)
	}
}
