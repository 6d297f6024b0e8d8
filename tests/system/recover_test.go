// A leaf that is killed and takes its neighbour's items when it comes back, while writes and deletes go on through two proxies.

package system_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bothConfig writes to both leaves. A write counts if both answered, or one did and the other was not sent it because it is down.
const bothConfig = `
function mcp_config_pools()
	return { a = mcp.pool({ mcp.backend{ label = "first", address = %q } }), b = mcp.pool({ mcp.backend{ label = "neighbour", address = %q } }) }
end

function mcp_config_routes(p)
	local both = { p.a, p.b }
	local await, ANY = mcp.await, mcp.AWAIT_ANY
	local function write(r)
		local rs = await(r, both, 2, ANY)
		local x, y = rs[1], rs[2]
		local rx, ry = x:rank(), y:rank()
		if rx > ry then
			x, y, rx, ry = y, x, ry, rx
		end
		if rx >= 3 or rx == 0 then
			return y
		end
		return x
	end
	mcp.attach(mcp.CMD_ANY_STORAGE, write)
end
`

// mirror is what both leaves hold, by groups of keys that are written together.
type mirror struct {
	t        *testing.T
	groups   []mirrorGroup
	stop     chan struct{}
	done     sync.WaitGroup
	writes   atomic.Int64
	refused  atomic.Int64 // writes that failed, and were done again
	failures atomic.Int64
}

const mirrorKeys = 50 // in a group

type mirrorGroup struct {
	sync.Mutex
	value [mirrorKeys]uint32 // 0: there is none
}

func mirrorKey(g, k int) string { return fmt.Sprintf("item:%07d:%02d", g, k) }

// recoveryItems is how many items the test has: issue 3 wants 500,000, which takes minutes with the race detector.
func recoveryItems(t *testing.T) int {
	s := os.Getenv("TIDEPOOL_RECOVERY_ITEMS")
	if s == "" {
		return 100_000
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 10*mirrorKeys {
		t.Fatalf("TIDEPOOL_RECOVERY_ITEMS=%q: want a number of at least %d", s, 10*mirrorKeys)
	}
	return n
}

// batch writes a group, or half of it, and does again what failed.
func (m *mirror) batch(c *client, at int, n uint32, remove bool, from, step int) {
	g := &m.groups[at]
	g.Lock()
	defer g.Unlock()
	todo := make([]int, 0, mirrorKeys)
	for k := from; k < mirrorKeys; k += step {
		todo = append(todo, k)
	}
	for len(todo) > 0 {
		var b strings.Builder
		for _, k := range todo {
			if remove {
				fmt.Fprintf(&b, "md %s\r\n", mirrorKey(at, k))
			} else {
				v := fmt.Sprintf("%d %s", n, strings.Repeat("v", int(n%100)))
				fmt.Fprintf(&b, "ms %s %d T%d F%d\r\n%s\r\n", mirrorKey(at, k), len(v), n%2*100_000, n%1000, v)
			}
		}
		c.says(b.String())
		var again []int
		for _, k := range todo {
			_ = c.c.SetReadDeadline(time.Now().Add(patience))
			line, err := c.r.ReadString('\n')
			switch {
			case err == nil && (line == "HD\r\n" || remove && line == "NF\r\n"):
				if g.value[k] = n; remove {
					g.value[k] = 0
				}
				m.writes.Add(1)
			case err == nil && strings.HasPrefix(line, "SERVER_ERROR"):
				again = append(again, k)
				m.refused.Add(1)
			default:
				m.failures.Add(1)
				m.t.Errorf("%s: %q, %v", mirrorKey(at, k), line, err)
				return
			}
		}
		todo = again
	}
}

// run starts so many writers at a proxy, which go on until stop is closed.
func (m *mirror) run(addr string, writers, seed int) {
	for w := range writers {
		c := dial(m.t, addr)
		m.done.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
			for n := uint32(seed + w + 2); m.failures.Load() == 0; n += 100 {
				select {
				case <-m.stop:
					return
				default:
				}
				m.batch(c, rnd.IntN(len(m.groups)), n, rnd.IntN(4) == 0, rnd.IntN(3), 3)
			}
		})
	}
}

// fill writes everything once.
func (m *mirror) fill(addr string) {
	var done sync.WaitGroup
	for w := range 8 {
		c := dial(m.t, addr)
		done.Go(func() {
			for at := w; at < len(m.groups) && m.failures.Load() == 0; at += 8 {
				m.batch(c, at, 1, false, 0, 1)
			}
		})
	}
	done.Wait()
}

