package pools

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

var hostA, hostB = Address{Host: "a", Port: "1"}, Address{Host: "b", Port: "1"}

func acquire(t testing.TB, r *Registry, s Spec) backend.Backend {
	t.Helper()
	b, err := r.Acquire(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names is the registry's content, as "name*refs".
func names(r *Registry) string {
	var s []string
	for _, h := range r.All() {
		s = append(s, h.Backend.Name()+strings.Repeat("*", h.Refs))
	}
	return strings.Join(s, " ")
}

func TestRegistryShares(t *testing.T) {
	var f factory
	r := NewRegistry(RegistryOptions{NewMemcached: f.make, NewLeaf: f.make})
	defer r.Close()
	base := Spec{Addr: hostA}
	first := acquire(t, r, base)
	if again := acquire(t, r, base); again != first || len(f.made) != 1 {
		t.Errorf("the same spec made another backend")
	}
	// Whatever differs makes another one.
	other := map[string]Spec{
		"address":     {Addr: hostB},
		"label":       {Addr: hostA, Label: "l"},
		"prefix":      {Addr: hostA, Prefix: "p"},
		"workers":     {Addr: hostA, Workers: 1},
		"tls":         {Addr: hostA, TLS: backend.TLS{On: true}},
		"tls name":    {Addr: hostA, TLS: backend.TLS{On: true, Name: "n"}},
		"log":         {Addr: hostA, Log: backend.LogRule{Rate: 1}},
		"connections": {Addr: hostA, Connections: 2},
		"timeout":     {Addr: hostA, ReadTimeout: time.Second},
		"limit":       {Addr: hostA, FailureLimit: 1},
		"down":        {Addr: hostA, Down: true},
		"kind":        {Addr: Address{Kind: Leaf, Host: "a", Port: "1"}},
		"leaf":        {Addr: Address{Kind: Leaf, Host: "a", Port: "1", Name: "leaf-1"}},
		"user":        {Addr: Address{Kind: Leaf, Host: "a", Port: "1", User: "u"}},
	}
	for what, s := range other {
		if acquire(t, r, s) == first {
			t.Errorf("another %s shares the backend", what)
		}
	}
	if got := len(r.All()); got != len(other)+1 || len(f.made) != got {
		t.Errorf("%d backends, %d made, want %d", got, len(f.made), len(other)+1)
	}
}

func TestRegistryCounts(t *testing.T) {
	var f factory
	r := NewRegistry(RegistryOptions{NewMemcached: f.make})
	a := acquire(t, r, Spec{Addr: hostA})
	acquire(t, r, Spec{Addr: hostA})
	b := acquire(t, r, Spec{Addr: hostB})
	check := func(want string, aClosed, bClosed int64) {
		t.Helper()
		if got := names(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if x, y := a.(*fake).closed.Load(), b.(*fake).closed.Load(); x != aClosed || y != bClosed {
			t.Errorf("closed %d and %d times, want %d and %d", x, y, aClosed, bClosed)
		}
	}
	check("a:1** b:1*", 0, 0)
	r.Release(a)
	check("a:1* b:1*", 0, 0)
	r.Release(a)
	check("b:1*", 1, 0)
	if acquire(t, r, Spec{Addr: hostA}) == a {
		t.Error("a closed backend was given out")
	}
	r.Release(b)
	check("a:1*", 1, 1)
	r.Close()
	check("", 1, 1)
	if f.made[2].closed.Load() != 1 {
		t.Error("Close left one open")
	}
	if _, err := r.Acquire(Spec{Addr: hostA}); !errors.Is(err, ErrRegistryClosed) {
		t.Errorf("Acquire after Close: %v", err)
	}
	r.Release(f.made[2]) // whoever still held it may say so
	check("", 1, 1)
}

// A Release too many would close a backend under somebody's feet.
func TestRegistryReleaseTwice(t *testing.T) {
	var f factory
	r := NewRegistry(RegistryOptions{NewMemcached: f.make})
	defer r.Close()
	a := acquire(t, r, Spec{Addr: hostA})
	r.Release(a)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	r.Release(a)
}

// timers are AfterFunc's, fired by hand.
type timers struct{ list []*timer }

type timer struct {
	d       time.Duration
	f       func()
	stopped bool
}

func (ts *timers) after(d time.Duration, f func()) func() bool {
	x := &timer{d: d, f: f}
	ts.list = append(ts.list, x)
	return func() bool { was := x.stopped; x.stopped = true; return !was }
}

func TestRegistryLingers(t *testing.T) {
	var f factory
	var ts timers
	r := NewRegistry(RegistryOptions{NewMemcached: f.make, Linger: time.Second, AfterFunc: ts.after})
	a := acquire(t, r, Spec{Addr: hostA})
	r.Release(a)
	if names(r) != "a:1" || f.made[0].closed.Load() != 0 || ts.list[0].d != time.Second {
		t.Errorf("released: %q, closed %d", names(r), f.made[0].closed.Load())
	}
	if acquire(t, r, Spec{Addr: hostA}) != a || !ts.list[0].stopped {
		t.Error("what lingers was not taken again")
	}
	ts.list[0].f() // it was too late to stop it
	if f.made[0].closed.Load() != 0 {
		t.Error("closed while held")
	}
	r.Release(a)
	ts.list[0].f() // the old one again: this is not its idleness
	if f.made[0].closed.Load() != 0 {
		t.Error("closed by an old timer")
	}
	ts.list[1].f()
	if names(r) != "" || f.made[0].closed.Load() != 1 {
		t.Errorf("after its time: %q, closed %d times", names(r), f.made[0].closed.Load())
	}

	b := acquire(t, r, Spec{Addr: hostB})
	r.Release(b)
	r.Close()
	ts.list[2].f()
	if !ts.list[2].stopped || b.(*fake).closed.Load() != 1 {
		t.Errorf("Close: timer stopped %v, closed %d times", ts.list[2].stopped, b.(*fake).closed.Load())
	}
}

func TestRegistryErrors(t *testing.T) {
	bad := errors.New("no luck")
	f := factory{err: bad}
	r := NewRegistry(RegistryOptions{NewMemcached: f.make})
	defer r.Close()
	check := func(s Spec, want string) {
		t.Helper()
		if _, err := r.Acquire(s); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
		if names(r) != "" {
			t.Errorf("left behind: %s", names(r))
		}
	}
	check(Spec{}, "backend must have a host argument")
	check(Spec{Addr: hostA, Connections: 9}, "backend connections argument must be <= 8")
	check(Spec{Addr: hostA}, `cannot make backend "a:1": no luck`)
	check(Spec{Addr: Address{Kind: Leaf, Host: "h", Port: "1", User: "u:secret"}},
		`cannot make backend "nats://***@h:1": leaves over NATS are not available here`)
	if _, err := r.Acquire(Spec{Addr: hostA}); !errors.Is(err, bad) {
		t.Errorf("%v does not wrap the factory's error", err)
	}
}

// Dry: everything is checked and nothing is made.
func TestRegistryDry(t *testing.T) {
	f := factory{err: errors.New("a factory was called")}
	r := NewRegistry(RegistryOptions{Dry: true, NewMemcached: f.make, NewLeaf: f.make})
	defer r.Close()
	for _, s := range []Spec{{Addr: hostA, Label: "x"}, {Addr: Address{Kind: Leaf, Host: "h", Port: "1", Name: "leaf-1"}}} {
		b := acquire(t, r, s)
		if b.Name() != s.Name() || !b.Status().Down {
			t.Errorf("%+v", b.Status())
		}
		pe := &backend.Pending{Waiter: new(tally)}
		b.Send(get(t, "k"), pe)
		if !errors.Is(pe.Err, backend.ErrDown) || pe.Backend != b {
			t.Errorf("%v", pe.Err)
		}
		r.Release(b)
	}
	if _, err := r.Acquire(Spec{Addr: hostA, Connections: 9}); err == nil {
		t.Error("a bad spec passed")
	}
}

func TestRegistryConcurrently(t *testing.T) {
	var f factory
	r := NewRegistry(RegistryOptions{NewMemcached: f.make})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				b, err := r.Acquire(Spec{Addr: hostA, Workers: i % 2})
				if err != nil {
					t.Error(err)
					return
				}
				if b.(*fake).closed.Load() != 0 {
					t.Error("a closed backend was given out")
				}
				r.All()
				r.Release(b)
			}
		})
	}
	wg.Wait()
	for i, b := range f.made {
		if n := b.closed.Load(); n != 1 {
			t.Errorf("backend %d of %d was closed %d times", i, len(f.made), n)
		}
	}
	r.Close()
}

