// Leaves that are registered and that no proxy reaches.

package etcd

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// TestUnreachable: who is missed by every proxy and does not answer is taken out while its lease goes on, and is back when it answers.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	c, ck, an := etcdpeer.Start(t, 1), &clock{}, &answers{}
	options := func(o *Options) { o.Probe, o.Now = an.probe, ck.now }
	a, b := source(t, c.Endpoints(), proxy("a"), options), source(t, c.Endpoints(), proxy("b"), options)
	w := watch(t, a, "users")
	watch(t, b, "users")
	register(t, source(t, c.Endpoints()), "users", "l1", "l2", "l3", "l4")
	w.members("l1 l2 l3 l4")
	miss := func(s *Source, names ...string) {
		m := map[string]string{}
		for _, n := range names {
			m[n] = leaf(n).Addr
		}
		s.Unreachable("users", m)
	}
	heard := func(id string, names ...string) { // by both
		t.Helper()
		for _, s := range []*Source{a, b} {
			eventually(t, fmt.Sprintf("%s to be heard of %v", id, names), func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return slices.Equal(slices.Sorted(maps.Keys(s.mirror.proxies[id].Unreachable["users"])), names)
			})
		}
	}
	asked := func() func() bool {
		n := an.times()
		return func() bool { return an.times() >= n+2 }
	}

	miss(a, "l2") // straight after the listing, and by one proxy alone
	miss(b, "l2")
	heard("a", "l2")
	heard("b", "l2")
	miss(b)
	heard("b")
	if an.times() > 0 {
		t.Errorf("%d were asked before they could be taken out", an.times())
	}
	ck.forward(time.Minute)

	an.set("l2") // missed by both, but it answers
	again := asked()
	miss(b, "l2")
	eventually(t, "l2 to be asked twice", again)

	an.set() // and now it does not
	if s := w.members("l1 l3 l4"); !slices.Equal(s.Lost, []string{"l2"}) || find(s.Previous, "l2") != nil {
		t.Errorf("after l2 was missed by all: %v", s)
	}
	miss(a)
	miss(b)
	again = asked()
	ck.forward(2 * time.Minute) // it is not forgotten
	eventually(t, "l2 to be asked whether it is back", again)
	an.set("l2")
	w.members("l1 l2 l3 l4")

	ck.forward(2 * time.Minute)
	an.set()
	again = asked()
	miss(a, "l1", "l2") // half of them
	miss(b, "l1", "l2")
	eventually(t, "the half to be asked", again)
	b.Unreachable("users", map[string]string{"l1": "nats://127.0.0.1:1/elsewhere"}) // where it was before
	heard("b", "l1")
	register(t, source(t, c.Endpoints()), "users", "l5")
	w.members("l1 l2 l3 l4 l5")
	w.never("half of them, or one that was elsewhere, was taken out", func(s topo.Snapshot) bool { return s.Epoch > 0 && find(s.Members, "l1") == nil })
}

// TestUnreachableAtOnce: who is missed straight after a listing is taken out a while later, though nobody says anything new then.
func TestUnreachableAtOnce(t *testing.T) {
	t.Parallel()
	c, an := etcdpeer.Start(t, 1), &answers{}
	register(t, source(t, c.Endpoints()), "users", "l1", "l2", "l3", "l4")
	s := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.Probe = an.probe })
	w := watch(t, s, "users")
	s.Unreachable("users", map[string]string{"l2": leaf("l2").Addr})
	w.members("l1 l3 l4")
}