// more waits until so many more writes are done.
func (m *mirror) more(n int) {
	m.t.Helper()
	from := m.writes.Load()
	for deadline := time.Now().Add(4 * patience); m.writes.Load() < from+int64(n) && m.failures.Load() == 0; {
		if time.Now().After(deadline) {
			m.t.Fatalf("%d of %d writes in time", m.writes.Load()-from, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// compare reads every key of a leaf by its own memcached listener. What is missing is counted.
func (m *mirror) compare(what, addr string) (held, missing int) {
	m.t.Helper()
	c := dial(m.t, addr)
	wrong := 0
	for at := range m.groups {
		var b strings.Builder
		for k := range mirrorKeys {
			fmt.Fprintf(&b, "mg %s v f t\r\n", mirrorKey(at, k))
		}
		c.says(b.String())
		for k, want := range m.groups[at].value {
			got, ok := c.item()
			switch {
			case ok && want == 0:
				m.t.Errorf("%s: %s was deleted, and is %+v", what, mirrorKey(at, k), got)
				wrong++
			case ok && (got.n != want || got.flags != want%1000 || got.expires != (want%2 == 1)):
				m.t.Errorf("%s: %s is %+v, want %d", what, mirrorKey(at, k), got, want)
				wrong++
			case ok:
				held++
			case want != 0:
				missing++
			}
			if wrong > 20 {
				m.t.Fatal("and so on")
			}
		}
	}
	return held, missing
}

type mirrored struct {
	n, flags uint32
	expires  bool
}

// item reads an answer to mg v f t.
func (c *client) item() (it mirrored, ok bool) {
	c.t.Helper()
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	line, err := c.r.ReadString('\n')
	if err == nil && line == "EN\r\n" {
		return it, false
	}
	var size, ttl int
	if _, scanErr := fmt.Sscanf(line, "VA %d f%d t%d", &size, &it.flags, &ttl); err != nil || scanErr != nil {
		c.t.Fatalf("%q: %v, %v", line, err, scanErr)
	}
	value := make([]byte, size+2)
	if _, err := io.ReadFull(c.r, value); err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(value), "%d ", &it.n); err != nil || int(it.n%100) != size-len(fmt.Sprint(it.n))-1 {
		c.t.Fatalf("value %q: %v", value, err)
	}
	it.expires = ttl >= 0
	return it, true
}

func TestLeafRecovers(t *testing.T) {
	items := recoveryItems(t)
	m := &mirror{t: t, groups: make([]mirrorGroup, items/mirrorKeys), stop: make(chan struct{})}
	memory := []string{"--memory", fmt.Sprint(64<<20 + items*500), "--memcached", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	neighbour := startLeaf(t, "leaf-2", "127.0.0.1:0", memory...)
	first := startLeaf(t, "leaf-1", "127.0.0.1:0", memory...)
	u, err := url.Parse(first.url)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(bothConfig, first.url, neighbour.url)
	p1, p2 := startProxy(t, config), startProxy(t, config)
	for _, p := range []*proxy{p1, p2} {
		eventually(t, "both are up", func() bool { return p.isUp("first") && p.isUp("neighbour") })
	}
	began := time.Now()
	m.fill(p1.addr)
	t.Logf("%d items written in %v", items, time.Since(began).Round(time.Millisecond))
	m.run(p1.addr, 4, 10)
	m.run(p2.addr, 4, 20)
	m.more(items / 20)
	first.Kill()
	m.more(items / 10)
	recovering := append(memory, "--recover-from", neighbour.url+"/leaf-2")
	first = restart(t, "leaf-1", u.Host, recovering...)
	first.logged(0, "recovery: reading") // and is killed in the middle of it
	m.more(items / 100)
	first.Kill()
	m.more(items / 100)
	first = restart(t, "leaf-1", u.Host, recovering...)
	began = time.Now()
	admin := first.logged(0, "leaf ready")["admin"].(string)
	if status, body := page(t, "http://"+admin+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "recovering") {
		t.Errorf("/readyz: %d %q", status, body)
	}
	for deadline := time.Now().Add(8 * patience); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := page(t, "http://"+admin+"/readyz"); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) || m.failures.Load() > 0 {
			t.Fatalf("it is not warm after %v:\n%s", time.Since(began), first.Stderr.Tail())
		}
	}
	f := first.logged(0, "recovery is over")
	t.Logf("warm after %v: %v items of %v, %v known, %v dropped", time.Since(began).Round(time.Millisecond), f["items"], f["of"], f["known"], f["dropped"])
	m.more(items / 20)
	close(m.stop)
	m.done.Wait()
	t.Logf("%d writes, %d refused and done again", m.writes.Load(), m.refused.Load())
	if t.Failed() {
		return
	}
	port := func(l *runningLeaf) string { return l.logged(0, "leaf ready")["memcached"].(string) }
	held, missing := m.compare("neighbour", port(neighbour))
	if missing > 0 {
		t.Errorf("%d items are missing at the neighbour, which has memory for all", missing)
	}
	mine, lost := m.compare("leaf-1", port(first))
	t.Logf("%d items at the neighbour, %d at the leaf, %d not", held, mine, lost)
	if lost > held/100 {
		t.Errorf("%d of %d items did not come", lost, held)
	}
	if got := f["items"].(float64); got < float64(items)/20 { // the load writes the others anew meanwhile
		t.Errorf("only %v items were taken", got)
	}
	_, body := page(t, "http://"+admin+"/metrics")
	for _, name := range []string{"recovering", "recovery_incomplete"} {
		if !strings.Contains(body, fmt.Sprintf("tidepool_leaf_%s{leaf=\"leaf-1\"} 0\n", name)) {
			t.Errorf("/metrics has no tidepool_leaf_%s of 0", name)
		}
	}
	if got := dial(t, port(first)).ask("stats\r\n"); !strings.Contains(got, "STAT recovery_state warm\r\n") {
		t.Errorf("stats: %q", got)
	}
}

// page asks for one, whatever the status.
func page(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
