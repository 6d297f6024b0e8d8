// Discovered pools: mcp.discover's, whose members come from a topology while the proxy serves.

package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// discovery is one discovered pool. Equal specs are one discovery, whichever generations use it, so that a reload opens no connection.
type discovery struct {
	p    *Proxy
	spec luaapi.DiscoverSpec
	pool *pools.Pool

	users int    // loads and generations that hold it; topics.mu guards it, and
	of    *topic // what it follows; nil: no generation with it has served yet

	held []pools.Member // acquired; topic.mu guards it
}

// topics are the pools of the topology that discoveries follow. The zero value is ready.
type topics struct {
	mu     sync.Mutex
	pools  map[luaapi.DiscoverSpec]*discovery
	all    map[string]*topic
	behind sync.WaitGroup // what settles or ends
}

// topic is one pool of the topology. However many discoveries are made of it, with other zones or other options, they change together, since
// the source is told of the pool's epoch and not of theirs.
type topic struct {
	p     *Proxy
	ref   string
	users int           // discoveries; topics.mu guards it
	known chan struct{} // closed when a membership is
	stop  func()

	mu      sync.Mutex // one membership at a time
	pools   []*discovery
	last    topo.Snapshot
	have    bool
	applied uint64 // the epoch that the source was told of
}

// errNoTopology: the proxy was started without any.
var errNoTopology = errors.New("pools cannot be discovered here")

// Discover implements luaapi.Config.
func (l *loader) Discover(spec luaapi.DiscoverSpec) (luaapi.Target, error) {
	s := l.staging
	if s == nil {
		return nil, errNotLoading
	}
	if err := l.p.discoverable(spec); err != nil {
		return nil, fmt.Errorf("%q: %w", spec.Pool, err)
	}
	spec.Name = s.distinct(spec.Name)
	d, err := l.p.topics.take(l.p, spec)
	if err != nil {
		return nil, err
	}
	s.found = append(s.found, d)
	s.pools = append(s.pools, d.pool)
	return l.p.traced(d.pool), nil
}

// discoverable says what is wrong with a spec, without asking anybody. Where nothing is connected, it is enough that it can be meant.
func (p *Proxy) discoverable(spec luaapi.DiscoverSpec) error {
	if spec.From != "" {
		if err := topo.ParseFrom(spec.From); err != nil {
			return err
		}
	}
	if err := topo.ValidPool(spec.Pool); err != nil {
		return err
	}
	switch t := p.opts.Topology.(type) {
	case nil:
		if !p.dry {
			return errNoTopology
		}
	case interface{ Has(ref string) error }:
		return t.Has(topo.Ref(spec.From, spec.Pool))
	}
	return nil
}

// take gives the discovery of a spec to one more user.
func (t *topics) take(p *Proxy, spec luaapi.DiscoverSpec) (*discovery, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.pools[spec]; d != nil {
		d.users++
		return d, nil
	}
	o := p.poolOptions(&spec.PoolOptions)
	o.Dist = cmp.Or(o.Dist, pools.DistRendezvous)
	pool, err := pools.New(o, nil)
	if err != nil {
		return nil, err
	}
	d := &discovery{p: p, spec: spec, pool: pool, users: 1}
	if t.pools == nil {
		t.pools, t.all = map[luaapi.DiscoverSpec]*discovery{}, map[string]*topic{}
	}
	t.pools[spec] = d
	return d, nil
}

// load makes a generation of the files, whose discovered pools have their members, as far as those are known.
func (p *Proxy) load(number uint64) (*generation, error) {
	g, err := p.loader.load(number)
	if err != nil {
		return nil, err
	}
	p.topics.follow(p, g.found)
	p.await(g.found)
	return g, nil
}

// follow has discoveries follow the topology from now on, those that do not yet.
func (t *topics) follow(p *Proxy, found []*discovery) {
	if p.opts.Topology == nil {
		return
	}
	for _, d := range found {
		t.mu.Lock()
		if d.of != nil {
			t.mu.Unlock()
			continue
		}
		ref := topo.Ref(d.spec.From, d.spec.Pool)
		of, begin := t.all[ref], false
		if of == nil {
			of, begin = &topic{p: p, ref: ref, known: make(chan struct{})}, true
			t.all[ref] = of
		}
		d.of = of
		of.users++
		t.mu.Unlock()
		of.add(d)
		if begin {
			of.stop = p.opts.Topology.Watch(ref, of.take)
		}
	}
}

// await waits until the memberships of all are known, or Options.FirstNews is over.
func (p *Proxy) await(found []*discovery) {
	if p.opts.Topology == nil || p.opts.Clock != nil {
		return
	}
	late := time.NewTimer(p.opts.FirstNews)
	defer late.Stop()
	for _, d := range found {
		select {
		case <-d.of.known:
			continue
		default: // not late, if it is known
		}
		select {
		case <-d.of.known:
			continue
		case <-late.C:
		case <-p.stop:
		}
		p.log.Warn("pools serve without backends: their members are not known yet", "pool", d.pool.Name(), "topology", d.of.ref)
		return
	}
}

// release takes a user from each. The last one ends it.
func (t *topics) release(p *Proxy, found []*discovery) {
	for _, d := range found {
		t.mu.Lock()
		if d.users--; d.users > 0 {
			t.mu.Unlock()
			continue
		}
		delete(t.pools, d.spec)
		of := d.of
		t.mu.Unlock()
		if of != nil {
			t.later(p, func() { t.leave(of, d) }) // who releases may hold a worker's lock, and this waits for news that are being taken
		}
	}
}

