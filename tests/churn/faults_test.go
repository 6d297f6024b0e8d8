// The faults: every few seconds a leaf comes, goes, dies, or is cut off.

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

// kinds of what happens, in the order of the table.
var kinds = []string{"joined", "came back", "stopped", "killed", "frozen", "cut off", "cut off from etcd", "cut off from all"}

// churner makes things happen.
type churner struct {
	w      *world
	r      *rand.Rand
	every  time.Duration
	say    func(format string, args ...any)
	count  map[string]int
	drains []time.Duration
	before map[string]bool // names that have been used
	heal   []func()        // what is broken now, to be mended
	healAt time.Time
	hurt   *node
}

// run goes on until ctx ends, and leaves everything whole.
func (c *churner) run(ctx context.Context) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.mend()
			return c.reap(true)
		case <-tick.C:
		}
		if time.Now().After(c.healAt) {
			c.mend()
		}
		if err := c.strike(); err != nil {
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
		c.happens("stopped", leaf)
		return c.w.stop(leaf)
	case what < 70:
		c.happens("killed", leaf)
		return c.w.kill(leaf)
	case c.hurt == nil:
		c.cut(leaf)
	}
	return nil
}

func (c *churner) happens(kind string, n *node) {
	c.count[kind]++
	c.say("%s %s, %d leaves", n.name, kind, len(c.w.leaves))
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
		kind := "joined"
		if c.before[name] {
			kind = "came back"
		}
		c.before[name] = true
		c.happens(kind, c.w.leaves[len(c.w.leaves)-1])
		return nil
	}
}

// cut breaks a leaf's networks for a while.
func (c *churner) cut(n *node) {
	c.hurt = n
	c.healAt = time.Now().Add(time.Second + time.Duration(c.r.Int64N(int64(7*time.Second))))
	breaks := func(f func(*faultproxy.Proxy), ps ...*faultproxy.Proxy) {
		for _, p := range ps {
			f(p)
			c.heal = append(c.heal, p.Heal)
		}
	}
	kind := kinds[4+c.r.IntN(4)]
	switch kind {
	case "frozen":
		breaks((*faultproxy.Proxy).Freeze, n.asked)
	case "cut off":
		breaks((*faultproxy.Proxy).Cut, n.asked)
	case "cut off from etcd":
		breaks((*faultproxy.Proxy).Freeze, n.etcd)
	default:
		breaks((*faultproxy.Proxy).Freeze, n.asked, n.etcd)
	}
	c.happens(kind, n)
}
