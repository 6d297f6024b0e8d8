// Registrations become memberships, and memberships are told.

package etcd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// TestJoinDrainLeave is a pool's life: leaves come, one drains and goes, and everybody is told the same.
func TestJoinDrainLeave(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, b, tier := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints(), proxy("b")), source(t, c.Endpoints())
	wa, wb, wl := watch(t, a, "users"), watch(t, b, "users"), watch(t, tier, "users")
	if s := wa.members(""); s.Epoch != 0 {
		t.Errorf("a pool that nobody knows has epoch %d", s.Epoch)
	}
	if _, err := a.Refresh(background(t), "users"); !errors.Is(err, topo.ErrUnknownPool) {
		t.Errorf("refresh of an unknown pool: %v", err)
	}
	regs := register(t, tier, "users", "l1", "l2", "l3")
	one := wa.members("l1 l2 l3")
	if len(one.Previous) != 0 || !one.WarmUntil.IsZero() {
		t.Errorf("the first owners have nobody to be warmed from: %v", one)
	}

	l4 := register(t, tier, "users", "l4")[0]
	two := wa.members("l1 l2 l3 l4")
	if list(two.Previous) != "l1 l2 l3" || !two.Warms(time.Now()) || two.Epoch <= one.Epoch {
		t.Errorf("after a join: %v", two)
	}
	if err := l4.SetState(topo.Draining); err != nil {
		t.Fatal(err)
	}
	three := wa.members("l1 l2 l3")
	if list(three.Previous) != "l1 l2 l3 l4" || len(three.Lost) != 0 {
		t.Errorf("while one drains: %v", three)
	}
	if err := l4.Close(); err != nil {
		t.Fatal(err)
	}
	four := wa.await("nobody is asked any more", func(s topo.Snapshot) bool { return len(s.Previous) == 0 })
	for _, w := range []*told{wb, wl} {
		if s := w.await("the same", func(s topo.Snapshot) bool { return s.Epoch == four.Epoch }); list(s.Members) != list(four.Members) {
			t.Errorf("another was told %v", s)
		}
	}
	if s, err := b.Refresh(background(t), "users"); err != nil || s.Epoch != four.Epoch {
		t.Errorf("refresh: %v, %v", s, err)
	}
	// One that drains and goes at once, two of five, is not looked into, and not lost.
	for _, r := range register(t, tier, "users", "l4", "l5") {
		wa.await(r.Member().Name, func(s topo.Snapshot) bool { return find(s.Members, r.Member().Name) != nil })
		if err := r.SetState(topo.Draining); err != nil {
			t.Fatal(err)
		}
		awaitRegistered(t, r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	four = wa.await("who is left", func(s topo.Snapshot) bool { return list(s.Members) == "l1 l2 l3" && len(s.Previous) == 0 })
	wa.never("somebody was lost", func(s topo.Snapshot) bool { return len(s.Lost) > 0 })
	// A change that moves no key keeps everybody's place.
	if err := regs[0].Update(func(m *topo.Member) { m.Addr = "nats://127.0.0.1:2/l1" }); err != nil {
		t.Fatal(err)
	}
	s := wa.await("the address", func(s topo.Snapshot) bool { return s.Members[0].Addr == "nats://127.0.0.1:2/l1" })
	if len(s.Previous) != 0 || !s.Since.Equal(four.Since) || s.Epoch <= four.Epoch {
		t.Errorf("after a change of address: %v", s)
	}
	if st := a.Status(); !st.Connected || st.LastError != "" || st.Changes < 5 || st.Refused+st.Rewatches+st.Leases != 0 || st.LastNews.IsZero() {
		t.Errorf("%+v", st)
	}
}

// TestSettled: a change is settled when every proxy that uses the pool goes by it.
func TestSettled(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, b := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints(), proxy("b"))
	wa, wb := watch(t, a, "users"), watch(t, b, "users")
	register(t, a, "users", "l1")
	e := wa.members("l1").Epoch
	wb.members("l1")
	if a.Settled("users", e) {
		t.Error("settled before anybody goes by it")
	}
	a.Applied("users", e)
	if b.Applied("users", e-1); a.Settled("users", e) {
		t.Error("settled while another goes by an older one")
	}
	b.Applied("users", e)
	eventually(t, "settled", func() bool { return a.Settled("users", e) && b.Settled("users", e) })
	if a.Settled("users", e+1) {
		t.Error("settled without the proxy itself")
	}
	// One that only just came is waited for, from before it is told.
	third, direct := source(t, c.Endpoints(), proxy("c"), func(o *Options) { o.pace = 500 * time.Millisecond }), raw(t, c.Endpoints())
	eventually(t, "it to be known", func() bool { ps, err := a.Proxies(background(t)); return err == nil && len(ps) == 3 })
	known := make(chan bool, 1)
	stop := third.Watch("users", func(topo.Snapshot) {
		r, err := direct.Get(background(t), "/tidepool/proxies/c")
		select {
		case known <- err == nil && len(r.Kvs) == 1 && strings.Contains(string(r.Kvs[0].Value), `"users":`):
		default: // the first time counts
		}
	})
	if !<-known {
		t.Error("told before etcd knows that it uses the pool")
	}
	stop()
	watch(t, third, "users").members("l1")
	eventually(t, "the new proxy to be waited for", func() bool { return !a.Settled("users", e) })
	ps, err := a.Proxies(background(t))
	if err != nil || len(ps) != 3 || ps[0].ID != "a" || ps[1].Applied["users"] != e {
		t.Errorf("proxies: %+v, %v", ps, err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "settled without the one that has gone", func() bool { return a.Settled("users", e) })
}

// TestRefreshTells: whoever refreshes, because a leaf knows a newer membership, finds it told, also where etcd has to be given this proxy's word anew.
func TestRefreshTells(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	tier, a := source(t, c.Endpoints()), source(t, c.Endpoints(), proxy("a"))
	register(t, tier, "users", "l1")
	w, leaves := watch(t, a, "users"), watch(t, tier, "users")
	w.members("l1")
	a.me.wrote(0, 0) // its lease is lost
	register(t, tier, "users", "l2")
	leaves.members("l1 l2")
	s, err := a.Refresh(background(t), "users")
	if err != nil || list(s.Members) != "l1 l2" {
		t.Fatalf("refreshed: %v, %v", s, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.all[len(w.all)-1]; last.Epoch < s.Epoch {
		t.Errorf("refreshed to %d, and %d is what was told last", s.Epoch, last.Epoch)
	}
}

// TestAnnouncedLate: etcd's answer to the word that this proxy uses a pool may come before the watch has got so far. Then the pool is told when it has.
func TestAnnouncedLate(t *testing.T) {
	t.Parallel()
	s := source(t, []string{"127.0.0.1:1"}, proxy("a"), func(o *Options) { o.StaleAfter = time.Hour })
	w := watch(t, s, "users")
	s.mu.Lock()
	s.listed, s.mirror.rev = true, 4
	s.pools["users"].doc.Epoch = 7
	s.mu.Unlock()
	_, version := s.me.value()
	s.me.wrote(version, 5)
	w.never("before etcd's word", func(topo.Snapshot) bool { return true })
	own := &mvccpb.KeyValue{Key: []byte(s.key(dirProxies + "a")), Value: []byte(`{}`), ModRevision: 5}
	s.apply(&clientv3.WatchResponse{Events: []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: own}}})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) != 1 || w.all[0].Epoch != 7 {
		t.Errorf("with it: was told %s", show(w.all))
	}
}

// TestAnnouncedNever: a pool is told in the end though etcd does not take the word that this proxy uses it, also while it takes older ones.
func TestAnnouncedNever(t *testing.T) {
	t.Parallel()
	s := source(t, []string{"127.0.0.1:1"}, proxy("a"), func(o *Options) { o.StaleAfter = time.Hour })
	s.mu.Lock()
	s.listed, s.poolLocked("users").doc.Epoch = true, 7
	s.mu.Unlock()
	_, older := s.me.value()
	w := watch(t, s, "users")
	eventually(t, "the pool to be told", func() bool {
		s.me.wrote(older, 5)
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.all) > 0
	})
}
