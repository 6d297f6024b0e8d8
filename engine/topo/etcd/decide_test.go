// Many proxies, one document; and losses that are looked into.

package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// TestRace: proxies that all decide agree on every epoch.
func TestRace(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	tier := source(t, c.Endpoints())
	var watches []*told
	var proxies []*Source
	for i := range 4 {
		s := source(t, c.Endpoints(), proxy(fmt.Sprint("p", i)))
		proxies, watches = append(proxies, s), append(watches, watch(t, s, "users"))
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for round := range 4 {
				r, err := tier.Register("users", leaf(fmt.Sprint("l", i)))
				if err != nil {
					t.Error(err)
					return
				}
				watches[(i+round)%4].await("the leaf", func(s topo.Snapshot) bool { return find(s.Members, r.Member().Name) != nil })
				if round == 3 {
					return
				}
				_ = r.Close()
				watches[i%4].await("the leaf gone", func(s topo.Snapshot) bool { return find(s.Members, r.Member().Name) == nil })
			}
		})
	}
	wg.Wait()
	var last topo.Snapshot
	eventually(t, "the last word", func() bool {
		var err error
		last, err = proxies[0].Refresh(background(t), "users")
		ls, e := tier.Leaves(background(t))
		return err == nil && e == nil && len(ls) == 6 && list(last.Members) == "l0 l1 l2 l3 l4 l5"
	})
	epochs := map[uint64]string{}
	for i, w := range watches {
		if s, err := proxies[i].Refresh(background(t), "users"); err != nil || s.Epoch < last.Epoch {
			t.Errorf("refreshed %v, %v", s, err)
		}
		w.await("the last word", func(s topo.Snapshot) bool { return s.Epoch >= last.Epoch && list(s.Members) == list(last.Members) })
		w.never("two memberships of one epoch", func(s topo.Snapshot) bool {
			b, _ := json.Marshal(s)
			was, seen := epochs[s.Epoch]
			epochs[s.Epoch] = string(b)
			return seen && was != string(b)
		})
	}
	if len(epochs) < 4 {
		t.Errorf("only %d memberships", len(epochs))
	}
}

// TestConflict: who loses the swap takes over what the winner wrote.
func TestConflict(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a := source(t, c.Endpoints(), proxy("a"))
	w := watch(t, a, "users")
	register(t, a, "users", "l1")
	w.members("l1")
	a.mu.Lock()
	p := a.pools["users"]
	d, rev := p.doc, p.rev
	a.mu.Unlock()
	for i, want := range []bool{true, false} {
		d.Epoch++
		if won, err := a.swap(p, &d, rev); won != want || err != nil {
			t.Errorf("swap %d: won is %v, %v", i, won, err)
		}
	}
	a.mu.Lock() // who knows a document that is newer than the registrations he knows decides nothing
	a.mirror.rev, p.fits = p.rev-1, false
	a.mu.Unlock()
	if again := a.replace(p); again == 0 {
		t.Error("does not look again")
	}
	if s := a.snapshot(p); s.Epoch != d.Epoch-1 || a.Status().Conflicts != 1 {
		t.Errorf("epoch %d, want the winner's %d; %+v", s.Epoch, d.Epoch-1, a.Status())
	}
}

// clock is the machine's, and may be set forward.
type clock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

// answers says who answers hello.
type answers struct {
	mu    sync.Mutex
	who   map[string]bool
	asked int
}

func (a *answers) probe(_ context.Context, m topo.Member) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return a.who[m.Name]
}

func (a *answers) set(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.who = map[string]bool{}
	for _, n := range names {
		a.who[n] = true
	}
}

