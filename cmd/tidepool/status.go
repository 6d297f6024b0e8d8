// tidepool status: all proxies and leaves that etcd knows, and who lags.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
	"github.com/tidepool-proxy/tidepool/pools"
)

// statusReport is what etcd holds, and what is wrong with it. It is what --json prints.
type statusReport struct {
	*etcd.View
	Proxies  []proxyStatus `json:"proxies"`
	Leaves   []leafStatus  `json:"leaves"`
	Problems []string      `json:"problems"` // all that lags or is missing, one a line
}

type proxyStatus struct {
	etcd.ProxyInfo
	Leads []string `json:"leads,omitempty"`
	Lags  []string `json:"lags,omitempty"` // in what, and why
}

type leafStatus struct {
	etcd.Leaf
	Lags []string `json:"lags,omitempty"`
}

func newStatusCommand() *cobra.Command {
	var f configFlags
	var asJSON, check bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show all proxies and leaves that etcd knows, and which lag",
		Long: `Show what etcd knows, as of one moment: configurations, proxies with the configuration that each runs, the memberships of pools, and leaves.

A proxy lags that runs another configuration than etcd holds, or goes by an older membership of a pool than the newest; a leaf, that is in no
membership yet. Missing is a member without a registration, and a pool in use without leaves.`,
		Example: `  tidepool status --etcd 10.0.0.1:2379
  tidepool config put routes.lua --etcd 10.0.0.1:2379 && tidepool status --etcd 10.0.0.1:2379 --check --wait 10s`,
		Args: noArgs,
	}
	f.etcdFlags.add(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&check, "check", false, "exit with 1 if anything lags or is missing")
	c.Flags().DurationVar(&wait, "wait", 0, "with --check: how long to wait for it to be well")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if wait != 0 && (!check || wait < 0) {
			return usageError{c.CommandPath(), "want --wait with --check, and not below 0"}
		}
		src, err := f.open(c)
		if err != nil {
			return err
		}
		defer src.Close()
		r, err := awaitStatus(c.Context(), src, check, wait)
		if err != nil {
			return f.failed(err)
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			err = e.Encode(r)
		} else {
			_, err = c.OutOrStdout().Write(printStatus(r, strings.Join(f.endpoints, ","), time.Now()))
		}
		if err == nil && check && len(r.Problems) > 0 {
			return exitCode(1)
		}
		return err
	}
	return c
}

// askEvery is how often --wait looks again.
const askEvery = 200 * time.Millisecond

// awaitStatus asks once, or until all is well or wait is over.
func awaitStatus(ctx context.Context, src *etcd.Source, check bool, wait time.Duration) (*statusReport, error) {
	for end := time.Now().Add(wait); ; {
		v, err := src.View(ctx)
		if err != nil {
			return nil, err
		}
		r := judge(&v)
		if !check || len(r.Problems) == 0 || time.Until(end) < askEvery {
			return r, nil
		}
		time.Sleep(askEvery)
	}
}

// judge finds what lags or is missing.
func judge(v *etcd.View) *statusReport {
	r := &statusReport{View: v, Proxies: []proxyStatus{}, Leaves: []leafStatus{}, Problems: slices.Clone(v.Strange)}
	docs := map[string]*topo.Snapshot{}
	for i := range v.Pools {
		docs[v.Pools[i].Pool] = &v.Pools[i]
	}
	used := map[string]bool{}
	for _, p := range v.Proxies {
		s := proxyStatus{ProxyInfo: p, Lags: proxyLags(v, docs, &p)}
		for what, id := range v.Leaders {
			if id == p.ID {
				s.Leads = append(s.Leads, what)
			}
		}
		slices.Sort(s.Leads)
		for pool := range p.Applied {
			used[pool] = true
		}
		for _, lag := range s.Lags {
			r.problem("proxy %s lags: %s", p.ID, lag)
		}
		for _, pool := range slices.Sorted(maps.Keys(p.Unreachable)) {
			for _, name := range slices.Sorted(maps.Keys(p.Unreachable[pool])) {
				r.problem("proxy %s does not reach leaf %s of pool %s", p.ID, name, pool)
			}
		}
		r.Proxies = append(r.Proxies, s)
	}
	if len(v.Proxies) == 0 {
		r.problem("there is no proxy")
	}
	registered := map[string]bool{}
	for _, l := range v.Leaves {
		l.Addr = withoutSecrets(l.Addr)
		s := leafStatus{Leaf: l}
		registered[l.Pool+"/"+l.Name] = true
		if d := docs[l.Pool]; l.State != topo.Draining && (d == nil || !slices.ContainsFunc(d.Members, func(m topo.Member) bool { return m.Name == l.Name })) {
			s.Lags = append(s.Lags, "it is in no membership yet")
			r.problem("leaf %s of pool %s lags: %s", l.Name, l.Pool, s.Lags[0])
		}
		r.Leaves = append(r.Leaves, s)
	}
	for i := range v.Pools {
		d := &v.Pools[i]
		for _, ms := range [][]topo.Member{d.Members, d.Previous} {
			for i := range ms {
				ms[i].Addr = withoutSecrets(ms[i].Addr)
			}
		}
		for _, m := range d.Members {
			if !registered[d.Pool+"/"+m.Name] {
				r.problem("leaf %s of pool %s is missing: it is a member without a registration", m.Name, d.Pool)
			}
		}
	}
	for _, pool := range slices.Sorted(maps.Keys(used)) {
		if d := docs[pool]; d == nil || len(d.Members) == 0 {
			r.problem("pool %s is missing: proxies use it, and it has no leaves", pool)
		}
	}
	if r.Problems == nil {
		r.Problems = []string{}
	}
	return r
}

func (r *statusReport) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// proxyLags says in what a proxy lags.
func proxyLags(v *etcd.View, docs map[string]*topo.Snapshot, p *etcd.ProxyInfo) (lags []string) {
	if p.Digest == "" {
		lags = append(lags, "it has loaded no configuration yet")
	}
	if p.Config != "" {
		now, ok := v.Configs[p.Config]
		switch {
		case !ok:
			lags = append(lags, fmt.Sprintf("the configuration that it runs is gone from %s/%s", v.Prefix, p.Config))
		case now.Generation != p.Generation || now.Digest != p.Digest:
			lags = append(lags, fmt.Sprintf("it runs configuration %d %s, not %d %s", p.Generation, p.Digest, now.Generation, now.Digest))
		}
	}
	if p.Refused != "" {
		lags = append(lags, "it refuses a configuration: "+p.Refused)
	}
	for _, pool := range slices.Sorted(maps.Keys(p.Applied)) {
		if d := docs[pool]; d != nil && p.Applied[pool] < d.Epoch {
			lags = append(lags, fmt.Sprintf("it goes by epoch %d of pool %s, not %d", p.Applied[pool], pool, d.Epoch))
		}
	}
	return lags
}

// withoutSecrets gives an address without a user's password.
func withoutSecrets(addr string) string {
	a, err := pools.ParseAddr(addr)
	if err != nil {
		return "?"
	}
	return a.String()
}
