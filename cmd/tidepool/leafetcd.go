// A leaf and etcd: registering it in a pool, what it says of itself there while it lives, and hearing of the pool's memberships.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// registerFlags say in which pool a leaf registers, and as what.
type registerFlags struct {
	etcd       etcdFlags
	pool, zone string
	weight     float64
	stateDir   string
}

func (f *registerFlags) add(fs *pflag.FlagSet) {
	f.etcd.add(fs)
	fs.StringVar(&f.pool, "pool", "", "with --etcd: the `pool` to register in, for proxies to discover")
	fs.StringVar(&f.zone, "zone", "", "with --etcd: the `zone` to register in")
	fs.Float64Var(&f.weight, "weight", 1, "with --etcd: the leaf's share of the pool's keys, beside others")
	fs.StringVar(&f.stateDir, "state-dir", "", "with --etcd: `folder` to keep the pool's last membership in, for a start while etcd is away")
}

// problem says what cannot be meant, or "".
func (f *registerFlags) problem(set func(string) bool) string {
	if !f.etcd.given() {
		for _, name := range []string{"pool", "zone", "weight", "state-dir"} {
			if set(name) {
				return fmt.Sprintf("--%s goes with --etcd", name)
			}
		}
		return f.etcd.problem()
	}
	switch err := topo.ValidPool(f.pool); {
	case f.pool == "":
		return "want --pool with --etcd"
	case err != nil:
		return fmt.Sprintf("invalid argument %q for \"--pool\" flag: %v", f.pool, err)
	case !(f.weight > 0) || math.IsInf(f.weight, 1):
		return fmt.Sprintf("invalid argument \"%v\" for \"--weight\" flag: want more than 0", f.weight)
	}
	return f.etcd.problem()
}

// reachable says what is wrong with the address that proxies would be told, or "". advertised is that of --advertise.
func (f *registerFlags) reachable(listen, advertised string) string {
	if !f.etcd.given() || listen == "" || advertised != "" {
		return ""
	}
	host, _, _ := net.SplitHostPort(listen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return fmt.Sprintf("want --advertise with --etcd: proxies cannot be told to connect to %q", listen)
	}
	return ""
}

// registered is a leaf's place in etcd. The nil one is none.
type registered struct {
	l    *leaf.Leaf
	log  *slog.Logger
	pool string
	src  *etcd.Source
	reg  *etcd.Registration

	quit chan struct{}
	done sync.WaitGroup
	stop func() // of the watch

	draining leafDrain

	mu       sync.Mutex
	out      uint64 // the epoch of the pool's last membership, if this leaf owns no keys by it
	replaced bool   // by that another leaf has its name
}

// open ties a leaf that is about to start to etcd; nil where there is none. It does not wait for etcd.
func (f *registerFlags) open(log *slog.Logger) (*registered, error) {
	if !f.etcd.given() {
		return nil, nil
	}
	o, err := f.etcd.options(log)
	if err != nil {
		return nil, err
	}
	o.StateDir = f.stateDir
	src, err := etcd.New(o)
	if err != nil {
		return nil, err
	}
	return &registered{log: log, pool: f.pool, src: src, quit: make(chan struct{})}, nil
}

// epochPatience is how long a start waits for etcd to tell the pool's epoch.
const epochPatience = 2 * time.Second

// epoch gives the pool's as etcd knows it, or as it was kept on disk; 0: nobody knows. A leaf that is back must not take requests that the one
// before it refused.
func (r *registered) epoch(ctx context.Context) uint64 {
	if r == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, epochPatience)
	defer cancel()
	s, err := r.src.Refresh(ctx, r.pool)
	if err != nil && !errors.Is(err, topo.ErrUnknownPool) {
		r.log.Warn("leaf starts without etcd", "pool", r.pool, "epoch", s.Epoch, "err", err)
	}
	return s.Epoch
}

