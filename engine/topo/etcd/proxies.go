// What a proxy says of itself in etcd, and what follows from what others say.

package etcd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// reportPace is between two writes of a proxy's own key: many pools that change at once are one write.
const reportPace = 100 * time.Millisecond

// announcePatience is for how long a pool's membership is kept from watchers because etcd does not take this proxy's word that it uses it.
const announcePatience = 2 * time.Second

// reporter keeps this proxy's own key.
type reporter struct {
	s  *Source
	id string
	h  *holder

	mu      sync.Mutex
	info    ProxyInfo
	version uint64               // of info
	since   map[string]uint64    // by pool, the version that has it first
	written uint64               // the version that etcd has; 0: none
	rev     int64                // the revision it was written at
	asked   map[string]time.Time // by pool, since when etcd's word is waited for
	waived  map[string]bool      // pools for which etcd has not taken this proxy's word for long enough
}

func newReporter(s *Source) *reporter {
	p := s.o.Proxy
	r := &reporter{
		s: s, id: p.ID, version: 1, since: map[string]uint64{}, asked: map[string]time.Time{}, waived: map[string]bool{},
		info: ProxyInfo{ID: p.ID, Name: p.Name, Admin: p.Admin, Version: p.Version, Started: s.o.Now().UTC(), Applied: map[string]uint64{}},
	}
	r.h = s.newHolder(&holder{key: s.key(dirProxies + p.ID), value: r.value, wrote: r.wrote, pace: s.o.pace})
	return r
}

func (r *reporter) value() ([]byte, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, _ := json.Marshal(&r.info)
	return b, r.version
}

// wrote: watchers of pools that etcd now knows this proxy to use may be told; or, with 0, they have to wait again.
func (r *reporter) wrote(version uint64, rev int64) {
	r.mu.Lock()
	r.written, r.rev = version, rev
	for pool, first := range r.since {
		if version >= first {
			delete(r.waived, pool)
		} else if version == 0 { // an older word changes nothing: no other look would come
			r.asked[pool] = time.Now()
		}
	}
	r.mu.Unlock()
	if version == 0 {
		r.waive()
	} else {
		r.s.tellAll()
	}
}

// waive lets watchers be told in a while of pools that etcd does not know this proxy to use even then.
func (r *reporter) waive() {
	time.AfterFunc(announcePatience, func() {
		r.mu.Lock()
		for pool, first := range r.since {
			if r.written < first && time.Since(r.asked[pool]) >= announcePatience {
				r.waived[pool] = true
			}
		}
		r.mu.Unlock()
		if r.s.ctx.Err() == nil {
			r.s.tellAll()
		}
	})
}

// update changes what this proxy says of itself.
func (r *reporter) update(f func(*ProxyInfo) (changed bool)) {
	r.mu.Lock()
	changed := f(&r.info)
	if changed {
		r.version++
	}
	r.mu.Unlock()
	if changed {
		kick(r.h.changed)
	}
}

// use says that this proxy goes by the pool's memberships from now on, before it does.
func (r *reporter) use(pool string) {
	r.update(func(p *ProxyInfo) bool {
		if _, ok := p.Applied[pool]; ok {
			return false
		}
		p.Applied[pool] = 0
		r.since[pool], r.asked[pool] = r.version+1, time.Now()
		return true
	})
	r.waive()
}

func (r *reporter) unuse(pool string) {
	r.update(func(p *ProxyInfo) bool {
		_, ok := p.Applied[pool]
		delete(p.Applied, pool)
		if p.Unreachable[pool] != nil {
			p.Unreachable = maps.Clone(p.Unreachable)
			delete(p.Unreachable, pool)
		}
		delete(r.since, pool)
		delete(r.asked, pool)
		delete(r.waived, pool)
		return ok
	})
}

// announced reports whether etcd knows, and the mirror is as new as that, that this proxy uses the pool. Source.mu is held.
func (r *reporter) announced(pool string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, ok := r.since[pool]
	return ok && (r.written >= first && r.s.mirror.rev >= r.rev || r.waived[pool])
}

