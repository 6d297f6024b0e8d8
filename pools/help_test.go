// What the tests share: backends that only count, and a waiter.

package pools

import (
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a backend that answers nothing but counts.
type fake struct {
	name   string
	sent   atomic.Int64
	closed atomic.Int64
}

func (f *fake) Name() string           { return f.name }
func (f *fake) Status() backend.Status { return backend.Status{Name: f.name} }
func (f *fake) Close() error           { f.closed.Add(1); return nil }
func (f *fake) Send(_ *mc.Request, p *backend.Pending) {
	f.sent.Add(1)
	p.Backend = f
	if w := p.Waiter; w.Done(p) {
		w.Wake()
	}
}

// fakes makes members of these names, hashed as host NAME and port 11211.
func fakes(names ...string) []Member {
	var ms []Member
	for _, n := range names {
		ms = append(ms, Member{Backend: &fake{name: n}, Host: n, Port: "11211"})
	}
	return ms
}

// tally is a waiter that counts.
type tally struct{ done, wakes atomic.Int64 }

func (w *tally) Done(*backend.Pending) bool { w.done.Add(1); return true }
func (w *tally) Wake()                      { w.wakes.Add(1) }

func mustPool(t testing.TB, o Options, ms []Member) *Pool {
	t.Helper()
	p, err := New(o, ms)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get is a request for key.
func get(t testing.TB, key string) *mc.Request { return request(t, "get "+key+"\r\n") }

func request(t testing.TB, s string) *mc.Request {
	t.Helper()
	var p mc.Parser
	r := new(mc.Request)
	if _, _, err := p.Next([]byte(s), &mc.Rules{}, r); err != nil || r.Bad != mc.BadNone {
		t.Fatalf("cannot parse %q: %v, bad %v", s, err, r.Bad)
	}
	return r
}

// factory makes fakes and counts them.
type factory struct {
	mu   sync.Mutex
	made []*fake
	err  error
}

func (f *factory) make(s Spec, _ func(backend.Event)) (backend.Backend, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	b := &fake{name: s.Name()}
	f.made = append(f.made, b)
	return b, nil
}