// leave takes a discovery that nobody uses any more from its topic, and ends the topic with its last.
func (t *topics) leave(of *topic, d *discovery) {
	of.mu.Lock()
	of.pools = slices.DeleteFunc(of.pools, func(o *discovery) bool { return o == d })
	held := d.held
	d.held = nil
	of.mu.Unlock()
	for _, m := range held {
		of.p.registry.Release(m.Backend)
	}
	t.mu.Lock()
	of.users--
	ends := of.users == 0
	if ends {
		delete(t.all, of.ref)
	}
	t.mu.Unlock()
	if ends {
		of.stop()
	}
}

// later does f beside everything else; Shutdown waits for it.
func (t *topics) later(p *Proxy, f func()) {
	if p.opts.Clock != nil {
		f()
		return
	}
	t.behind.Go(f)
}

// add has d follow the topic.
func (of *topic) add(d *discovery) {
	of.mu.Lock()
	defer of.mu.Unlock()
	of.pools = append(of.pools, d)
	if of.have {
		d.apply(of.last)
	}
}

// take takes a membership over: it is what a Source calls.
func (of *topic) take(s topo.Snapshot) {
	of.mu.Lock()
	var left []leaver
	for _, d := range of.pools {
		for _, m := range d.apply(s) {
			left = append(left, leaver{d, m})
		}
	}
	first := !of.have
	of.last, of.have = s, true
	of.mu.Unlock()
	if first {
		close(of.known)
	}
	of.p.topics.later(of.p, func() { of.settle(s.Epoch, left) })
}

// leaver is a member of an earlier membership of a pool.
type leaver struct {
	d *discovery
	m pools.Member
}

// settle lets members of an earlier membership go, and says that s is what this proxy goes by, when nothing is under way any more that was
// sent before.
func (of *topic) settle(epoch uint64, left []leaver) {
	backends := make([]backend.Backend, len(left))
	for i, l := range left {
		backends[i] = l.m.Backend
	}
	of.p.quiet(backends)
	for _, l := range left {
		name, pool := l.m.Backend.Name(), l.d.pool
		of.p.registry.Release(l.m.Backend)
		if !slices.ContainsFunc(pool.Members(), func(m pools.Member) bool { return m.Backend.Name() == name }) {
			of.p.backends.forget(pool.Name(), name) // else what comes and goes under ever new names would fill the memory
		}
	}
	of.mu.Lock()
	news := epoch > of.applied
	of.applied = max(of.applied, epoch)
	of.mu.Unlock()
	if news {
		of.p.opts.Topology.Applied(of.ref, epoch)
	}
}

// apply swaps the pool's members, and gives those that it had. It wants topic.mu locked.
func (d *discovery) apply(s topo.Snapshot) (left []pools.Member) {
	var members []pools.Member
	for _, m := range s.Members {
		if d.spec.Zone != "" && m.Zone != d.spec.Zone {
			continue
		}
		member, err := d.member(m)
		if err != nil {
			d.p.log.Error("a member is left out of a pool", "pool", d.pool.Name(), "member", m.Name, "err", err)
			continue
		}
		members = append(members, member)
	}
	if err := d.pool.SetMembers(s.Epoch, members); err != nil {
		d.p.log.Error("membership is not taken", "pool", d.pool.Name(), "epoch", s.Epoch, "err", err)
		return members
	}
	d.tell(s, members)
	left, d.held = d.held, members
	return left
}

// tell logs what has changed.
func (d *discovery) tell(s topo.Snapshot, members []pools.Member) {
	without := func(ms, others []pools.Member) (names []string) {
		for _, m := range ms {
			if !slices.ContainsFunc(others, func(o pools.Member) bool { return o.Backend == m.Backend }) {
				names = append(names, m.Name)
			}
		}
		return names
	}
	d.p.log.Info("membership changed", "pool", d.pool.Name(), "epoch", s.Epoch, "members", len(members),
		"came", without(members, d.held), "went", without(d.held, members), "stale", s.Stale)
}

// member acquires the backend of one.
func (d *discovery) member(m topo.Member) (pools.Member, error) {
	addr, err := pools.ParseAddr(m.Addr)
	if err != nil {
		return pools.Member{}, err
	}
	spec := d.p.backendSpec(addr, &d.spec.Backend, &d.spec.PoolOptions)
	if m.Name != addr.Name {
		spec.Label = m.Name
	}
	b, err := d.p.registry.Acquire(spec)
	if err != nil {
		return pools.Member{}, err
	}
	host, port := addr.HashAs()
	member := pools.Member{Backend: b, Name: m.Name, HashName: m.Name, Host: host, Port: port}
	switch pools.Dist(d.spec.Dist) {
	case "", pools.DistRendezvous, pools.DistKetama, pools.DistModula, pools.DistConsistent, pools.DistWeightedCh3:
		member.Weight = m.Weight
	}
	return member, nil
}

// quiet waits until all requests have been answered that went by a membership before the present one, and until those of them for which no
// client waits have been sent, or are too late to be.
func (p *Proxy) quiet(left []backend.Backend) {
	if p.opts.Clock != nil {
		return
	}
	var limit time.Duration
	for _, h := range p.registry.All() {
		if slices.Contains(left, h.Backend) {
			limit = max(limit, h.Spec.ReadTimeout)
		}
	}
	end := p.now() + int64(limit)
	p.sessions.pass()
	for p.now() < end {
		left = slices.DeleteFunc(left, idle)
		if len(left) == 0 {
			return
		}
		select {
		case <-p.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// idle reports whether a backend has nothing queued or in flight.
func idle(b backend.Backend) bool { return b.Status().Queued == 0 }
