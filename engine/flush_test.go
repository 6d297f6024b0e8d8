package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// flushable stands in for a leaf: it takes flush_all as a request, and prefixes.
type flushable struct {
	backend.Backend
	name string
	fail error

	mu      sync.Mutex
	flushed []string
}

func (f *flushable) Name() string           { return f.name }
func (f *flushable) Status() backend.Status { return backend.Status{Name: f.name, Up: true} }
func (f *flushable) Close() error           { return nil }

func (f *flushable) Send(r *mc.Request, p *backend.Pending) {
	f.note(string(r.Line))
	p.Buf = append(p.Buf[:0], "OK\r\n"...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		panic(err)
	}
	p.Waiter.Done(p)
}

func (f *flushable) FlushPrefix(_ context.Context, prefix []byte) error {
	f.note("prefix " + string(prefix))
	return f.fail
}

func (f *flushable) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed = append(f.flushed, s)
}

func TestFlushPool(t *testing.T) {
	leaves := map[string]*flushable{}
	allowed := func(o *Options) {
		o.AllowFlush = true
		o.NewLeaf = func(s pools.Spec, _ func(backend.Event)) (backend.Backend, error) {
			leaves[s.Addr.Name] = &flushable{name: s.Addr.Name}
			return leaves[s.Addr.Name], nil
		}
	}
	b := newFakeBackend(t)
	config := writeConfig(t, `
pool{ name = "leaves", backends = { "nats://h:1/one", "nats://h:1/two" } }
pool{ name = "mixed", backends = { "nats://h:1/two", "$1" } }
router{ default_pool = "leaves" }`, b.addr())
	p := startProxy(t, config, allowed)
	f := func(pool, prefix, wantErr string, want map[string]string, done ...string) {
		t.Helper()
		got, err := p.Flush(t.Context(), pool, []byte(prefix))
		if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) || !slices.Equal(got, done) {
			t.Errorf("%s %q: %v, %v; want %v, %q", pool, prefix, got, err, done, wantErr)
		}
		for name, l := range leaves {
			if s := strings.Join(l.flushed, ","); s != want[name] {
				t.Errorf("%s %q: %s did %q, want %q", pool, prefix, name, s, want[name])
			}
			l.flushed = nil
		}
	}
	f("leaves", "a:", "", map[string]string{"one": "prefix a:", "two": "prefix a:"}, "one", "two")
	f("leaves", "", "", map[string]string{"one": "flush_all", "two": "flush_all"}, "one", "two")
	f("other", "", `there is no such pool: want "leaves", "mixed"`, nil)
	f("mixed", "a:", `backend "`+b.addr()+`": a memcached server cannot flush a prefix`, nil)
	leaves["two"].fail = backend.ErrDown
	f("leaves", "a:", `cannot flush all of pool "leaves": 1 of 2 backends failed: backend "two": `, map[string]string{"one": "prefix a:", "two": "prefix a:"}, "one")

	answered := make(chan struct{})
	go func() { // the memcached server of the pool
		b.sees("flush_all\r\n")
		b.says("OK\r\n")
		close(answered)
	}()
	f("mixed", "", "", map[string]string{"two": "flush_all"}, "two", b.addr())
	<-answered

	p = startProxy(t, config, allowed, func(o *Options) { o.AllowFlush = false })
	if _, err := p.Flush(t.Context(), "leaves", nil); !errors.Is(err, ErrFlushForbidden) {
		t.Errorf("without being allowed: %v", err)
	}
	f("leaves", "a:", "--allow-flush", nil)
}

// The admin address is served for longer than the proxy.
func TestFlushAfterShutdown(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	p, err := Start(Options{Listen: []string{"127.0.0.1:0"}, Local: local, AllowFlush: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Flush(t.Context(), "any", nil); err == nil || !strings.Contains(err.Error(), "the proxy stops") {
		t.Errorf("got %v", err)
	}
}
