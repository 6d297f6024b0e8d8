// Discovered pools: mcp.discover's, whose members come from a topology while the proxy serves.

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
)

// discovery is one discovered pool. Equal specs are one discovery, whichever generations use it, so that a reload opens no connection.
type discovery struct {
	p    *Proxy
	spec luaapi.DiscoverSpec
	pool *pools.Pool

	users int    // loads and generations that hold it; topics.mu guards it, and
	of    *topic // what it follows; nil: no generation with it has served yet

	held     []pools.Member // acquired; topic.mu guards it, and
	previous []pools.Member // those that may be asked for what they held, also acquired
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

// apply swaps the pool's members, and gives those that it had. It wants topic.mu locked.
func (d *discovery) apply(s topo.Snapshot) (left []pools.Member) {
	ms := pools.Membership{
		Pool: d.spec.Pool, Epoch: s.Epoch, After: s.Replaces, Members: d.members(s.Members), Lost: s.Lost, WarmUntil: s.WarmUntil, Now: d.p.wall,
		Refresh: func(ctx context.Context) error {
			_, err := d.p.opts.Topology.Refresh(ctx, d.of.ref)
			return err
		},
		Settled: func() bool { return d.p.opts.Topology.Settled(d.of.ref, s.Epoch) },
	}
	if s.Epoch > 0 && s.Warms(d.p.wall()) {
		ms.Previous = d.members(s.Previous)
	}
	if err := d.pool.SetMembership(ms); err != nil {
		d.p.log.Error("membership is not taken", "pool", d.pool.Name(), "epoch", s.Epoch, "err", err)
		return slices.Concat(ms.Members, ms.Previous)
	}
	d.tell(s, ms.Members)
	left = slices.Concat(d.held, d.previous)
	d.held, d.previous = ms.Members, ms.Previous
	return left
}

// members acquires those that are in the pool's zone.
func (d *discovery) members(list []topo.Member) (members []pools.Member) {
	for _, m := range list {
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
	return members
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
	came, went := without(members, d.held), without(d.held, members)
	level := slog.LevelInfo
	if len(came)+len(went) == 0 { // weights, or where the others are
		level = slog.LevelDebug
	}
	d.p.log.Log(context.Background(), level, "membership changed", "pool", d.pool.Name(), "epoch", s.Epoch, "members", len(members),
		"came", came, "went", went, "stale", s.Stale)
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