// register makes a leaf that serves known.
func (r *registered) register(f *registerFlags, l *leaf.Leaf, addr string, memory int64) (err error) {
	if r == nil {
		return nil
	}
	m := topo.Member{Name: l.Name(), Addr: addr, Zone: f.zone, Weight: f.weight, Memory: memory, Version: versionName(), State: topo.Ready}
	if l.Warm() != nil {
		m.State = topo.Warming
	}
	r.l = l
	if r.reg, err = r.src.Register(f.pool, m); err != nil {
		return err
	}
	r.stop = r.src.Watch(f.pool, r.hear)
	r.done.Go(r.follow)
	r.log.Info("leaf registers", "leaf", l.Name(), "pool", f.pool, "addr", addr, "zone", f.zone, "state", string(m.State))
	return nil
}

// hear takes note of a membership: from now on this leaf refuses what goes by an older one.
func (r *registered) hear(s topo.Snapshot) {
	if s.Stale {
		return // others may know better
	}
	r.l.SetEpoch(s.Epoch)
	out, replaced, me := s.Epoch, false, r.reg.Member()
	for _, m := range s.Members {
		if m.Name == me.Name {
			out, replaced = 0, m.Addr != me.Addr
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out, r.replaced = out, replaced
}

// another reports whether a leaf that was registered later, under the same name, is the pool's. It has the name, and its place is not this leaf's to give up.
func (r *registered) another() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replaced
}

// left gives the epoch by which this leaf has left its pool; 0: it has not.
func (r *registered) left() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out
}

// follow tells of the end of the recovery.
func (r *registered) follow() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for r.reg.Member().State == topo.Warming {
		select {
		case <-r.quit:
			return
		case <-t.C:
		}
		if r.l.Warm() == nil {
			r.say(topo.Ready)
		}
	}
}

func (r *registered) say(state topo.State) {
	if err := r.reg.SetState(state); err != nil {
		r.log.Error("cannot say in etcd how far this leaf is", "state", string(state), "err", err)
	}
}

// leave says that this leaf is about to stop.
func (r *registered) leave() {
	if r != nil {
		close(r.quit)
		r.done.Wait() // it would say that the leaf is ready
		if !r.another() {
			r.say(topo.Draining)
		}
	}
}

// close takes the leaf out of its pool. It comes after the leaf's own end.
func (r *registered) close() error {
	if r == nil {
		return nil
	}
	if r.reg == nil { // the leaf has not come to serve
		return r.src.Close()
	}
	r.stop()
	return errors.Join(r.reg.Close(), r.src.Close())
}

// registeredView is what admin shows of it.
type registeredView struct {
	Pool   string      `json:"pool"`
	Member topo.Member `json:"member"`
	Source topo.Status `json:"source"`
}

func (r *registered) view() *registeredView {
	if r == nil {
		return nil
	}
	return &registeredView{r.pool, r.reg.Member(), r.src.Status()}
}

// collectors show how etcd is.
func (r *registered) collectors() []prometheus.Collector {
	if r == nil {
		return nil
	}
	return []prometheus.Collector{r.draining.collector(r.l.Name()), stat.Collector(func(emit func(prometheus.Metric)) {
		s := r.src.Status()
		connected := 0.0
		if s.Connected {
			connected = 1
		}
		emit(stat.GaugeMetric(stat.TopologyConnected, connected, s.Source))
		emit(stat.CounterMetric(stat.TopologyRewatches, s.Rewatches, s.Source))
		emit(stat.CounterMetric(stat.TopologyLeases, s.Leases, s.Source))
	})}
}

// registeredAddr is where proxies are told to find a leaf: its name included, so that another that listens there is not taken for it.
func registeredAddr(l *leaf.Leaf, advertised string) string {
	if l.Addr() == "" {
		return l.URL() // a NATS system's, which has the name
	}
	scheme := "nats://"
	if strings.HasPrefix(l.URL(), "tls://") {
		scheme = "tls://"
	}
	return scheme + cmp.Or(advertised, l.Addr()) + "/" + l.Name()
}
