// The run, and what it reports.

package churn

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	binary   = flag.String("tidepool", "", "the binary to run (default: one built for it, with the race detector where that can be)")
	duration = flag.Duration("duration", 7*time.Second, "how long")
	every    = flag.Duration("every", time.Second, "between two changes")
	clients  = flag.Int("clients", 12, "clients, each with a connection to both proxies")
	pace     = flag.Duration("pace", time.Millisecond, "between two requests of a client")
	etcd     = flag.Bool("etcd", true, "etcd and the networks before it fail, too")
	away     = flag.String("unreachable-after", "1s", "of the proxies: how long they miss a leaf before its keys go to others; 0: its lease is waited for")
	seed     = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of keys and of what happens")
)

// leaves is how many there are at the start, and again at the end.
const leaves = 5

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChurn: no wrong answer, however leaves come and go, and proxies that need no more at the end than at the start.
func TestChurn(t *testing.T) {
	path := *binary
	if path == "" {
		path = build(t)
	}
	w := startWorld(t, path, leaves)
	c := &churner{w: w, r: rand.New(rand.NewPCG(*seed, 1)), every: *every, count: map[string]int{}, before: map[string]bool{}}
	l := &load{clients: *clients, pace: *pace, keys: make([]key, 3000), begin: time.Now(), matter: &c.now}
	for _, p := range w.proxies {
		l.addrs = append(l.addrs, p.addr)
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(t.Output(), "%7.1fs  %s\n", l.now().Seconds(), fmt.Sprintf(format, args...))
	}
	w.say, c.say = say, say
	say("seed %d, %v, a change every %v", *seed, *duration, *every)
	for i := range leaves {
		c.before[leafName(i)] = true
	}
	u := &usage{proxies: w.proxies, base: goroutines(w)}

	ctx, cancel := context.WithTimeout(t.Context(), *duration)
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { l.run(ctx, *seed) })
	beside.Go(func() { u.watch(ctx) })
	err := c.run(ctx)
	cancel()
	beside.Wait()
	took := l.now()
	if err == nil {
		err = c.restore(leaves)
	}
	if err == nil {
		w.whole()
	}
	report(t.Output(), l, c, u, took)
	if err != nil {
		t.Error(err)
	}
	for _, text := range l.wrong {
		t.Errorf("wrong: %s", text)
	}
	if hits := l.hits.Load(); hits < l.requests.Load()/20 {
		t.Errorf("%d hits of %d requests: that is no cache", hits, l.requests.Load())
	}
	u.judge(t, w)
}

// build makes the binary.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tidepool")
	args := []string{"build", "-o", path}
	c := exec.Command("go")
	c.Env = os.Environ()
	if _, err := exec.LookPath("gcc"); err == nil {
		args, c.Env = append(args, "-race"), append(c.Env, "CGO_ENABLED=1")
	}
	c.Args = append(append(c.Args, args...), "github.com/tidepool-proxy/tidepool/cmd/tidepool")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// restore makes as many leaves as there were.
func (c *churner) restore(n int) error {
	for len(c.w.leaves) > n {
		if err := c.w.kill(c.w.leaves[0]); err != nil {
			return err
		}
	}
	for len(c.w.leaves) < n {
		if err := c.join(); err != nil {
			return err
		}
	}
	return nil
}

func goroutines(w *world) (out []float64) {
	for _, p := range w.proxies {
		out = append(out, p.metric("go_goroutines "))
	}
	return out
}

// usage is what proxies need.
type usage struct {
	proxies []*node
	base    []float64
	rss     [2][]int64 // bytes, four times a second
}

func (u *usage) watch(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i, p := range u.proxies {
			if rss, err := p.RSS(); err == nil {
				u.rss[i] = append(u.rss[i], rss)
			}
		}
	}
}

// halves are the peaks of the first half, without the first tenth in which buffers fill, and of the second, in MiB.
func (u *usage) halves(i int) (early, late int64) {
	all := u.rss[i]
	if len(all) < 20 {
		return 0, 0
	}
	return slices.Max(all[len(all)/10:len(all)/2]) >> 20, slices.Max(all[len(all)/2:]) >> 20
}

// judge wants proxies that need no more than they did.
func (u *usage) judge(t *testing.T, w *world) {
	t.Helper()
	for i, p := range u.proxies {
		more := 5.0 // a connection to admin that is being closed, a probe
		if *duration < time.Minute {
			more = 30 // and previous owners, which are let go after a minute: a short run does not wait for that
		}
		enough := func() bool { return goroutines(w)[i] <= u.base[i]+more }
		for end := time.Now().Add(3 * patience); !enough(); time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Errorf("%s has %.0f goroutines and had %.0f:\n%s", p.name, goroutines(w)[i], u.base[i], p.page("/debug/pprof/goroutine?debug=1"))
				break
			}
		}
		early, late := u.halves(i)
		if len(u.rss[i]) >= 4*60 && late > early*5/4+24 { // in less than a minute memory has not come to rest, least with the race detector
			t.Errorf("the memory of %s grows: %d MiB at most in the first half, %d MiB in the second", p.name, early, late)
		}
	}
}

// report prints the table.
func report(out io.Writer, l *load, c *churner, u *usage, took time.Duration) {
	say := func(what, format string, args ...any) {
		fmt.Fprintf(out, "%-26s "+format+"\n", append([]any{what}, args...)...)
	}
	say("time", "%v", took.Round(100*time.Millisecond))
	for _, k := range slices.Concat(comings, cuts, etcdKinds, []string{"etcd compacted"}) {
		say(k, "%d", c.count[k])
	}
	say("a stop took", "%v", &durations{all: c.drains})
	say("killed leaves were members", "%v", &c.member)
	n, hits, misses := l.requests.Load(), l.hits.Load(), l.misses.Load()
	say("requests", "%d, %.0f/s", n, float64(n)/took.Seconds())
	say("gets", "%d hits, %d misses (%.2f %%)", hits, misses, 100*float64(misses)/float64(max(1, hits+misses)))
	say("errors", "%d (%.3f %%)", l.failed.Load(), 100*float64(l.failed.Load())/float64(max(1, n)))
	l.failures.report(say, n, reasons(u.proxies))
	for i, p := range u.proxies {
		early, late := u.halves(i)
		say(p.name, "goroutines %.0f, before %.0f; MiB %d, then %d", p.metric("go_goroutines "), u.base[i], early, late)
	}
	say("wrong answers", "%d", l.faults())
}
