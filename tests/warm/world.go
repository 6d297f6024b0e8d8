// Package warm has leaves and pools in one process, and changes who owns which keys under them: what resizing a pool does to clients.
//
// Who calls it: its own tests, and tests/benchwarm. Leaves are real, with real NATS between them and real pools. What stands in
// for etcd is a World: it decides memberships and hands them to each Proxy when it is told to, so that two go by different ones for as
// long as one wishes. Methods of a World may be called concurrently where it says so.
package warm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// Options of a World. The zero value is usable.
type Options struct {
	Memory  int64         // of each leaf, bytes; 0: 8 MiB
	Warm    time.Duration // how long previous owners are asked; 0: not at all
	Timeout time.Duration // of requests, and of writes that wait for a fence; 0: 3 s
	Links   bool          // between each proxy and each leaf there is one that can be cut

	MaxPayload int // of leaves' NATS messages; 0: as they have it
}

// World is some leaves, some proxies, and what they are told.
type World struct {
	o Options

	mu      sync.Mutex
	leaves  map[string]*leaf.Leaf // nil: it is down
	addrs   map[string]string     // where they are, or were
	last    snapshot
	keep    bool
	proxies []*Proxy
}

// snapshot is a decision of who owns keys.
type snapshot struct {
	epoch, after      uint64
	members, previous []string
	lost              []string
	until             time.Time
}

// NewWorld gives one without leaves.
func NewWorld(o Options) *World {
	if o.Memory == 0 {
		o.Memory = 8 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	return &World{o: o, leaves: map[string]*leaf.Leaf{}, addrs: map[string]string{}}
}

// Start starts a leaf, or one that was killed again. It knows the epoch that was decided last, as etcd would tell it.
func (w *World) Start(name string) error {
	w.mu.Lock()
	epoch := w.last.epoch
	w.mu.Unlock()
	o := leaf.Options{Name: name, Memory: w.o.Memory, Settle: time.Millisecond, Lanes: 2, Epoch: epoch, MaxPayload: w.o.MaxPayload}
	l, err := leaf.Start(context.Background(), o)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.leaves[name], w.addrs[name] = l, l.Addr()
	proxies := slices.Clone(w.proxies)
	w.mu.Unlock()
	for _, p := range proxies {
		p.lead(name, l.Addr())
	}
	return nil
}

// Kill ends a leaf at once.
func (w *World) Kill(name string) {
	w.mu.Lock()
	l := w.leaves[name]
	w.leaves[name] = nil
	w.mu.Unlock()
	if l != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.Close(ctx)
	}
}

// Leaf gives a leaf; nil: it is down.
func (w *World) Leaf(name string) *leaf.Leaf {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaves[name]
}

// Decide makes those the owners of keys from now on. Nobody is told. lost are former owners that have died.
func (w *World) Decide(lost []string, members ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := snapshot{epoch: max(w.last.epoch+1, uint64(now.UnixMilli())), after: w.last.epoch, members: slices.Sorted(slices.Values(members)), lost: lost}
	if w.o.Warm > 0 && len(w.last.members) > 0 {
		s.previous, s.until = w.last.members, now.Add(w.o.Warm)
		if w.keep && now.Before(w.last.until) {
			s.previous = w.last.previous
		}
	}
	w.last = s
}

// Keep says whether a decision keeps the previous owners of the one before while these warm, as etcd's do, or takes the owners replaced.
func (w *World) Keep(keep bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = keep
}

// settled reports whether all proxies go by epoch or a newer one.
func (w *World) settled(epoch uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(w.proxies, func(p *Proxy) bool { return p.applied < epoch })
}

