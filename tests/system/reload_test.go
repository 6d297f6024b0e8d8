// Reload under load: whole generations are swapped two hundred times, and no client notices.

package system_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The measure that the project has set itself.
const (
	reloads    = 200
	reloadTime = 20 * time.Second
)

// reloaded is a configuration with a Lua route over leaves. Each n is another text, so that nothing can be taken over from before.
func reloaded(urls []string, n int) string {
	return fmt.Sprintf(`-- number %d
local number = %[1]d
function mcp_config_pools()
    local b = {}
    for i, url in ipairs({ "%[2]s" }) do
        b[i] = mcp.backend{ label = "leaf " .. i, address = url }
    end
    return mcp.pool(b, { name = "main" })
end
function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r)
        local res = pool(r)
        if not res:ok() and number < 0 then
            return "SERVER_ERROR of generation " .. number .. "\r\n"
        end
        return res
    end)
end
`, n, strings.Join(urls, `", "`))
}

// swap puts a configuration in place as an editor or a deployment does: whole, by rename.
func (p *proxy) swap(config string) {
	p.t.Helper()
	next := p.file + ".new"
	if err := os.WriteFile(next, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(next, p.file); err != nil {
		p.t.Fatal(err)
	}
}

// reload is POST /reload and gives the new generation.
func (p *proxy) reload() (generation int) {
	p.t.Helper()
	status, body := p.http("POST", "/reload")
	var answer struct{ Generation int }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		p.t.Fatalf("POST /reload: %d %q", status, body)
	}
	return answer.Generation
}

// generation is what /config says.
func (p *proxy) generation() int {
	p.t.Helper()
	var c struct{ Generation int }
	if err := json.Unmarshal([]byte(p.get("/config")), &c); err != nil {
		p.t.Fatal(err)
	}
	return c.Generation
}

// usage is what a proxy holds when nothing is under way.
type usage struct {
	goroutines, opened, accepted float64
	heap                         float64 // bytes of objects after a collection
}

// heapAlloc is what objects take. HeapInuse counts the free space between them, too, which changes by more than a tenth from one
// collection to the next with the same objects.
var heapAlloc = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

func (p *proxy) usage() (u usage) {
	p.t.Helper()
	p.get("/debug/pprof/heap?gc=1&debug=1") // what pools hold takes two collections to go
	p.get("/debug/pprof/heap?gc=1&debug=1")
	m := heapAlloc.FindStringSubmatch(p.get("/debug/pprof/heap?gc=1&debug=1"))
	if m == nil {
		p.t.Fatal("/debug/pprof/heap does not say HeapAlloc")
	}
	u.heap, _ = strconv.ParseFloat(m[1], 64)
	u.opened = p.sum("tidepool_backend_connections_opened_total")
	u.accepted = p.sum("tidepool_connections_total")
	u.goroutines = p.sum("go_goroutines")
	return u
}

// pause waits until nothing is in flight. The returned function lets the load go on.
func (l *load) pause() (resume func()) {
	l.pauses.Store(true)
	l.gate.Lock()
	return func() {
		l.pauses.Store(false)
		l.gate.Unlock()
	}
}