// Applied says that this proxy goes by epoch from now on; no request of it that went by an older one is still to be sent.
func (s *Source) Applied(pool string, epoch uint64) {
	if s.me == nil {
		return
	}
	s.me.update(func(p *ProxyInfo) bool {
		was, ok := p.Applied[pool]
		if !ok || was >= epoch {
			return false
		}
		p.Applied[pool] = epoch
		return true
	})
}

// Settled reports whether every proxy that is known goes by epoch or a newer one. While etcd is away nobody is known, and nothing is settled.
func (s *Source) Settled(pool string, epoch uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.listed || s.err != nil || s.me == nil || s.mirror.rev < s.mirror.docs[pool].rev {
		return false
	}
	for id, p := range s.mirror.proxies {
		if id == s.me.id {
			continue
		}
		if at, ok := p.Applied[pool]; ok && at < epoch {
			return false
		}
	}
	s.me.mu.Lock()
	defer s.me.mu.Unlock()
	at, ok := s.me.info.Applied[pool]
	return ok && at >= epoch
}

// Runs says which configuration this proxy runs, and why not a newer one ("": it does).
func (s *Source) Runs(generation int64, digest, refused string) {
	if s.me == nil {
		return
	}
	s.me.update(func(p *ProxyInfo) bool {
		changed := p.Generation != generation || p.Digest != digest || p.Refused != refused
		p.Generation, p.Digest, p.Refused = generation, digest, refused
		if p.Config = ""; generation > 0 {
			p.Config = s.o.Config
		}
		return changed
	})
}

// ServesAdmin says where this proxy's admin address is, which is known only once it is bound.
func (s *Source) ServesAdmin(addr string) {
	if s.me == nil {
		return
	}
	s.me.update(func(p *ProxyInfo) bool {
		changed := p.Admin != addr
		p.Admin = addr
		return changed
	})
}

// Proxies asks etcd for every proxy, by id.
func (s *Source) Proxies(ctx context.Context) ([]ProxyInfo, error) {
	var out []ProxyInfo
	err := s.each(ctx, dirProxies, func(key string, value []byte) error {
		p, err := readProxy(key, value)
		out = append(out, p)
		return err
	})
	return out, err
}

// Leaf is a registered leaf.
type Leaf struct {
	Pool string `json:"pool"`
	topo.Member
}

// Leaves asks etcd for every registered leaf, by pool and name.
func (s *Source) Leaves(ctx context.Context) ([]Leaf, error) {
	var out []Leaf
	err := s.each(ctx, dirLeaves, func(key string, value []byte) error {
		pool, name, _ := strings.Cut(key, "/")
		m, err := readMember(pool, name, value)
		if err == nil {
			out = append(out, Leaf{pool, m})
		}
		return err
	})
	slices.SortFunc(out, func(a, b Leaf) int { return cmp.Or(strings.Compare(a.Pool, b.Pool), strings.Compare(a.Name, b.Name)) })
	return out, err
}

// Pools asks etcd for the membership of every pool, by name.
func (s *Source) Pools(ctx context.Context) ([]topo.Snapshot, error) {
	var out []topo.Snapshot
	err := s.each(ctx, dirPools, func(key string, value []byte) error {
		d, err := readDocument(key, value)
		if err == nil {
			out = append(out, d.Snapshot)
		}
		return err
	})
	return out, err
}

// each lists a folder. What cannot be read is logged.
func (s *Source) each(ctx context.Context, dir string, f func(key string, value []byte) error) error {
	c, ctx, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	r, err := c.Get(ctx, s.key(dir), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("cannot list %s: %w", s.key(dir), err)
	}
	for _, kv := range r.Kvs {
		if err := f(strings.TrimPrefix(s.short(kv.Key), dir), kv.Value); err != nil {
			s.o.Log.Warn("etcd holds something strange", "error", err)
		}
	}
	return nil
}
