// Registry: the backends themselves, shared by identity and counted.

package pools

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/memcached"
)

// Factory makes and starts the backend that a valid Spec describes. It must not wait for the network. tell, which is never nil, hears
// of the backend's connections; see RegistryOptions.OnEvent.
type Factory func(s Spec, tell func(backend.Event)) (backend.Backend, error)

// RegistryOptions are a Registry's. The zero value connects to memcached servers and refuses leaves.
type RegistryOptions struct {
	Dry          bool                   // never connects: Acquire checks and gives backends that refuse everything (for `tidepool check`)
	NewLeaf      Factory                // nil: leaves cannot be used
	NewMemcached Factory                // nil: package memcached
	OnEvent      func(backend.Event)    // told by backends about their connections; must not block. nil: nobody
	Room         func() bool            // whether more answers may be held: without room a memcached's answer costs it its connection. nil: always
	OnRequest    func(backend.LogEntry) // told of requests that a Spec's Log asks for; must not block. nil: nobody
	Loop         *sock.Loop             // what connections to memcached servers are handled in while it is on; nil: goroutines of their own
	Log          *slog.Logger           // nil: nothing is logged

	// Linger is how long a backend that nobody holds stays open: a request picked from the membership that was just
	// swapped out still ends well, and what comes back at once finds its connections. 0: it is closed at once.
	Linger time.Duration
	// AfterFunc runs f after d in its own goroutine and gives what cancels it. nil: time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// Registry holds every open backend of a process (of an engine), outside generations, so that a reload which changes nothing
// opens and closes no connection. All methods may be called concurrently.
type Registry struct {
	o RegistryOptions

	mu     sync.Mutex
	closed bool
	gone   Totals // of the backends that were closed
	bySpec map[Spec]*entry
	byBack map[backend.Backend]*entry
}

// entry is one backend.
type entry struct {
	spec    Spec
	backend backend.Backend
	refs    int
	idle    int         // times refs has become 0
	stop    func() bool // cancels the closing while refs is 0
}

// Held is one backend of a Registry at one moment.
type Held struct {
	Spec    Spec
	Backend backend.Backend
	Refs    int // 0: lingering
}

// ErrRegistryClosed: Acquire after Close.
var ErrRegistryClosed = errors.New("registry is closed")

// NewRegistry gives an empty registry.
func NewRegistry(o RegistryOptions) *Registry {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AfterFunc == nil {
		o.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if o.OnEvent == nil {
		o.OnEvent = func(backend.Event) {}
	}
	r := &Registry{o: o, bySpec: map[Spec]*entry{}, byBack: map[backend.Backend]*entry{}}
	if r.o.NewMemcached == nil {
		r.o.NewMemcached = func(s Spec, tell func(backend.Event)) (backend.Backend, error) {
			return newMemcached(s, tell, r.o.Room, r.o.Loop)
		}
	}
	return r
}

// Acquire gives the backend of spec, made and connecting in the background if nobody has it yet. Each Acquire wants one Release.
func (r *Registry) Acquire(spec Spec) (backend.Backend, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrRegistryClosed
	}
	if e := r.bySpec[spec]; e != nil {
		if e.refs == 0 {
			e.stop()
		}
		e.refs++
		return e.backend, nil
	}
	b, err := r.make(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot make backend %q: %w", spec.Name(), err)
	}
	if spec.FlushOnReturn {
		b = backend.WithFlush(b, func() { r.o.Log.Warn("backend was away and missed writes: it was flushed", "backend", spec.Name()) })
	}
	if spec.Log != (backend.LogRule{}) && r.o.OnRequest != nil {
		b = backend.WithLog(b, spec.Log, r.o.OnRequest)
	}
	e := &entry{spec: spec, backend: b, refs: 1}
	r.bySpec[spec], r.byBack[b] = e, e
	return b, nil
}

func (r *Registry) make(spec Spec) (backend.Backend, error) {
	if spec.TLS.On { // before a dry one: its files are a part of the configuration
		if _, err := spec.TLS.Config(spec.Addr.Host); err != nil {
			return nil, err
		}
	}
	switch {
	case r.o.Dry:
		return &dry{spec}, nil
	case spec.Addr.Kind == Leaf && r.o.NewLeaf == nil:
		return nil, errors.New("leaves over NATS are not available here")
	case spec.Addr.Kind == Leaf:
		return r.o.NewLeaf(spec, r.o.OnEvent)
	}
	return r.o.NewMemcached(spec, r.o.OnEvent)
}

func newMemcached(s Spec, tell func(backend.Event), room func() bool, loop *sock.Loop) (backend.Backend, error) {
	return memcached.New(memcached.Options{
		Host:           s.Addr.Host,
		Port:           s.Addr.Port,
		Path:           s.Addr.Path,
		Label:          s.Label,
		Name:           s.Name(),
		Connections:    s.Connections,
		Workers:        s.Workers,
		ConnectTimeout: s.ConnectTimeout,
		ReadTimeout:    s.ReadTimeout,
		RetryWait:      s.RetryWait,
		FailureLimit:   s.FailureLimit,
		DepthLimit:     s.DepthLimit,
		FlapTime:       s.FlapTime,
		FlapRamp:       s.FlapRamp,
		FlapMax:        s.FlapMax,
		KeepAlive:      s.KeepAlive,
		Multiget:       s.Multiget,
		AnyKey:         s.AnyKey,
		TLS:            s.TLS,
		Down:           s.Down,
		OnEvent:        tell,
		Room:           room,
		Loop:           loop,
	})
}

// Release lets go of a backend that Acquire gave. The last one to do so closes it.
func (r *Registry) Release(b backend.Backend) {
	r.mu.Lock()
	e := r.byBack[b]
	if e == nil || e.refs == 0 {
		closed := r.closed
		r.mu.Unlock()
		if !closed {
			panic(fmt.Sprintf("pools: Release of %q, which nobody holds", b.Name()))
		}
		return
	}
	if e.refs--; e.refs > 0 {
		r.mu.Unlock()
		return
	}
	if r.o.Linger > 0 {
		e.idle++
		idle := e.idle
		e.stop = r.o.AfterFunc(r.o.Linger, func() { r.reap(e, idle) })
		r.mu.Unlock()
		return
	}
	r.forgetLocked(e)
	r.mu.Unlock()
	r.close(e)
}

// reap closes e when its time has come, unless somebody took it again meanwhile.
func (r *Registry) reap(e *entry, idle int) {
	r.mu.Lock()
	if e.refs > 0 || e.idle != idle || r.byBack[e.backend] != e {
		r.mu.Unlock()
		return
	}
	r.forgetLocked(e)
	r.mu.Unlock()
	r.close(e)
}

func (r *Registry) forgetLocked(e *entry) {
	delete(r.bySpec, e.spec)
	delete(r.byBack, e.backend)
	r.gone.count(e.backend.Status())
}

func (r *Registry) close(e *entry) {
	if err := e.backend.Close(); err != nil {
		r.o.Log.Warn("cannot close backend", "backend", e.backend.Name(), "err", err)
	}
}

// Totals are what happened to all backends since the process began, those that are closed included.
type Totals struct {
	MarkedBad uint64 // times a connection was marked bad
	Failed    uint64 // times one failed and was opened again at once
	Refused   uint64 // requests refused because too many were queued
}

func (t *Totals) count(s backend.Status) {
	t.MarkedBad += s.MarkedBad
	t.Failed += s.Failed
	t.Refused += s.Refused
}

// Totals are the registry's.
func (r *Registry) Totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.gone
	for _, e := range r.bySpec {
		t.count(e.backend.Status())
	}
	return t
}

