// Topics: the pools of the topology that discovered pools follow.

package engine

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

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
	known chan struct{} // closed when there is a membership
	stop  func()

	mu      sync.Mutex // one membership at a time
	pools   []*discovery
	last    topo.Snapshot
	have    bool
	heard   bool          // known is closed
	applied uint64        // the epoch that the source was told of
	warm    backend.Timer // until previous owners are let go; nil: there are none
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
	held := slices.Concat(d.held, d.previous)
	d.held, d.previous = nil, nil
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
		of.mu.Lock()
		of.coolLater(0)
		of.mu.Unlock()
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
	of.last, of.have = s, true
	// That there is none yet may be all that a source knows at the start: it is no reason to serve.
	first := !of.heard && (s.Epoch > 0 || len(s.Members) > 0)
	of.heard = of.heard || first
	if s.Warms(of.p.wall()) {
		of.coolLater(s.WarmUntil.Sub(of.p.wall()))
	} else {
		of.coolLater(0)
	}
	of.mu.Unlock()
	if first {
		close(of.known)
	}
	of.p.topics.later(of.p, func() { of.settle(s.Epoch, left) })
}

// coolLater has previous owners let go after d; 0: there are none. It wants topic.mu locked.
func (of *topic) coolLater(d time.Duration) {
	if of.warm != nil {
		of.warm.Stop()
		of.warm = nil
	}
	if d > 0 {
		epoch := of.last.Epoch
		of.warm = of.p.afterFunc(d, func() { of.cool(epoch) })
	}
}

// cool lets previous owners go, when those of epoch are not asked any more.
func (of *topic) cool(epoch uint64) {
	of.mu.Lock()
	defer of.mu.Unlock()
	if of.last.Epoch != epoch || of.p.stopped.Load() {
		return
	}
	var left []leaver
	for _, d := range of.pools {
		for _, m := range d.previous {
			left = append(left, leaver{d, m})
		}
		d.previous = nil
	}
	if len(left) > 0 {
		of.p.topics.later(of.p, func() { of.settle(0, left) })
	}
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

// quiet waits until what went by memberships before the present one, and was sent to any of left, has been answered or given up.
func (p *Proxy) quiet(left []backend.Backend) {
	if p.opts.Clock != nil {
		return
	}
	p.sessions.pass(p.stop) // who had looked at the old one has queued what it was to send
	since := backend.Now()
	var limit time.Duration
	for _, h := range p.registry.All() {
		if slices.Contains(left, h.Backend) {
			limit = max(limit, h.Spec.ReadTimeout)
		}
	}
	over := func(b backend.Backend) bool {
		st := b.Status()
		return st.Queued == 0 || st.Oldest > since
	}
	for end := since + int64(limit); backend.Now() < end; {
		if left = slices.DeleteFunc(left, over); len(left) == 0 {
			return
		}
		select {
		case <-p.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
