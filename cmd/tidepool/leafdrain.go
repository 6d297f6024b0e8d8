// The drain of a leaf that is in a pool: what it does between the signal to stop and the end of its service.

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
	"github.com/tidepool-proxy/tidepool/leaf"
)

const (
	poolDrain     = 25 * time.Second       // the default of --drain in a pool: less than the 30 s that Kubernetes gives a pod
	lameDuck      = time.Second            // over how long who is still connected then is let go
	drainEvery    = 50 * time.Millisecond  // how often it is looked how far proxies and heirs are
	drainAnswer   = 2 * time.Second        // of the limit is kept for answering what proxies have sent, or a quarter of it
	drainRegister = 3 * time.Second        // for how long etcd is waited for to take down that the leaf drains
	drainUntold   = 500 * time.Millisecond // after the last proxy has changed over, one that tells how keys are placed has done so
)

// leafDrain is one drain and how far it is.
type leafDrain struct {
	mu      sync.Mutex
	began   time.Time // zero: it has not
	over    time.Time // zero: it goes on
	hand    leaf.HandOver
	proxies int       // that use the pool
	behind  int       // of them, those that may still choose this leaf
	settled time.Time // since when there are none of those
}

// drain has the pool go on without this leaf, for as long as ctx lasts, less what it takes to answer what proxies have sent: proxies choose other
// leaves, those that own its keys now read what it holds of them, what was read most first, and no proxy is left that goes by it. It serves
// meanwhile. Nothing is waited for that cannot come: proxies where there are none, an etcd that is away.
func (r *registered) drain(ctx context.Context) {
	if r == nil || r.another() { // nobody asks it for anything
		return
	}
	d := &r.draining
	d.mu.Lock()
	d.began = time.Now()
	d.mu.Unlock()
	if end, ok := ctx.Deadline(); ok {
		total := time.Until(end)
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, total-min(drainAnswer, total/4))
		defer cancel()
	}
	r.log.Info("leaf drains", "leaf", r.l.Name(), "pool", r.pool)
	err := r.drained(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = time.Now()
	tell := r.log.Info
	if err != nil {
		tell = r.log.Warn
	}
	tell("leaf has drained", "leaf", r.l.Name(), "pool", r.pool, "took", d.over.Sub(d.began).Round(time.Millisecond).String(), "items", d.hand.Items,
		"heirs", d.hand.Heirs, "heirs_left", d.hand.Left, "proxies", d.proxies, "proxies_behind", d.behind, "err", err)
}

// drained waits until nothing is left to wait for. An error says why that was not all.
func (r *registered) drained(ctx context.Context) error {
	told, cancel := context.WithTimeout(ctx, drainRegister)
	err := r.reg.Await(told)
	cancel()
	if err != nil {
		return fmt.Errorf("cannot tell proxies: %w", err)
	}
	for {
		proxies, err := r.src.Proxies(ctx)
		if err == nil && r.draining.look(r, proxies) {
			return nil
		}
		select {
		case <-time.After(drainEvery):
		case <-ctx.Done():
			return fmt.Errorf("cannot wait any longer: %w", ctx.Err())
		}
	}
}

// look notes how far it is, and reports whether that is all.
func (d *leafDrain) look(r *registered, proxies []etcd.ProxyInfo) (done bool) {
	hand, out := r.l.HandOver(), r.left()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hand, d.proxies, d.behind = hand, 0, 0
	for _, p := range proxies {
		if at, uses := p.Applied[r.pool]; uses {
			d.proxies++
			if out == 0 || at < out {
				d.behind++
			}
		}
	}
	switch {
	case d.behind > 0:
		d.settled = time.Time{}
		return false
	case d.settled.IsZero():
		d.settled = time.Now()
	}
	return d.proxies == 0 || hand.Done() || hand.Epoch == 0 && time.Since(d.settled) > drainUntold
}

// drainMetrics are read off a drain.
var drainMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*leafDrain) float64
}{
	{leafDesc("drain_seconds", "How long the leaf's drain has taken so far; 0: it does not drain."), prometheus.GaugeValue, (*leafDrain).seconds},
	{leafDesc("drain_heirs_left", "Leaves that have not read yet what this one, which drains, holds of their keys."), prometheus.GaugeValue,
		func(d *leafDrain) float64 { return float64(len(d.hand.Left)) }},
	{leafDesc("drain_proxies_behind", "Proxies that may still choose this leaf, which drains."), prometheus.GaugeValue,
		func(d *leafDrain) float64 { return float64(d.behind) }},
	{leafDesc("drain_items_total", "Items that a leaf, which drains, has handed over."), prometheus.CounterValue,
		func(d *leafDrain) float64 { return float64(d.hand.Items) }},
}

func (d *leafDrain) seconds() float64 {
	switch {
	case d.began.IsZero():
		return 0
	case d.over.IsZero():
		return time.Since(d.began).Seconds()
	}
	return d.over.Sub(d.began).Seconds()
}

// collector shows how far it is.
func (d *leafDrain) collector(name string) prometheus.Collector {
	return stat.Collector(func(emit func(prometheus.Metric)) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, m := range drainMetrics {
			emit(prometheus.MustNewConstMetric(m.desc, m.kind, m.read(d), name))
		}
	})
}