func TestReloadUnderLoad(t *testing.T) {
	_, urls := startLeaves(t, 3)
	p := startProxy(t, reloaded(urls, 0))
	p.ready()
	l := &load{addr: p.addr, conns: 16, depth: 16, keys: 40}
	l.start(t)
	l.flow(t, 20_000)
	for n := range 5 { // warm: what the first reload of all allocates is no leak
		p.swap(reloaded(urls, -n))
		p.reload()
	}
	l.flow(t, 20_000)
	resume := l.pause()
	before := p.usage()
	resume()

	first, answered := p.generation(), l.answered.Load()
	hups := 0
	tick := time.NewTicker(reloadTime / reloads)
	defer tick.Stop()
	for n := 1; n <= reloads; n++ {
		<-tick.C
		p.swap(reloaded(urls, n))
		if n%10 == 5 {
			hups++
			p.signal(syscall.SIGHUP)
		}
		p.reload()
		if n == reloads/2 {
			p.refusesBadFile()
		}
		if l.faulty() {
			break
		}
	}
	under := l.answered.Load() - answered
	p.idle()
	last := p.generation()
	if last-first < reloads || last-first > reloads+hups {
		t.Errorf("generation grew by %d with %d POSTs and %d SIGHUPs", last-first, reloads, hups)
	}
	p.swap(reloaded(urls, reloads+1))
	from := p.Stderr.Count()
	p.signal(syscall.SIGHUP)
	p.logged(from, "configuration loaded", fmt.Sprintf(`"generation":%d,`, last+1))
	if got := p.generation(); got != last+1 {
		t.Errorf("/config has generation %d after the last SIGHUP, want %d", got, last+1)
	}
	l.flow(t, 10_000)
	if under < 20_000 {
		t.Errorf("%d answers under %d reloads: that is no load", under, reloads)
	}

	resume = l.pause()
	p.sameAs(before, l.conns)
	resume()
	l.end(t)
	if got := p.sum("tidepool_requests_refused_total"); got != 0 {
		t.Errorf("%v requests were refused", got)
	}
}

// idle waits until SIGHUPs have been obeyed: the generation stands still for a moment.
func (p *proxy) idle() {
	p.t.Helper()
	seen, since := -1, time.Now()
	eventually(p.t, "the end of the reloads", func() bool {
		if g := p.generation(); g != seen {
			seen, since = g, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// refusesBadFile: a mistake is told with its place, and changes nothing.
func (p *proxy) refusesBadFile() {
	p.t.Helper()
	good, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	p.idle()
	was, fails := p.generation(), reloadErrors(p)
	p.swap("-- one\n-- two\nlocal = 3\n")
	status, body := p.http("POST", "/reload")
	if status != 422 || !strings.Contains(body, "routes.lua:3: ") {
		p.t.Errorf("POST /reload of a bad file: %d %q, want 422 and routes.lua:3:", status, body)
	}
	if got := p.generation(); got != was {
		p.t.Errorf("generation %d after a bad file, want %d", got, was)
	}
	if got := reloadErrors(p); got != fails+1 {
		p.t.Errorf("tidepool_reloads_total{result=error} is %v, want %v", got, fails+1)
	}
	p.swap(string(good))
}

func reloadErrors(p *proxy) (n float64) {
	for _, m := range p.metrics()["tidepool_reloads_total"].GetMetric() {
		if m.Label[0].GetValue() == "error" {
			n = m.GetCounter().GetValue()
		}
	}
	return n
}

// others are goroutines of the runtime (cleanups) and of admin's HTTP that come and go; one left by each reload would be hundreds.
const others = 2

// sameAs wants what the proxy holds to be what it held before. Old generations may take a moment to go. Each of the clients may have been in the
// loop, without a goroutine, and have one now: that depends on how many processors the proxy takes.
func (p *proxy) sameAs(before usage, clients int) {
	p.t.Helper()
	most := before.goroutines + float64(clients) + others
	var after usage
	ok := func() bool {
		after = p.usage()
		return after.goroutines <= most && after.heap <= before.heap*1.1
	}
	for deadline := time.Now().Add(5 * time.Second); !ok() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > most {
		p.t.Errorf("%v goroutines, %v before:\n%s", after.goroutines, before.goroutines, p.get("/debug/pprof/goroutine?debug=1"))
	}
	if after.heap > before.heap*1.1 {
		p.t.Errorf("%.0f bytes of heap in use, %.0f before: over 10 %% more", after.heap, before.heap)
	}
	if after.opened != before.opened {
		p.t.Errorf("%v connections to leaves were opened, %v before", after.opened, before.opened)
	}
	if after.accepted != before.accepted {
		p.t.Errorf("%v client connections were accepted, %v before", after.accepted, before.accepted)
	}
}