// Tell tells every proxy what was decided last.
func (w *World) Tell() error {
	w.mu.Lock()
	proxies := slices.Clone(w.proxies)
	w.mu.Unlock()
	for _, p := range proxies {
		if err := p.Learn(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything.
func (w *World) Close() {
	for _, p := range w.proxies {
		p.close()
	}
	for name := range w.leaves {
		w.Kill(name)
	}
}

// Proxy is a proxy's end: a pool, and a backend for each leaf.
type Proxy struct {
	Pool *pools.Pool

	w       *World
	conns   *leafnats.Conns
	applied uint64 // guarded by World.mu

	mu       sync.Mutex
	backends map[string]*leafnats.Backend
	links    map[string]*link
	deaf     bool
}

// NewProxy adds a proxy, which knows nothing yet. Not concurrently with anything else.
func (w *World) NewProxy() (*Proxy, error) {
	pool, err := pools.New(pools.Options{Name: "users", Dist: pools.DistRendezvous}, nil)
	if err != nil {
		return nil, err
	}
	p := &Proxy{Pool: pool, w: w, conns: leafnats.NewConns(leafnats.Access{}), backends: map[string]*leafnats.Backend{}, links: map[string]*link{}}
	w.proxies = append(w.proxies, p)
	return p, nil
}

// lead makes a leaf's address known.
func (p *Proxy) lead(name, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[name]; l != nil {
		l.lead(addr)
	}
}

// backend gives the one for a leaf.
func (p *Proxy) backend(name string) (*leafnats.Backend, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.backends[name]; b != nil {
		return b, nil
	}
	p.w.mu.Lock()
	addr, ok := p.w.addrs[name]
	p.w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("leaf %q was never started", name)
	}
	if p.w.o.Links {
		k, err := newLink(addr)
		if err != nil {
			return nil, err
		}
		p.links[name] = k
		addr = k.addr()
	}
	o := leafnats.Options{URL: "nats://" + addr + "/" + name, Conns: p.conns, Timeout: p.w.o.Timeout, HelloLimit: p.w.o.Timeout}
	if p.w.o.Links { // which are cut: let that be noticed
		o.HelloInterval, o.HelloLimit, o.ConnectTimeout = p.w.o.Timeout/5, 0, p.w.o.Timeout
	}
	b, err := leafnats.New(o)
	if err == nil {
		p.backends[name] = b
	}
	return b, err
}

// Cut cuts the proxy off from a leaf, or ends that.
func (p *Proxy) Cut(name string, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[name]; l != nil {
		l.cut(cut)
	}
}

// Deafen has the proxy hear nothing of new memberships, or ends that.
func (p *Proxy) Deafen(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// Learn takes over what was decided last, unless the proxy is deaf.
func (p *Proxy) Learn() error {
	p.mu.Lock()
	deaf := p.deaf
	p.mu.Unlock()
	if deaf {
		return nil
	}
	p.w.mu.Lock()
	s := p.w.last
	p.w.mu.Unlock()
	ms := pools.Membership{
		Epoch: s.epoch, After: s.after, Lost: s.lost, WarmUntil: s.until, Wait: p.w.o.Timeout,
		Refresh: func(context.Context) error { return p.Learn() },
		Settled: func() bool { return p.w.settled(s.epoch) },
	}
	var err error
	if ms.Members, err = p.members(s.members); err != nil {
		return err
	}
	if ms.Previous, err = p.members(s.previous); err != nil {
		return err
	}
	if err := p.Pool.SetMembership(ms); err != nil {
		return nil // another was quicker with a newer one
	}
	p.w.mu.Lock()
	p.applied = max(p.applied, s.epoch)
	p.w.mu.Unlock()
	return nil
}

func (p *Proxy) members(names []string) (list []pools.Member, err error) {
	for _, name := range names {
		b, err := p.backend(name)
		if err != nil {
			return nil, err
		}
		list = append(list, pools.Member{Backend: b, Name: name})
	}
	return list, nil
}

// Backends gives the proxy's backend of a leaf; nil: it has none.
func (p *Proxy) Backend(name string) *leafnats.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backends[name]
}

func (p *Proxy) close() {
	for _, l := range p.links {
		l.close()
	}
	for _, b := range p.backends {
		_ = b.Close()
	}
}