func (a *answers) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// TestGuards: registrations that vanish are believed when few do, and when those who vanish do not answer either.
func TestGuards(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	direct, ck, an := raw(t, c.Endpoints()), &clock{}, &answers{}
	a := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.Probe, o.Now = an.probe, ck.now })
	w := watch(t, a, "users")
	put := func(names ...string) { // without a lease: so a server that knows nothing of etcd is made known
		for _, n := range names {
			b, _ := json.Marshal(leaf(n))
			if _, err := direct.Put(background(t), "/tidepool/leaves/users/"+n, string(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	drop := func(names ...string) {
		var ops []clientv3.Op
		for _, n := range names {
			ops = append(ops, clientv3.OpDelete("/tidepool/leaves/users/"+n))
		}
		if _, err := direct.Txn(background(t)).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(n uint64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d refused", n), func() bool { return a.Status().Refused >= n })
	}
	all := []string{"l1", "l2", "l3", "l4", "l5", "l6", "l7"}
	put(all...)
	w.members("l1 l2 l3 l4 l5 l6 l7")

	drop(all...) // straight after the listing nobody is even asked
	refused(1)
	if an.times() != 0 {
		t.Errorf("%d were asked", an.times())
	}
	put(all...)
	eventually(t, "all to be back", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.mirror.leaves["users"]) == 7 })
	ck.forward(time.Minute)

	drop("l7") // one of seven is believed
	w.members("l1 l2 l3 l4 l5 l6")
	if an.times() != 0 {
		t.Errorf("%d were asked", an.times())
	}
	ck.forward(2 * time.Minute)
	an.set("l1", "l2", "l3", "l4", "l5", "l6")
	drop("l1", "l2", "l3", "l4", "l5", "l6") // all of them are not
	refused(2)
	an.set("l1", "l2", "l3", "l4")
	if s := w.members("l1 l2 l3 l4"); !slices.Equal(s.Lost, []string{"l5", "l6"}) { // but who does not answer has gone
		t.Errorf("lost are %v", s.Lost)
	}
	put("l1", "l2", "l8")
	w.members("l1 l2 l3 l4 l8")
	an.set()
	w.members("l1 l2 l8")
	for _, s := range w.all {
		if len(s.Members) == 0 && s.Epoch > 0 {
			t.Errorf("the pool was empty: %s", show(w.all))
		}
	}
}

// TestStrange: what cannot be is not believed, and said.
func TestStrange(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	direct, log := raw(t, c.Endpoints()), &testWriter{}
	a := source(t, c.Endpoints(), proxy("a"), logTo(log))
	w := watch(t, a, "users")
	register(t, a, "users", "l1")
	was := w.members("l1")
	for key, value := range map[string]string{
		"leaves/users/l2":  `{"name":"l3","addr":"h:1"}`,
		"leaves/users/l3":  `{`,
		"leaves/us ers/l1": `{"name":"l1","addr":"h:1"}`,
		"pools/users":      `{"pool":"users","members":[{"name":"B"}]}`,
		"proxies/x":        `[]`,
		"strange":          `.`,
	} {
		if _, err := direct.Put(background(t), "/tidepool/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
	s := w.await("the spoilt document is replaced", func(s topo.Snapshot) bool { return s.Epoch > was.Epoch })
	if list(s.Members) != "l1" {
		t.Errorf("members are %v", s.Members)
	}
	if _, err := direct.Delete(background(t), "/tidepool/pools/users"); err != nil {
		t.Fatal(err)
	}
	w.await("and one that is gone", func(n topo.Snapshot) bool { return n.Epoch > s.Epoch })
	// One from a backup is older than what was told.
	const old = `{"pool":"users","epoch":5,"members":[{"name":"l9","addr":"h:1"}]}`
	e := a.snapshot(a.pools["users"]).Epoch
	if _, err := direct.Put(background(t), "/tidepool/pools/users", old); err != nil {
		t.Fatal(err)
	}
	w.await("a newer one", func(n topo.Snapshot) bool { return n.Epoch > e })
	w.never("an older membership was told", func(s topo.Snapshot) bool { return list(s.Members) == "l9" })
	ls, err := a.Leaves(background(t))
	if err != nil || len(ls) != 1 {
		t.Errorf("leaves %v, %v", ls, err)
	}
	if n := countLines(log.String(), "etcd holds something strange"); n < 5 {
		t.Errorf("%d complaints:\n%s", n, log)
	}
}

// TestTidy: a pool that has had no leaf for long, and that nobody watches, is forgotten.
func TestTidy(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	ck := &clock{}
	a := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.Now = ck.now })
	pools := func() (out []string) {
		snaps, err := a.Pools(background(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range snaps {
			out = append(out, s.Pool)
		}
		return out
	}
	watched := watch(t, a, "watched")
	for _, pool := range []string{"users", "watched", "full"} {
		r := register(t, a, pool, "l1")[0]
		eventually(t, pool+" to be there", func() bool { return slices.Contains(pools(), pool) })
		if pool != "full" {
			if err := r.SetState(topo.Draining); err != nil {
				t.Fatal(err)
			}
			awaitRegistered(t, r)
			_ = r.Close()
		}
	}
	empty := func(name string) func() bool {
		return func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.mirror.docs[name].Members) == 0 && len(a.mirror.leaves[name]) == 0
		}
	}
	watched.members("")
	eventually(t, "the pool to be empty", empty("users"))
	a.tidy(background(t))
	if got := pools(); !slices.Equal(got, []string{"full", "users", "watched"}) {
		t.Errorf("too early: %v", got)
	}
	ck.forward(25 * time.Hour)
	eventually(t, "the proxy to be known as a user", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.Contains(slices.Collect(maps.Keys(a.mirror.proxies["a"].Applied)), "watched")
	})
	a.tidy(background(t))
	if got := pools(); !slices.Equal(got, []string{"full", "watched"}) {
		t.Errorf("after a day: %v", got)
	}
	register(t, a, "users", "l1")
	eventually(t, "the pool to come back", func() bool { return slices.Contains(pools(), "users") })
}
