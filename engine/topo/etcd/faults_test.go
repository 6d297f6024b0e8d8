// etcd and the network before it, at their worst.

package etcd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// TestKilled: a leaf that is killed is lost when its lease runs out.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a := source(t, c.Endpoints(), proxy("a"))
	w := watch(t, a, "users")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+c.Endpoints()[0])
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	register(t, a, "users", "l1", "l2", "l4")
	if line := p.Stdout.Find(0, patience, "registered"); line != "registered <nil>" {
		t.Fatalf("%q\n%s", line, p.Stderr.Tail())
	}
	w.members("l1 l2 l3 l4")
	p.Kill()
	if s := w.members("l1 l2 l4"); !slices.Equal(s.Lost, []string{"l3"}) || slices.Contains(names(s.Previous), "l3") {
		t.Errorf("after a kill: %v", s)
	}
}

// TestAway: etcd comes late, and all falls into place.
func TestAway(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	c.Members[0].Kill()
	a := source(t, c.Endpoints(), proxy("a"))
	w := watch(t, a, "users")
	r, err := a.Register("users", leaf("l1"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "etcd to be missed", func() bool { return a.Status().LastError != "" })
	if _, err := a.Refresh(background(t), "users"); err == nil || errors.Is(err, topo.ErrUnknownPool) || a.Status().Connected {
		t.Errorf("refresh without etcd: %v, %+v", err, a.Status())
	}
	if w.never("nothing is known", func(topo.Snapshot) bool { return true }); a.Settled("users", 0) {
		t.Error("settled, as far as nobody knows")
	}
	c.Restart()
	awaitRegistered(t, r)
	w.members("l1")
}

// TestWiped: an etcd that has forgotten everything is told by those who have not, and no leaf is lost.
func TestWiped(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, b, tier := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints(), proxy("b")), source(t, c.Endpoints())
	wa, wl := watch(t, a, "users"), watch(t, tier, "users")
	watch(t, b, "users")
	register(t, tier, "users", "l1", "l2", "l3")
	was := wa.members("l1 l2 l3")
	wl.members("l1 l2 l3")
	c.Wipe()
	c.Restart()
	for _, w := range []*told{wa, wl} {
		s := w.await("a newer epoch", func(s topo.Snapshot) bool { return s.Epoch > was.Epoch })
		if list(s.Members) != "l1 l2 l3" {
			t.Errorf("members are %s", list(s.Members))
		}
	}
	eventually(t, "leases to be taken anew", func() bool { return tier.Status().Leases >= 3 && a.Status().Leases == 1 && b.Status().Leases == 1 })
	register(t, tier, "users", "l4")
	wa.members("l1 l2 l3 l4")
	wa.never("a leaf was given up", func(s topo.Snapshot) bool { return s.Epoch > was.Epoch && len(s.Members) < 3 })
	if st := a.Status(); st.Rewatches == 0 || !st.Connected {
		t.Errorf("%+v", st)
	}
}

// TestOneIsLate: nor is one that notices after the others, and who is a member then may be few enough to be believed lost.
func TestOneIsLate(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.LeaseTTL = 30 * time.Second }) // so it is patient for as long
	tier, net := source(t, c.Endpoints()), network(t, c.Members[0].Client)
	late := source(t, []string{net.Addr()})
	w := watch(t, a, "users")
	register(t, tier, "users", "l1", "l2", "l3")
	register(t, late, "users", "l4")
	was := w.members("l1 l2 l3 l4")
	c.Wipe()
	net.Freeze()
	c.Restart()
	eventually(t, "the others to be back", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.mirror.leaves["users"]) == 3
	})
	register(t, tier, "users", "l5")
	w.await("l5", func(s topo.Snapshot) bool { return find(s.Members, "l5") != nil })
	w.never("l4 was given up", func(s topo.Snapshot) bool { return s.Epoch > was.Epoch && find(s.Members, "l4") == nil })
}

