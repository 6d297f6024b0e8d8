// Who is not reached: members of discovered pools whose leaves have been away for a while are told to the source, which may give their keys to others.

package engine

import (
	"maps"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// reachEvery is how often that is looked at.
const reachEvery = 250 * time.Millisecond

// watchReach tells the source, while the proxy runs, which members are away.
func (p *Proxy) watchReach() {
	to, ok := p.opts.Topology.(topo.Informed)
	if !ok || p.opts.Clock != nil || p.opts.UnreachableAfter < 0 {
		return
	}
	p.beside.Go(func() {
		r := reach{to: to, after: p.opts.UnreachableAfter, told: map[string]map[string]string{}, since: map[string]map[string]time.Time{}}
		t := time.NewTicker(reachEvery)
		defer t.Stop()
		for {
			select {
			case <-p.stop:
				return
			case now := <-t.C:
				topics := p.topics.snapshot()
				r.only(topics)
				for ref, of := range topics {
					r.look(ref, of.away(), now)
				}
			}
		}
	})
}

// snapshot gives the topics that there are now.
func (t *topics) snapshot() map[string]*topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.all)
}

// away gives the members that none of the discoveries reaches, their addresses by name. A server that cannot be fenced is never one of them: its keys
// must not have another owner for a while and then it again.
func (of *topic) away() map[string]string {
	of.mu.Lock()
	addrs := map[string]string{}
	for _, m := range of.last.Members {
		addrs[m.Name] = m.Addr
	}
	var held []pools.Member
	for _, d := range of.pools {
		held = append(held, d.held...)
	}
	of.mu.Unlock()
	away, up := map[string]string{}, map[string]bool{}
	for _, m := range held {
		if _, ok := backend.As[backend.Fencer](m.Backend); !ok || m.Backend.Status().Up {
			up[m.HashName] = true
		} else if addr, ok := addrs[m.HashName]; ok {
			away[m.HashName] = addr
		}
	}
	maps.DeleteFunc(away, func(name, _ string) bool { return up[name] })
	return away
}

// reach remembers since when members have been away. One goroutine uses it.
type reach struct {
	to    topo.Informed
	after time.Duration
	of    map[string]*topic               // what the rest is about
	since map[string]map[string]time.Time // by topic, and by name and address
	told  map[string]map[string]string
}

// only forgets all topics but those. One that has ended and one that has begun since are two, to the source, too.
func (r *reach) only(topics map[string]*topic) {
	for ref, of := range r.of {
		if topics[ref] != of {
			delete(r.since, ref)
			delete(r.told, ref)
		}
	}
	r.of = topics
}

// look takes note of who is away now, and tells the source if that is news.
func (r *reach) look(ref string, away map[string]string, now time.Time) {
	was, is := r.since[ref], map[string]time.Time{}
	for name, addr := range away {
		at, ok := was[name+" "+addr]
		if !ok {
			at = now
		}
		is[name+" "+addr] = at
		if now.Sub(at) < r.after {
			delete(away, name)
		}
	}
	r.since[ref] = is
	if !maps.Equal(r.told[ref], away) {
		r.told[ref] = maps.Clone(away)
		r.to.Unreachable(ref, away)
	}
}
