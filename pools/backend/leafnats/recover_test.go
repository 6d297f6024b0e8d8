// A leaf that dies and comes back with its neighbour's items, while two proxies write to both.

package leafnats

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

const (
	recoverGroups = 500 // of keys that are written together
	recoverKeys   = 20  // in a group
	recoverRest   = 200 // of the groups, are not written while the rest is read: what was written early and is old must be dropped, not written over
)

// replicas are two leaves, the first of which dies, and what both hold.
type replicas struct {
	t      *testing.T
	groups [recoverGroups]struct {
		sync.Mutex
		value [recoverKeys]int // 0: there is none

	}
	warm   atomic.Bool // the first leaf's items may be relied on
	reads  atomic.Bool // and are being read
	writes atomic.Int64
	alone  atomic.Int64 // of them, that went to the neighbour alone
	again  atomic.Int64 // of which nobody knows whether the first leaf has them: they are done again
}

func replicaKey(g, k int) string { return fmt.Sprintf("key:%d:%d", g, k) }

// writer writes through one proxy until stop is closed. A write counts as done if the neighbour has it, and the first leaf, too,
// unless the proxy holds that one for down.
func (r *replicas) writer(n int, a, b *Backend, stop <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	c := newClient(r.t, uint32(n))
	for i := n; !r.t.Failed(); i += 100 {
		select {
		case <-stop:
			return
		default:
		}
		least := 0
		if r.reads.Load() {
			least = recoverRest
		}
		at := least + rnd.IntN(recoverGroups-least)
		g := &r.groups[at]
		g.Lock()
		for !r.write(c, rnd.IntN(4) == 0, at, i, a, b) {
			r.again.Add(1)
		}
		r.read(c, at, a)
		g.Unlock()
	}
}

// write writes half a group to both, and reports whether it is known what came of it.
func (r *replicas) write(c *client, remove bool, at, i int, a, b *Backend) bool {
	g := &r.groups[at]
	for k := 0; k < recoverKeys; k += 2 {
		line := fmt.Sprintf("ms %s %d F%d\r\n%d\r\n", replicaKey(at, k+i%2), len(fmt.Sprint(i)), i%1000, i)
		if remove {
			line = "md " + replicaKey(at, k+i%2) + "\r\n"
		}
		req := request(r.t, line)
		c.send(a, 2*k, req)
		c.send(b, 2*k+1, req)
	}
	got := c.take(recoverKeys)
	known := true
	for k := 0; k < recoverKeys; k += 2 {
		if got[2*k+1].Err != nil {
			r.t.Errorf("the neighbour fails: %v", got[2*k+1].Err)
		}
		if err := got[2*k].Err; err != nil && a.Status().Up {
			known = false
		} else if err != nil {
			r.alone.Add(1)
		}
		if g.value[k+i%2] = i; remove {
			g.value[k+i%2] = 0
		}
		r.writes.Add(1)
	}
	return known
}

// read sees what the first leaf gives once it is warm.
func (r *replicas) read(c *client, at int, a *Backend) {
	if !r.warm.Load() {
		return
	}
	for k := range recoverKeys {
		c.send(a, k, request(r.t, "get "+replicaKey(at, k)+"\r\n"))
	}
	for k, p := range c.take(recoverKeys) {
		if p.Err == nil && r.warm.Load() {
			r.judge(at, k, strings.Fields(text(p)))
		}
	}
}

// judge compares an answer to get: a miss is always right.
func (r *replicas) judge(at, k int, words []string) bool {
	want := r.groups[at].value[k]
	if len(words) == 1 {
		return false
	}
	if len(words) != 6 || want == 0 || words[4] != fmt.Sprint(want) || words[2] != fmt.Sprint(want%1000) {
		r.t.Errorf("key %d:%d is %q, want %d", at, k, words, want)
	}
	return true
}