// TestRestarted: etcd is down for longer than leases last. Nobody is lost, and nothing is decided for it.
func TestRestarted(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, tier := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints())
	w := watch(t, a, "users")
	rs := register(t, tier, "users", "l1", "l2", "l3")
	was := w.members("l1 l2 l3")
	c.Members[0].Kill()
	eventually(t, "the leases to be given up", func() bool { return tier.Status().Leases == 3 })
	c.Restart()
	for _, r := range rs {
		awaitRegistered(t, r)
	}
	eventually(t, "etcd to be there", func() bool { return a.Status().Connected })
	register(t, tier, "users", "l4")
	if s := w.members("l1 l2 l3 l4"); s.Replaces != was.Epoch {
		t.Errorf("there was a membership between %d and %d, which replaces %d", was.Epoch, s.Epoch, s.Replaces)
	}
}

// TestCompacted: a watch whose past is gone ends, so that it is begun again with a listing.
func TestCompacted(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, direct := source(t, c.Endpoints(), proxy("a")), raw(t, c.Endpoints())
	watch(t, a, "users").members("")
	if _, err := direct.Compact(background(t), a.revision()); err != nil {
		t.Fatal(err)
	}
	if err := a.watchFrom(0); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a watch from before the compaction: %v", err)
	}
}

func (s *Source) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mirror.rev
}

// TestPartition: a proxy that is cut off serves on by what it knows, says so, and catches up.
func TestPartition(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	net := network(t, c.Endpoints()[0])
	a, b := source(t, []string{net.Addr()}, proxy("a")), source(t, c.Endpoints(), proxy("b"))
	wa, wb := watch(t, a, "users"), watch(t, b, "users")
	register(t, b, "users", "l1", "l2")
	e := wa.members("l1 l2").Epoch
	a.Applied("users", e)
	b.Applied("users", e)
	eventually(t, "settled", func() bool { return a.Settled("users", e) })
	net.Freeze()
	register(t, b, "users", "l3")
	wb.members("l1 l2 l3")
	eventually(t, "the partition to be noticed", func() bool { return !a.Status().Connected && !a.Settled("users", e) })
	if s, err := a.Refresh(background(t), "users"); err == nil || list(s.Members) != "l1 l2" {
		t.Errorf("refresh beyond the partition: %v, %v", s, err)
	}
	net.Heal()
	wa.members("l1 l2 l3")

	net.Delay(100 * time.Millisecond)
	register(t, b, "users", "l4")
	wa.members("l1 l2 l3 l4")
	net.Cut()
	register(t, b, "users", "l5")
	wb.members("l1 l2 l3 l4 l5")
	net.Heal()
	wa.members("l1 l2 l3 l4 l5")
	if st := a.Status(); st.Rewatches == 0 {
		t.Errorf("nothing was begun again: %+v", st)
	}
}

// TestDeadEndpoint: of two ways to etcd one falls silent. Whichever the watch goes by, news come by the other.
func TestDeadEndpoint(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	one, two := network(t, c.Endpoints()[0]), network(t, c.Endpoints()[0])
	slow := func(o *Options) { o.LeaseTTL = 6 * time.Second }
	a, b := source(t, []string{one.Addr(), two.Addr()}, proxy("a"), slow), source(t, c.Endpoints(), proxy("b"))
	w, r := watch(t, a, "users"), register(t, a, "users", "l1")[0]
	w.members("l1")
	for i, way := range []*faultproxy.Proxy{one, two} {
		way.Freeze()
		began := time.Now()
		name := fmt.Sprint("l", i+2)
		register(t, b, "users", name)
		w.await(name, func(s topo.Snapshot) bool { return find(s.Members, name) != nil })
		eventually(t, "leases that are not renewed to run out", func() bool { return time.Since(began) > 7*time.Second })
		way.Heal()
	}
	awaitRegistered(t, r)
	w.never("the registration was lost", func(s topo.Snapshot) bool { return slices.Contains(s.Lost, "l1") })
	if st := a.Status(); st.Rewatches == 0 || st.Leases > 0 {
		t.Errorf("the watch was never on an endpoint that fell silent, or a lease was lost: %+v", st)
	}
}

