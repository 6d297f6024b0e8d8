// A leaf that dies under load and comes back empty, with the same name at the same port.

package system_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// victim is the leaf that is killed, by its place in the pool.
const victim = 1

// ownedByVictim says where the pool puts a key: mcp.pool's default is memcached's.
func ownedByVictim(key string) bool {
	return hash.NewJump(3).Pick(hash.XXH3([]byte(key), 0)) == victim
}

// outage is what the load has to know of the victim's life.
type outage struct {
	mu        sync.Mutex
	down      bool      // killed, and not yet seen up again
	restarted time.Time // before the process of the last life was started: whatever it holds was sent after that
	up        time.Time // the proxy was seen to send to it again
}

// refused: only the victim's requests may fail, and only those that were sent before its probe succeeded.
func (o *outage) refused(key string, sent time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return ownedByVictim(key) && (o.down || sent.Before(o.up))
}

func (o *outage) emptied(key string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ownedByVictim(key) {
		return time.Time{}
	}
	return o.restarted
}

func (o *outage) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// isUp asks whether the proxy sends to the victim.
func (p *proxy) isUp(label string) bool {
	p.t.Helper()
	for _, m := range p.metrics()["tidepool_backend_up"].GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "backend" && l.GetValue() == label {
				return m.GetGauge().GetValue() == 1
			}
		}
	}
	p.t.Fatalf("/metrics has no tidepool_backend_up of %q", label)
	return false
}

func TestLeafKilledAndRestartedUnderLoad(t *testing.T) {
	leaves, urls := startLeaves(t, 3)
	p := startProxy(t, reloaded(urls, 0))
	p.ready()
	u, err := url.Parse(urls[victim])
	if err != nil {
		t.Fatal(err)
	}
	label := fmt.Sprintf("leaf %d", victim+1)
	eventually(t, "the victim is up", func() bool { return p.isUp(label) })

	var o outage
	l := &load{addr: p.addr, conns: 16, depth: 16, keys: 40, refused: o.refused, emptied: o.emptied}
	l.start(t)
	leaf := leaves[victim]
	for round, gap := range []time.Duration{0, time.Second} { // at once, and after the proxy has given it up
		l.flow(t, 5_000)
		if t.Failed() || l.faulty() {
			break
		}
		errs := l.errs.Load()
		o.set(func() { o.down = true })
		leaf.Kill()
		time.Sleep(gap)
		if gap > 0 {
			eventually(t, "the victim is down", func() bool { return !p.isUp(label) })
		}
		o.set(func() { o.restarted = time.Now() })
		leaf = restart(t, leaf.name, u.Host)
		ready := time.Now()
		eventually(t, "an error: requests were in flight when the leaf was killed", func() bool { return l.errs.Load() > errs || l.faulty() })
		eventually(t, "the victim is up again", func() bool { return p.isUp(label) })
		took := time.Since(ready)
		if took > 8*time.Second {
			t.Errorf("round %d: %v from the leaf's start to a probe that succeeds", round, took)
		}
		o.set(func() { o.up, o.down = time.Now(), false })
		t.Logf("round %d: %d errors, up %v after the leaf was ready", round, l.errs.Load()-errs, took)
	}
	l.flow(t, 5_000)
	l.end(t)
}

// restart starts a leaf again at its port, which may be taken for a moment.
func restart(t *testing.T, name, host string, args ...string) *runningLeaf {
	t.Helper()
	var got *runningLeaf
	eventually(t, "the leaf's port is free", func() bool {
		p := start(t, append([]string{"leaf", "--name", name, "--listen", host, "--memory", "64MiB"}, args...)...)
		if p.Stderr.Find(0, patience, `"msg":"leaf ready"`) != "" {
			got = &runningLeaf{p, name, "nats://" + host}
			return true
		}
		if !strings.Contains(p.Stderr.Text(), "address already in use") {
			t.Fatalf("the leaf does not start again:\n%s", p.Stderr.Tail())
		}
		return false
	})
	return got
}
