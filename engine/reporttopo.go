// What the proxy tells of its topology: in stats, in metrics and of what is loaded.

package engine

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/pools"
)

// DiscoveredView is where a discovered pool has its members from, and which those are.
type DiscoveredView struct {
	Topology string        `json:"topology"`        // the name there, behind where it is asked for, if it is not the proxy's own topology
	Zone     string        `json:"zone,omitempty"`  // whose members these are; "": all
	Known    bool          `json:"known"`           // false: nothing has been heard of it yet
	Since    time.Time     `json:"since"`           // when the membership was decided
	Stale    bool          `json:"stale,omitempty"` // it is from disk, and has not been confirmed
	Applied  uint64        `json:"applied"`         // the epoch by which nothing older is under way
	Members  []topo.Member `json:"members"`         // of all zones
	Previous []string      `json:"previous,omitempty"`
	Warming  *time.Time    `json:"warm_until,omitempty"`
}

// discovery gives the one behind a pool, if it is discovered.
func (g *generation) discovery(pool *pools.Pool) *discovery {
	for _, d := range g.found {
		if d.pool == pool {
			return d
		}
	}
	return nil
}

func (g *generation) viewDiscovered(pool *pools.Pool) *DiscoveredView {
	d := g.discovery(pool)
	if d == nil {
		return nil
	}
	v := &DiscoveredView{Topology: topo.Ref(d.spec.From, d.spec.Pool), Zone: d.spec.Zone, Members: []topo.Member{}}
	s, applied, known := d.snapshot()
	if !known {
		return v
	}
	v.Known, v.Since, v.Stale, v.Applied = true, s.Since, s.Stale, applied
	for _, m := range s.Members {
		if a, err := pools.ParseAddr(m.Addr); err == nil {
			m.Addr = a.String() // without credentials
		}
		v.Members = append(v.Members, m)
	}
	if s.Warms(d.p.wall()) {
		v.Warming = &s.WarmUntil
		for _, m := range s.Previous {
			v.Previous = append(v.Previous, m.Name)
		}
	}
	return v
}

// snapshot is the membership that d goes by.
func (d *discovery) snapshot() (s topo.Snapshot, applied uint64, known bool) {
	if d.of == nil {
		return s, 0, false
	}
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	return d.of.last, d.of.applied, d.of.have
}

// topologyStatus is the state of every source.
func (p *Proxy) topologyStatus() []topo.Status {
	switch t := p.opts.Topology.(type) {
	case nil:
		return nil
	case interface{ Statuses() []topo.Status }:
		return t.Statuses()
	default:
		return []topo.Status{t.Status()}
	}
}

func (p *Proxy) collectTopology(g *generation, emit func(prometheus.Metric)) {
	for _, s := range p.topologyStatus() {
		emit(stat.GaugeMetric(stat.TopologyConnected, oneIf(s.Connected), s.Source))
		if !s.LastNews.IsZero() {
			emit(stat.GaugeMetric(stat.TopologyNews, float64(s.LastNews.UnixMilli())/1000, s.Source))
		}
		emit(stat.CounterMetric(stat.TopologyChanges, s.Changes, s.Source))
		emit(stat.CounterMetric(stat.TopologyRefused, s.Refused, s.Source))
		emit(stat.CounterMetric(stat.TopologyRewatches, s.Rewatches, s.Source))
		emit(stat.CounterMetric(stat.TopologyLeases, s.Leases, s.Source))
		emit(stat.CounterMetric(stat.TopologyConflicts, s.Conflicts, s.Source))
	}
	for _, d := range g.found {
		s, applied, known := d.snapshot()
		if !known {
			continue
		}
		count := map[topo.State]int{topo.Warming: 0, topo.Ready: 0, topo.Draining: 0}
		for _, m := range s.Members {
			switch {
			case d.spec.Zone != "" && m.Zone != d.spec.Zone:
			case m.State == "":
				count[topo.Ready]++
			default:
				count[m.State]++
			}
		}
		for _, m := range s.Previous {
			if m.State == topo.Draining && (d.spec.Zone == "" || m.Zone == d.spec.Zone) && s.Warms(p.wall()) {
				count[topo.Draining]++
			}
		}
		name := d.pool.Name()
		for state, n := range count {
			emit(stat.GaugeMetric(stat.PoolMembers, float64(n), name, string(state)))
		}
		emit(stat.GaugeMetric(stat.PoolEpoch, float64(s.Epoch), name))
		emit(stat.GaugeMetric(stat.PoolStale, oneIf(s.Stale), name))
		emit(stat.GaugeMetric(stat.PoolApplied, oneIf(applied >= s.Epoch), name))
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// topologyStats is `stats proxytopology`.
func (p *Proxy) topologyStats(tell func(string, any)) {
	for _, s := range p.topologyStatus() {
		name := "source_" + strings.ReplaceAll(s.Source, " ", "_") + "_"
		tell(name+"connected", yesNo(s.Connected))
		tell(name+"changes", s.Changes)
		tell(name+"refused", s.Refused)
	}
	g := p.current.Load()
	if g == nil {
		return
	}
	for _, d := range g.found {
		s, applied, known := d.snapshot()
		name := "pool_" + d.pool.Name() + "_"
		tell(name+"known", yesNo(known))
		tell(name+"epoch", s.Epoch)
		tell(name+"applied", applied)
		tell(name+"members", len(d.pool.Members()))
		tell(name+"stale", yesNo(s.Stale))
	}
}