// TestLeaderKilled: in a cluster of three the leader is killed, then another hangs, then two are killed. An etcd of 3.4 that has hung as the
// leader and goes on revokes every lease that it thinks has run out in the meantime, so leaves may be lost, but not more than a third of them.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 3)
	an := &answers{}
	an.set("l1", "l2", "l3", "l4", "l5", "l6", "l7")
	a, tier := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.Probe = an.probe }), source(t, c.Endpoints())
	w := watch(t, a, "users")
	register(t, tier, "users", "l1", "l2", "l3")
	w.members("l1 l2 l3")
	c.Leader().Kill()
	register(t, tier, "users", "l4")
	w.members("l1 l2 l3 l4")
	c.Restart()
	hung := c.Leader()
	hung.Hang()
	register(t, tier, "users", "l5")
	w.members("l1 l2 l3 l4 l5")
	hung.Resume()
	c.Await()
	register(t, tier, "users", "l6")
	w.members("l1 l2 l3 l4 l5 l6")
	c.Members[0].Kill()
	c.Members[1].Kill()
	eventually(t, "a member without a leader to be of no use", func() bool { return !a.Status().Connected })
	c.Restart()
	register(t, tier, "users", "l7")
	w.members("l1 l2 l3 l4 l5 l6 l7")
	most := 0
	w.never("more than a third was lost", func(s topo.Snapshot) bool {
		most = max(most, len(s.Members))
		return 3*len(s.Members) < 2*most
	})
}

// TestAnotherEtcd: behind the same address there is another etcd, and neither its revision nor the number of its keys gives it away.
func TestAnotherEtcd(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	net := network(t, c.Endpoints()[0])
	put := func(key, value string, times int) {
		direct := raw(t, c.Endpoints())
		for range times {
			if _, err := direct.Put(background(t), key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	const users = "/tidepool/pools/users"
	put("/others", "", 20)
	put(users, `{"pool":"users","epoch":1,"members":[{"name":"l1","addr":"h:1"}]}`, 1)
	w := watch(t, source(t, []string{net.Addr()}), "users")
	w.members("l1")
	net.Cut()
	c.Wipe()
	c.Restart()
	put(users, `{"pool":"users","epoch":2,"members":[{"name":"l2","addr":"h:1"}]}`, 1)
	put("/others", "", 40)
	net.Heal()
	w.members("l2")
}

// TestSameName: two leaves of one name do not take each other's place in turn.
func TestSameName(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	log := &testWriter{}
	a, b := source(t, c.Endpoints(), logTo(log)), source(t, c.Endpoints())
	first := register(t, a, "users", "l1")[0]
	second, err := b.Register("users", topo.Member{Name: "l1", Addr: "nats://127.0.0.1:9/l1"})
	if err != nil {
		t.Fatal(err)
	}
	awaitRegistered(t, second)
	if err := first.SetState(topo.Draining); err != nil {
		t.Fatal(err)
	}
	if err := first.Await(background(t)); !errors.Is(err, errTaken) {
		t.Errorf("the first waits for what it says of itself: %v", err)
	}
	eventually(t, "the first to say so", func() bool { return strings.Contains(log.String(), "another process has registered itself") })
	if ls, err := a.Leaves(background(t)); err != nil || len(ls) != 1 || ls[0].Addr != "nats://127.0.0.1:9/l1" {
		t.Errorf("leaves: %v, %v", ls, err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first to come back", func() bool {
		ls, err := a.Leaves(background(t))
		return err == nil && len(ls) == 1 && ls[0].Addr == leaf("l1").Addr
	})
}
