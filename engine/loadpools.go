// What a load makes of pools and backends as scripts describe them.

package engine

import (
	"fmt"

	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// NewPool implements luaapi.Config.
func (l *loader) NewPool(spec luaapi.PoolSpec) (luaapi.Target, error) {
	s := l.staging
	if s == nil {
		return nil, errNotLoading
	}
	if spec.Name == "" {
		spec.Name = fmt.Sprintf("pool-%d", len(s.pools)+1)
	}
	spec.Name = s.distinct(spec.Name)
	var members []pools.Member
	for _, be := range spec.Backends {
		m, err := l.member(be, &spec.PoolOptions)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	p, err := pools.New(l.p.poolOptions(&spec.PoolOptions), members)
	if err != nil {
		return nil, err
	}
	s.pools = append(s.pools, p)
	return l.p.traced(p), nil
}

// distinct is a pool's name that no other pool of this load has.
func (s *staging) distinct(name string) string {
	if s.names[name]++; s.names[name] > 1 {
		return fmt.Sprintf("%s#%d", name, s.names[name])
	}
	return name
}

// poolOptions are a pool's as package pools has them.
func (p *Proxy) poolOptions(o *luaapi.PoolOptions) pools.Options {
	return pools.Options{
		Name:       o.Name,
		Dist:       pools.Dist(o.Dist),
		Hash:       pools.Hash(o.Hash),
		Seed:       o.Seed,
		Salt:       o.Salt,
		HashTag:    o.HashTag,
		Filter:     o.Filter,
		FilterConf: o.FilterConf,
		OMode:      o.OMode,
		OBuckets:   o.OBuckets,
		Latency:    p.backendLatency,
		IntN:       p.intN(),
	}
}

// member acquires a backend of a pool.
func (l *loader) member(be luaapi.BackendSpec, pool *luaapi.PoolOptions) (pools.Member, error) {
	addr, err := pools.ParseAddr(be.Addr)
	if err != nil {
		return pools.Member{}, err
	}
	spec := l.p.backendSpec(addr, &be.Options, pool)
	if be.Label != be.Addr { // else the address itself, or the leaf's name, is the better name
		spec.Label = be.Label
	}
	b, err := l.p.registry.Acquire(spec)
	if err != nil {
		return pools.Member{}, err
	}
	host, port := addr.HashAs()
	m := pools.Member{Backend: b, Host: host, Port: port, HashName: be.HashName, Weight: be.Weight, Drained: be.Drained}
	l.staging.held = append(l.staging.held, m)
	return m, nil
}

// backendSpec is a pool's backend as the registry knows it, without a label.
func (p *Proxy) backendSpec(addr pools.Address, o *luaapi.BackendOptions, pool *luaapi.PoolOptions) pools.Spec {
	spec := pools.Spec{
		Addr: addr, Prefix: pool.Prefix,
		Connections: o.Connections, ConnectTimeout: o.ConnectTimeout, ReadTimeout: o.ReadTimeout,
		RetryWait: o.RetryWait, FailureLimit: o.FailureLimit, DepthLimit: o.DepthLimit,
		FlapTime: o.FlapTime, FlapRamp: o.FlapRamp, FlapMax: o.FlapMax,
		KeepAlive: o.KeepAlive, FlushOnReturn: o.FlushOnReturn, Down: o.Down, TLS: o.TLS, Log: o.Log,
		Multiget: o.Multiget, AnyKey: p.opts.Memcached != nil,
	}
	if addr.Kind == pools.Memcached && !pool.IOThread && p.opts.Workers > 1 {
		spec.Workers = p.opts.Workers
	}
	if spec.FailureLimit == 0 {
		spec.FailureLimit = backend.NoTolerance
	}
	return spec
}
