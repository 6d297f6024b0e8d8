// All that etcd holds, at one moment: what tidepool status shows.

package etcd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// View is what lay under the prefix at one revision.
type View struct {
	Prefix   string                `json:"prefix"`
	Revision int64                 `json:"revision"`
	Configs  map[string]ConfigInfo `json:"configs"` // by key, without the prefix
	Proxies  []ProxyInfo           `json:"proxies"` // by id
	Leaves   []Leaf                `json:"leaves"`  // by pool and name
	Pools    []topo.Snapshot       `json:"pools"`   // by name
	Leaders  map[string]string     `json:"leaders"` // by what is led, the id of the proxy
	Strange  []string              `json:"strange,omitempty"`
}

// ConfigInfo is a configuration without its text.
type ConfigInfo struct {
	Generation int64  `json:"generation"`
	Revision   int64  `json:"revision"`
	Digest     string `json:"digest"`
	Bytes      int    `json:"bytes"`
}

// View asks etcd for everything at once.
func (s *Source) View(ctx context.Context) (View, error) {
	c, ctx, cancel, err := s.call(ctx)
	if err != nil {
		return View{}, err
	}
	defer cancel()
	r, err := c.Get(ctx, s.key(""), clientv3.WithPrefix())
	if err != nil {
		return View{}, fmt.Errorf("cannot list %s: %w", s.key(""), err)
	}
	v := View{Prefix: s.o.Prefix, Revision: r.Header.Revision, Configs: map[string]ConfigInfo{}, Leaders: map[string]string{}}
	m, elected := newMirror(), map[string]int64{}
	for _, kv := range r.Kvs {
		key := s.short(kv.Key)
		if _, err := m.set(key, kv); err != nil {
			v.Strange = append(v.Strange, err.Error())
			continue
		}
		name, ok := strings.CutPrefix(key, dirLeader)
		if i := strings.LastIndexByte(name, '/'); ok && i > 0 {
			name = name[:i] // the candidate's lease is the last part; who came first leads
			if at, ok := elected[name]; !ok || kv.CreateRevision < at {
				elected[name], v.Leaders[name] = kv.CreateRevision, string(kv.Value)
			}
		}
	}
	for key, c := range m.configs {
		v.Configs[key] = ConfigInfo{c.Generation, c.Revision, c.Digest, len(c.Text)}
	}
	for _, p := range m.proxies {
		v.Proxies = append(v.Proxies, p)
	}
	for pool, leaves := range m.leaves {
		for _, l := range leaves {
			v.Leaves = append(v.Leaves, Leaf{pool, l})
		}
	}
	for _, d := range m.docs {
		if !d.bad {
			v.Pools = append(v.Pools, d.Snapshot)
		}
	}
	slices.SortFunc(v.Proxies, func(a, b ProxyInfo) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(v.Leaves, func(a, b Leaf) int { return cmp.Or(strings.Compare(a.Pool, b.Pool), strings.Compare(a.Name, b.Name)) })
	slices.SortFunc(v.Pools, func(a, b topo.Snapshot) int { return strings.Compare(a.Pool, b.Pool) })
	return v, nil
}