func TestRecoveryUnderWrites(t *testing.T) {
	addr := freePort(t)
	neighbour := startLeaf(t, leaf.Options{Name: "leaf-2"})
	first := startLeaf(t, leaf.Options{Name: "leaf-1", Listen: addr})
	r := &replicas{t: t}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	halt := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer halt()
	late := newRelay(t, addr) // on the second proxy's way to the first leaf
	var to [2]*Backend
	for proxy, way := range []string{addr, late.ln.Addr().String()} {
		// A leaf that is slow stays up: a proxy that holds one for down although it lives writes past it, and then replicas are none.
		o := Options{Conns: NewConns(Access{}), HelloInterval: 50 * time.Millisecond, HelloLimit: patience, Timeout: patience}
		var b [2]*Backend
		for i, url := range []string{"nats://" + way, neighbour.URL()} {
			o.URL = url
			b[i] = startBackend(t, o)
			if got := newClient(t, 0).do(b[i], "mn\r\n"); got != "MN\r\n" {
				t.Fatal(got)
			}
		}
		to[proxy] = b[0]
		for n := range 2 {
			wg.Go(func() { r.writer(1+2*proxy+n, b[0], b[1], stop) })
		}
	}
	soon := func(what string, f func() bool) {
		t.Helper()
		for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
			switch {
			case t.Failed():
				t.FailNow() // what is recorded is wrong from here on: whatever followed would be found missing
			case time.Now().After(limit):
				t.Fatalf("never %s", what)
			}
		}
	}
	more := func(n int64) {
		for to := r.writes.Load() + n; r.writes.Load() < to; {
			next := min(to, r.writes.Load()+100) // a busy machine is slow; it has stopped if not even these come
			soon("written", func() bool { return r.writes.Load() >= next })
		}
	}
	dropped := int64(0)
	for round := range 3 {
		more(recoverGroups * recoverKeys * 2)
		r.warm.Store(false)
		_ = first.Close(cut)
		soon("down", func() bool { return !to[0].Status().Up && !to[1].Status().Up })
		late.halt.Lock()
		release := sync.OnceFunc(late.halt.Unlock)
		defer release()
		more(recoverGroups * recoverKeys / 2)
		first = startLeaf(t, leaf.Options{Name: "leaf-1", Listen: addr, Recover: leaf.Recover{
			From: []string{neighbour.URL() + "/leaf-2"}, Settle: 100 * time.Millisecond, Timeout: patience, Wait: patience,
		}})
		soon("up", func() bool { return to[0].Status().Up })
		more(recoverGroups * recoverKeys) // by one to both, by the other to the neighbour alone
		if first.Warm() == nil || to[1].Status().Up {
			t.Errorf("round %d: it did not wait for the second proxy", round)
		}
		r.reads.Store(true)
		release()
		soon("warm", func() bool { return first.Warm() == nil })
		r.reads.Store(false)
		r.warm.Store(true)
		st, _ := first.Recovery()
		if st.State != leaf.RecoverWarm || st.Items == 0 {
			t.Errorf("round %d: %+v", round, st)
		}
		dropped += st.Dropped
		t.Logf("round %d: %s, %d items taken, %d known, %d dropped, in %v", round, st.State, st.Items, st.Known, st.Dropped, st.Took)
	}
	more(recoverGroups * recoverKeys / 10)
	halt()
	t.Logf("%d writes, %d to the neighbour alone, %d batches done again", r.writes.Load(), r.alone.Load(), r.again.Load())
	if r.alone.Load() == 0 || dropped == 0 {
		t.Errorf("%d writes to the neighbour alone, %d items dropped: nothing was shown", r.alone.Load(), dropped)
	}
	r.compare(first, neighbour)
}

// compare looks at every key of both leaves.
func (r *replicas) compare(first, neighbour *leaf.Leaf) {
	all := func(l *leaf.Leaf) map[string]string {
		m := map[string]string{}
		l.Local().Store.Scan(nil, true, func(it *store.Listed) bool { m[string(it.Key)] = string(it.Value); return true })
		return m
	}
	mine, its := all(first), all(neighbour)
	missing := 0
	for at := range r.groups {
		for k, v := range r.groups[at].value {
			key, want := replicaKey(at, k), fmt.Sprint(v)
			if v == 0 {
				want = ""
			}
			if its[key] != want {
				r.t.Errorf("%s at the neighbour is %q, want %q", key, its[key], want)
			}
			if got, ok := mine[key]; ok && got != want {
				r.t.Errorf("%s is %q, want %q", key, got, want)
			} else if !ok && v != 0 {
				missing++
			}
		}
	}
	r.t.Logf("%d of %d items missing", missing, len(its))
	if missing > len(its)/20 {
		r.t.Errorf("%d of %d items are missing", missing, len(its))
	}
}

// A proxy that was stopped for long (SIGSTOP, a virtual machine that was suspended) is forgotten by its leaf, which then counts what it sends anew.
func TestForgottenByTheLeaf(t *testing.T) {
	var ahead atomic.Int64
	l, b := pair(t, leaf.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, MaxItem: 64 << 10, Window: 256 << 10},
		Options{Window: 256 << 10, HelloInterval: 2 * time.Second, HelloLimit: time.Minute, Timeout: 20 * time.Second})
	c, value := newClient(t, 0), strings.Repeat("v", 50<<10)
	if got := c.do(b, set("k", value)); got != "STORED\r\n" {
		t.Fatal(got)
	}
	gets := func() {
		t.Helper()
		for i := range 30 { // six windows' worth
			if got := c.do(b, "get k\r\n"); got != hit("k", value) {
				t.Fatalf("get %d: %.60q; the leaf: %+v", i, got, l.Stats())
			}
		}
	}
	gets()
	for l.Stats().Proxies > 0 { // it looks every second, and may hear a hello before it does
		ahead.Add(int64(31 * time.Second))
		for end := time.Now().Add(1500 * time.Millisecond); l.Stats().Proxies > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
	}
	gets()
}