// What happened is not forgotten with the backend that it happened to.
func TestRegistryTotals(t *testing.T) {
	made := 0
	r := NewRegistry(RegistryOptions{NewMemcached: func(s Spec, _ func(backend.Event)) (backend.Backend, error) {
		made++
		return &counted{fake{name: s.Name()}, uint64(made)}, nil
	}})
	defer r.Close()
	a := acquire(t, r, Spec{Addr: hostA})
	b := acquire(t, r, Spec{Addr: hostB})
	want := Totals{MarkedBad: 3, Failed: 30, Refused: 300}
	for range 2 {
		if got := r.Totals(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if b != nil {
			r.Release(b)
			b = nil
		}
	}
	r.Release(a)
	acquire(t, r, Spec{Addr: hostA})
	want = Totals{MarkedBad: 6, Failed: 60, Refused: 600}
	if got := r.Totals(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// counted is a backend that n bad things have happened to.
type counted struct {
	fake
	n uint64
}

func (c *counted) Status() backend.Status {
	return backend.Status{MarkedBad: c.n, Failed: 10 * c.n, Refused: 100 * c.n}
}

// A Spec's Log puts a reporter in front of the backend, and files that TLS names are read when it is made, dry or not.
func TestRegistryLogAndTLS(t *testing.T) {
	var f factory
	var lines []string
	r := NewRegistry(RegistryOptions{NewMemcached: f.make, OnRequest: func(e backend.LogEntry) { lines = append(lines, e.Tag+" "+string(e.Line)) }})
	defer r.Close()
	for _, rule := range []backend.LogRule{{}, {Rate: 1, Tag: "t"}} {
		b := acquire(t, r, Spec{Addr: hostA, Log: rule})
		b.Send(get(t, "k"), &backend.Pending{Waiter: new(tally)})
	}
	if got := strings.Join(lines, "; "); got != "t get k" || f.made[0].sent.Load() != 1 || f.made[1].sent.Load() != 1 {
		t.Errorf("%q", got)
	}
	dry := NewRegistry(RegistryOptions{Dry: true})
	defer dry.Close()
	for _, r := range []*Registry{r, dry} {
		_, err := r.Acquire(Spec{Addr: hostB, TLS: backend.TLS{On: true, CA: "/none"}})
		if err == nil || !strings.Contains(err.Error(), "cannot read tls_ca: open /none") {
			t.Errorf("%v", err)
		}
	}
}

// With real connections: a second holder opens none, and the last to let go closes it.
func TestRegistryMemcached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var opened atomic.Int64
	closed := make(chan struct{})
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			in := bufio.NewReader(nc)
			in.ReadString('\n')
			nc.Write([]byte("VERSION 1\r\n"))
			in.ReadString('\n') // until it is closed
			nc.Close()
			close(closed)
		}
	}()
	a, err := ParseAddr(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan backend.Event, 10)
	r := NewRegistry(RegistryOptions{OnEvent: func(e backend.Event) { events <- e }})
	defer r.Close()
	first := acquire(t, r, Spec{Addr: a})
	if e := <-events; e.Kind != backend.EventConnected || e.Label != "" || e.Name != a.Host || e.Port != a.Port || first.Name() != a.String() {
		t.Errorf("%+v", e)
	}
	for range 100 { // reloads
		next := acquire(t, r, Spec{Addr: a})
		r.Release(first)
		first = next
	}
	if s := first.Status(); s.Opened != 1 || opened.Load() != 1 || !s.Up {
		t.Errorf("%d connections opened, %+v", opened.Load(), s)
	}
	r.Release(first)
	<-closed
}
