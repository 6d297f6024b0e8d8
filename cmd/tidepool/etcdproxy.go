// A proxy and etcd: how it is known there, where its configuration and its pools come from, and whether it leads.

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
)

// etcdProxyFlags are those of a proxy.
type etcdProxyFlags struct {
	etcdFlags
	name     string
	stateDir string
	wait     time.Duration
}

func (f *etcdProxyFlags) add(fs *pflag.FlagSet) {
	f.etcdFlags.add(fs)
	fs.StringVar(&f.name, "name", "", "what this proxy is called in etcd, for people (default: the machine's name)")
	fs.StringVar(&f.stateDir, "state-dir", "", "`folder` to keep the last memberships and the last good configuration in, for a start while etcd is away")
	fs.DurationVar(&f.wait, "config-wait", 30*time.Second, "how long a start waits for a configuration that is to come from etcd")
}

// problem says what cannot be meant, or "".
func (f *etcdProxyFlags) problem() string {
	if f.stateDir != "" && !f.given() {
		return "want --etcd with --state-dir: there is nothing else to keep"
	}
	return f.etcdFlags.problem()
}

// etcdLink is a proxy's tie to etcd. The nil one is none.
type etcdLink struct {
	src    *etcd.Source
	config engine.ConfigSource
	remote *etcdConfig // nil: the configuration is files

	election string
	ctx      context.Context // of the election
	cancel   context.CancelFunc
	leading  sync.WaitGroup
	mu       sync.Mutex
	stands   bool // this proxy is a candidate, or was
	reign    reign
}

// link ties a proxy to etcd; nil where no flag says where that is. key is its configuration's, "" where that is files. It waits for nothing.
func (f *etcdProxyFlags) link(key string, probe topo.Probe, log *slog.Logger) (*etcdLink, error) {
	if !f.given() {
		return nil, nil
	}
	o, err := f.options(log)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	name := cmp.Or(f.name, host, "proxy")
	o.StateDir = f.stateDir
	o.Proxy = &etcd.Proxy{ID: fmt.Sprintf("%s-%08x", name, rand.Uint32()), Name: name, Version: versionName()}
	if key != "" {
		if o.Config, err = f.configKey(key); err != nil {
			return nil, err
		}
	}
	o.Probe = probe
	src, err := etcd.New(o)
	if err != nil {
		return nil, err
	}
	l := &etcdLink{src: src, config: &fileConfig{src: src}, election: election(o.Config)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if key != "" {
		l.remote = newEtcdConfig(src, key, "etcd "+strings.Join(f.endpoints, ",")+" "+key, log)
		l.config = l.remote
	}
	return l, nil
}

// election is the name of that of who runs crons that one proxy of many runs: the many are those that have their configuration from the same key, or
// from files. No name may begin as another does and go on with a slash.
func election(config string) string {
	if config == "" {
		return "crons"
	}
	return "crons:" + url.PathEscape(config)
}

// Stand implements engine.Leader.
func (l *etcdLink) Stand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stands && l.ctx.Err() == nil {
		l.stands = true
		l.leading.Go(func() { _ = l.src.Lead(l.ctx, l.election, l.lead) })
	}
}

// lead is called while this proxy leads.
func (l *etcdLink) lead(ctx context.Context) {
	tick := time.NewTicker(maxGap / 5)
	defer tick.Stop()
	for ctx.Err() == nil {
		l.mu.Lock()
		l.reign.beat(time.Now())
		l.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	l.reign = reign{}
	l.mu.Unlock()
}

// maxGap is how long a leader may not have run before it counts as one that has just come to lead: while it was suspended, another may have.
const maxGap = time.Second

// reign is a time of leading. Its clock is the time of day, which goes on while a process or a machine is suspended. The zero value leads nobody.
type reign struct {
	since, last time.Time
}

// beat says that it goes on.
func (r *reign) beat(now time.Time) {
	now = now.Round(0)
	if gap := now.Sub(r.last); gap > maxGap || gap < 0 {
		r.since = now
	}
	r.last = now
}

// leads reports whether it goes on, and has since at.
func (r *reign) leads(at, now time.Time) bool {
	gap := now.Round(0).Sub(r.last)
	return !r.since.IsZero() && gap <= maxGap && gap >= 0 && !at.Before(r.since)
}

// Leads implements engine.Leader.
func (l *etcdLink) Leads(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reign.leads(at, time.Now())
}

// await waits until a configuration that is to come from etcd is there.
func (l *etcdLink) await(term <-chan os.Signal, patience time.Duration, failed func(error) error) error {
	if l == nil || l.remote == nil {
		return nil
	}
	return l.remote.await(term, patience, failed)
}

// wire has a proxy use it.
func (l *etcdLink) wire(o *engine.Options) {
	if l == nil {
		return
	}
	o.Leader, o.Config = l, l.config
	if l.remote != nil {
		o.Read, o.Sealed = l.remote.Read, true
	}
}

// topology is where pools are discovered that do not say where; nil: nowhere.
func (l *etcdLink) topology() topo.Source {
	if l == nil {
		return nil
	}
	return l.src
}

// serves says where the proxy's admin address is.
func (l *etcdLink) serves(admin string) {
	if l != nil && admin != noAdmin {
		l.src.ServesAdmin(admin)
	}
}

// resign has another proxy lead. It does not wait.
func (l *etcdLink) resign() {
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cancel()
	}
}

// resigned waits until that is done: a source that is closed before keeps the others waiting for its lease.
func (l *etcdLink) resigned() {
	if l != nil {
		l.leading.Wait()
	}
}

// close ends the tie: the proxy is not known to etcd any more.
func (l *etcdLink) close() error {
	if l == nil {
		return nil
	}
	if l.remote != nil {
		l.remote.stop()
	}
	l.resign()
	l.resigned()
	return l.src.Close()
}