// All is every backend, ordered by name, then address.
func (r *Registry) All() []Held {
	r.mu.Lock()
	all := make([]Held, 0, len(r.bySpec))
	for _, e := range r.bySpec {
		all = append(all, Held{e.spec, e.backend, e.refs})
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(
			cmp.Compare(a.Spec.Name(), b.Spec.Name()),
			cmp.Compare(a.Spec.Addr.URL(), b.Spec.Addr.URL()),
			cmp.Compare(a.Spec.Prefix, b.Spec.Prefix),
			cmp.Compare(a.Spec.Workers, b.Spec.Workers),
		)
	})
	return all
}

// Close closes every backend, held or not; Acquire fails from now on and Release does nothing.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	var all []*entry
	for _, e := range r.bySpec {
		if e.refs == 0 {
			e.stop()
		}
		all = append(all, e)
	}
	clear(r.bySpec)
	clear(r.byBack)
	r.mu.Unlock()
	for _, e := range all {
		r.close(e)
	}
	return nil
}

// dry is a backend that never connects.
type dry struct{ spec Spec }

func (d *dry) Send(_ *mc.Request, p *backend.Pending) {
	p.Backend = d
	backend.Refuse(p, backend.ErrDown)
}
func (d *dry) Name() string { return d.spec.Name() }
func (d *dry) Status() backend.Status {
	return backend.Status{Name: d.Name(), Addr: d.spec.Addr.String(), Down: true}
}
func (d *dry) Close() error { return nil }
