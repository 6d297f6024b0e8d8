// The faults of leaves and of the networks around them: every few seconds a leaf comes, goes, dies, or is cut off.

package churn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
)

const (
	fewest, most = 3, 7 // leaves
	names        = 9    // that leaves may have
)

// What happens to leaves, and to the networks of leaves and proxies, in the order of the table.
var (
	comings = []string{"leaves joined", "leaves came back", "leaves stopped", "leaves killed"}
	cuts    = []string{
		"leaves frozen", "leaves cut off", "leaves slow", "leaves cut off from etcd", "leaves cut off from all",
		"proxies cut off from etcd", "proxies frozen before etcd", "etcd slow for all",
	}
)

// churner makes things happen.
type churner struct {
	w      *world
	r      *rand.Rand
	every  time.Duration
	say    func(format string, args ...any)
	count  map[string]int
	drains []time.Duration
	before map[string]bool // names that have been used
	now    conditions      // what is the matter
	heal   []func()        // what is broken now, to be mended
	healAt time.Time
	hurt   *node
	etcd   etcdFaults
	member durations // for how long leaves that had been killed were members
}

// run goes on until ctx ends, and leaves everything whole.
func (c *churner) run(ctx context.Context) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.mend()
			c.mendEtcd()
			c.w.etcd.Await()
			return c.reap(true)
		case <-tick.C:
		}
		if time.Now().After(c.healAt) {
			c.mend()
		}
		if err := c.strike(); err != nil {
			return err
		}
		if err := c.strikeEtcd(); err != nil {
			return err
		}
		if err := c.reap(false); err != nil {
			return err
		}
	}
}

func (c *churner) reap(all bool) error {
	took, err := c.w.reap(all)
	c.drains = append(c.drains, took...)
	return err
}

func (c *churner) mend() {
	for _, f := range c.heal {
		f()
	}
	c.heal, c.hurt = nil, nil
}

// strike does one thing.
func (c *churner) strike() error {
	n := len(c.w.leaves)
	what := c.r.IntN(100)
	switch {
	case n <= fewest:
		what = 0
	case n >= most:
		what = 40 + c.r.IntN(30)
	}
	leaf := c.w.leaves[c.r.IntN(n)]
	switch {
	case what < 40:
		return c.join()
	case leaf == c.hurt:
		return nil
	case what < 58:
		c.happens("leaves stopped", leaf.name)
		return c.w.stop(leaf)
	case what < 70:
		return c.kill(leaf)
	case c.hurt == nil && len(c.heal) == 0:
		c.cut(leaf)
	}
	return nil
}

func (c *churner) happens(kind, who string) {
	c.count[kind]++
	c.say("%s: %s; %d leaves", kind, who, len(c.w.leaves))
}

// join starts a leaf under a name that no process has now.
func (c *churner) join() error {
	for {
		name := leafName(c.r.IntN(names))
		is := func(n *node) bool { return n.name == name }
		if slices.ContainsFunc(c.w.leaves, is) || slices.ContainsFunc(c.w.going, is) {
			continue
		}
		if err := c.w.join(name); err != nil {
			return fmt.Errorf("%s cannot join: %w", name, err)
		}
		kind := "leaves joined"
		if c.before[name] {
			kind = "leaves came back"
		}
		c.before[name] = true
		c.happens(kind, name)
		return nil
	}
}

// kill kills a leaf, and watches for how long it is a member yet.
func (c *churner) kill(n *node) error {
	for _, p := range c.w.proxies {
		from, over := p.Stderr.Count(), c.now.begin("a killed leaf is a member")
		began := time.Now()
		c.w.ends.Go(func() {
			if _, err := p.Logged(from, patience, "membership changed", fmt.Sprintf("%q", n.name)); err == nil {
				c.member.add(time.Since(began))
			}
			over()
		})
	}
	c.happens("leaves killed", n.name)
	return c.w.kill(n)
}

// cut breaks a leaf's networks for a while, or those of a proxy to etcd. Never both at once: of a proxy that has been cut off from etcd for longer than its
// lease and reaches a leaf that the others had lost nobody claims that it serves nothing old (docs/topology.md).
func (c *churner) cut(n *node) {
	lasts := time.Second + time.Duration(c.r.Int64N(int64(7*time.Second)))
	c.healAt = time.Now().Add(lasts)
	breaks := func(f func(*faultproxy.Proxy), ps ...*faultproxy.Proxy) {
		for _, p := range ps {
			f(p)
			c.heal = append(c.heal, p.Heal)
		}
	}
	slow := func(most time.Duration) func(*faultproxy.Proxy) {
		d := time.Millisecond + time.Duration(c.r.Int64N(int64(most)))
		return func(p *faultproxy.Proxy) { p.Delay(d) }
	}
	kinds := cuts
	if !*etcd {
		kinds = cuts[:3]
	}
	kind, who := kinds[c.r.IntN(len(kinds))], n.name
	proxy := c.w.proxies[c.r.IntN(len(c.w.proxies))]
	switch kind {
	case "leaves frozen":
		breaks((*faultproxy.Proxy).Freeze, n.asked)
	case "leaves cut off":
		breaks((*faultproxy.Proxy).Cut, n.asked)
	case "leaves slow":
		breaks(slow(50*time.Millisecond), n.asked)
	case "leaves cut off from etcd":
		breaks((*faultproxy.Proxy).Freeze, n.etcd...)
	case "leaves cut off from all":
		breaks((*faultproxy.Proxy).Freeze, append([]*faultproxy.Proxy{n.asked}, n.etcd...)...)
	case "proxies cut off from etcd":
		breaks((*faultproxy.Proxy).Cut, proxy.etcd...)
	case "proxies frozen before etcd":
		breaks((*faultproxy.Proxy).Freeze, proxy.etcd...)
	case "etcd slow for all":
		who = "all"
		for _, p := range slices.Concat(c.w.proxies, c.w.leaves) {
			breaks(slow(200*time.Millisecond), p.etcd...)
		}
	}
	condition := "a leaf is cut off"
	switch kind {
	case "leaves frozen", "leaves cut off", "leaves cut off from all":
		c.hurt = n
	case "leaves slow", "leaves cut off from etcd":
		c.hurt, condition = n, kind
	case "etcd slow for all":
		condition = kind
	default:
		who, condition = proxy.name, "a proxy is cut off from etcd"
	}
	c.heal = append(c.heal, c.now.begin(condition))
	c.happens(kind, fmt.Sprintf("%s for %v", who, lasts.Round(100*time.Millisecond)))
}
