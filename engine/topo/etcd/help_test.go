// What the tests share: sources over a real etcd, and watchers that wait.

package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
)

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(childEnv); endpoint != "" {
		child(endpoint)
		return
	}
	goleak.VerifyTestMain(m)
}

// childEnv has the test binary be a leaf, l3 of users, until it is killed.
const childEnv = "TIDEPOOL_TEST_LEAF"

func child(endpoint string) {
	s, err := New(Options{Endpoints: []string{endpoint}, LeaseTTL: 2 * time.Second})
	if err == nil {
		var r *Registration
		if r, err = s.Register("users", leaf("l3")); err == nil {
			err = r.Await(context.Background())
		}
	}
	fmt.Println("registered", err)
	select {}
}

const patience = 20 * time.Second

// testWriter gives a source's log to the test.
type testWriter struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *testWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// source runs a Source until the test ends.
func source(t *testing.T, endpoints []string, change ...func(*Options)) *Source {
	t.Helper()
	log := &testWriter{}
	o := Options{
		Endpoints: endpoints, LeaseTTL: 2 * time.Second, CheckEvery: 200 * time.Millisecond, DialTimeout: time.Second,
		quiet: 100 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	} else {
		own := o.Log.Handler()
		o.Log = slog.New(slog.NewMultiHandler(own, slog.NewTextHandler(log, nil)))
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%v said:\n%s", o.Proxy, log)
		}
	})
	return s
}

// proxy makes the source a proxy's.
func proxy(id string) func(*Options) {
	return func(o *Options) { o.Proxy = &Proxy{ID: id} }
}

func leaf(name string) topo.Member {
	return topo.Member{Name: name, Addr: "nats://127.0.0.1:1/" + name}
}

func register(t *testing.T, s *Source, pool string, names ...string) (out []*Registration) {
	t.Helper()
	for _, n := range names {
		r, err := s.Register(pool, leaf(n))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	for _, r := range out {
		awaitRegistered(t, r)
	}
	return out
}

func awaitRegistered(t *testing.T, r *Registration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Await(ctx); err != nil {
		t.Fatal(err)
	}
}

// told is what a watcher was told.
type told struct {
	t    *testing.T
	mu   sync.Mutex
	all  []topo.Snapshot
	more chan struct{}
}

// watch watches until the test ends.
func watch(t *testing.T, s *Source, pool string) *told {
	t.Helper()
	w := &told{t: t, more: make(chan struct{})}
	stop := s.Watch(pool, func(snap topo.Snapshot) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.all); n > 0 && snap.Epoch < w.all[n-1].Epoch {
			t.Errorf("pool %s: epoch %d after %d", pool, snap.Epoch, w.all[n-1].Epoch)
		}
		if err := snap.Validate(); err != nil {
			t.Errorf("pool %s: %v", pool, err)
		}
		w.all = append(w.all, snap)
		close(w.more)
		w.more = make(chan struct{})
	})
	t.Cleanup(stop)
	return w
}

// await waits until the newest snapshot is as wanted.
func (w *told) await(what string, ok func(topo.Snapshot) bool) topo.Snapshot {
	w.t.Helper()
	late := time.After(patience)
	for {
		w.mu.Lock()
		all, more := slices.Clone(w.all), w.more
		w.mu.Unlock()
		if n := len(all); n > 0 && ok(all[n-1]) {
			return all[n-1]
		}
		select {
		case <-more:
		case <-late:
			w.t.Fatalf("not told: %s; was told %s", what, show(all))
		}
	}
}

// members waits for those members, by name.
func (w *told) members(want string) topo.Snapshot {
	w.t.Helper()
	return w.await("members "+want, func(s topo.Snapshot) bool { return !s.Stale && list(s.Members) == want })
}

func list(ms []topo.Member) string { return strings.Join(names(ms), " ") }

func show(all []topo.Snapshot) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "\n  %d: members [%s] previous [%s] lost %v stale %v", s.Epoch, list(s.Members), list(s.Previous), s.Lost, s.Stale)
	}
	return b.String()
}

// eventually waits for what nobody tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// raw is a client of its own, for what only others do.
func raw(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// network is a TCP proxy before an address, for as long as the test lasts.
func network(t *testing.T, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// never fails the test if the watcher was ever told of such a membership.
func (w *told) never(what string, bad func(topo.Snapshot) bool) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		if bad(s) {
			w.t.Errorf("%s: was told %s", what, show(w.all))
			return
		}
	}
}

// logTo has the source write its log there.
func logTo(w *testWriter) func(*Options) {
	return func(o *Options) { o.Log = slog.New(slog.NewTextHandler(w, nil)) }
}

func countLines(text, part string) (n int) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
