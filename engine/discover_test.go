// Discovered pools: members that come and go while requests are under way, and over reloads.

package engine

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// fakeSource is a topology whose part the test plays.
type fakeSource struct {
	mu       sync.Mutex
	last     map[string]topo.Snapshot
	watchers map[string][]*func(topo.Snapshot)
	applied  chan uint64
	stopped  chan string
}

func newFakeSource() *fakeSource {
	return &fakeSource{last: map[string]topo.Snapshot{}, watchers: map[string][]*func(topo.Snapshot){}, applied: make(chan uint64, 100), stopped: make(chan string, 100)}
}

// is makes members "name=addr", or "name=addr zone", those of a pool.
func (f *fakeSource) is(ref string, epoch uint64, members ...string) {
	s := topo.Snapshot{Pool: ref, Epoch: epoch}
	for _, m := range members {
		name, addr, _ := strings.Cut(m, "=")
		addr, zone, _ := strings.Cut(addr, " ")
		s.Members = append(s.Members, topo.Member{Name: name, Addr: addr, Zone: zone})
	}
	f.tell(ref, s)
}

func (f *fakeSource) tell(ref string, s topo.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[ref] = s
	for _, tell := range f.watchers[ref] {
		(*tell)(s)
	}
}

func (f *fakeSource) Watch(ref string, tell func(topo.Snapshot)) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[ref] = append(f.watchers[ref], &tell)
	if s, ok := f.last[ref]; ok {
		tell(s)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers[ref] = slices.DeleteFunc(f.watchers[ref], func(t *func(topo.Snapshot)) bool { return t == &tell })
		f.stopped <- ref
	}
}

func (f *fakeSource) watched() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.watchers {
		n += len(w)
	}
	return n
}

func (f *fakeSource) Refresh(context.Context, string) (topo.Snapshot, error) {
	return topo.Snapshot{}, errors.New("not asked for")
}
func (f *fakeSource) Applied(_ string, epoch uint64) { f.applied <- epoch }
func (f *fakeSource) Settled(string, uint64) bool    { return false }
func (f *fakeSource) Status() topo.Status {
	return topo.Status{Source: "fake", Connected: true, Changes: 7}
}
func (f *fakeSource) Close() error { return nil }

// discovered is a configuration of discovered pools.
const discovered = `
function mcp_config_pools() return $1 end
function mcp_config_routes(p) mcp.attach(mcp.CMD_ANY_STORAGE, $2) end`

// startDiscovered starts a proxy over a topology.
func startDiscovered(t *testing.T, f *fakeSource, pools, route string, change ...func(*Options)) (*client, *Proxy) {
	t.Helper()
	p := startProxy(t, writeConfig(t, discovered, pools, route), append(change, func(o *Options) { o.Topology = f })...)
	return dial(t, p), p
}

func TestDiscoveredPoolChangesItsMembers(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	f := newFakeSource()
	f.is("users", 5, "a="+a.addr())
	c, p := startDiscovered(t, f, `mcp.discover("users")`, "p")
	if n := <-f.applied; n != 5 {
		t.Errorf("epoch %d is applied, want 5", n)
	}
	c.says("get x\r\n")
	a.sees("get x\r\n")
	f.is("users", 6, "b="+b.addr())
	d := dial(t, p)
	d.says("get y\r\n")
	b.sees("get y\r\n")
	b.says("END\r\n")
	d.sees("END\r\n")
	select {
	case n := <-f.applied:
		t.Errorf("epoch %d is applied while a request is under way that went by the one before", n)
	default:
	}
	a.says("VALUE x 0 1\r\n1\r\nEND\r\n") // what was under way ends well
	c.sees("VALUE x 0 1\r\n1\r\nEND\r\n")
	if n := <-f.applied; n != 6 {
		t.Errorf("epoch %d is applied, want 6", n)
	}
	v := p.Config().Pools[0]
	if v.Epoch != 6 || len(v.Backends) != 1 || v.Backends[0].Name != "b" || v.Backends[0].Addr != b.addr() {
		t.Errorf("%+v", v)
	}
	f.is("users", 7)
	d.says("get y\r\n")
	d.sees("SERVER_ERROR backend failure\r\n")
	f.is("users", 8, "c=not an address", "b="+b.addr())
	d.says("get y\r\n")
	b.sees("get y\r\n") // on the same connection: it has not been closed at once
	b.says("END\r\n")
	d.sees("END\r\n")
}

func TestDiscoveredPoolOutlivesReloads(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	f := newFakeSource()
	f.is("users", 1, "a="+a.addr())
	c, p := startDiscovered(t, f, `mcp.discover("users")`, "p")
	pool := p.current.Load().pools[0]
	rewrite(t, p.opts.Files[0], discovered, `mcp.discover("users")`, `function(r) return p(r) end`)
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if p.current.Load().pools[0] != pool || f.watched() != 1 {
		t.Errorf("a reload makes another pool of the same options, or watches %d times", f.watched())
	}
	c.says("get x\r\n")
	a.sees("get x\r\n") // it takes one connection only
	a.says("END\r\n")
	c.sees("END\r\n")

	rewrite(t, p.opts.Files[0], discovered, `mcp.discover("users", { readtimeout = 1 })`, `nonsense(`)
	if _, err := p.Reload(); err == nil {
		t.Fatal("nonsense is loaded")
	}
	rewrite(t, p.opts.Files[0], discovered, `mcp.discover("users", { zone = "z" })`, `p`)
	f.is("users", 2, "a="+a.addr(), "b="+b.addr()+" z")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := f.watched(); n != 1 {
		t.Errorf("watched %d times", n)
	}
	c.says("get x\r\n")
	b.sees("get x\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
	rewrite(t, p.opts.Files[0], discovered, `nil`, `function() return "EN\r\n" end`)
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	<-f.stopped
	if n := f.watched(); n != 0 || len(p.topics.all)+len(p.topics.pools) != 0 {
		t.Errorf("nobody uses it any more: watched %d times, %d topics", n, len(p.topics.all))
	}
}

func TestDiscoveredZones(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	f := newFakeSource()
	f.is("users", 1, "a="+a.addr()+" east", "b="+b.addr()+" west")
	c, p := startDiscovered(t, f, `mcp.discover("users", { zones = { "east", "west" } })`, "mcp.router_new{ map = { e = p.east, w = p.west } }")
	if n := <-f.applied; n != 1 {
		t.Errorf("epoch %d", n)
	}
	for _, d := range []struct {
		key string
		at  *fakeBackend
	}{{"e/1", a}, {"w/1", b}, {"e/2", a}, {"w/2", b}} {
		c.says("get " + d.key + "\r\n")
		d.at.sees("get " + d.key + "\r\n")
		d.at.says("END\r\n")
		c.sees("END\r\n")
	}
	if v := p.Config().Pools; v[0].Name != "users.east" || v[1].Name != "users.west" || f.watched() != 1 {
		t.Errorf("%+v, watched %d times", v, f.watched())
	}
	f.is("users", 2, "a="+a.addr()+" west")
	if n := <-f.applied; n != 2 { // once for both
		t.Errorf("epoch %d", n)
	}
	c.says("get w/1\r\nget e/1\r\n")
	a.sees("get w/1\r\n")
	a.says("END\r\n")
	c.sees("END\r\nSERVER_ERROR backend failure\r\n")
}

func TestDiscoverIsRefused(t *testing.T) {
	for opts, want := range map[string]string{
		`"users"`:                                  `mcp.discover: "users": pools cannot be discovered here`,
		`"us/ers"`:                                 `pool name "us/ers"`,
		`"users", { from = "consul://x" }`:         `cannot discover from "consul://x"`,
		`"users", { from = 7 }`:                    `mcp.discover: from: want a string, got number`,
		`"users", { dist = "best" }`:               `unknown key distribution specified: best`,
		`"users", { fro = "dns://x:1" }`:           `mcp.discover: there is no option "fro"; there are beprefix,`,
		`"users", { seed = 1 }`:                    `mcp.discover: seed: want a string`,
		`"users", { readtimeout = "soon" }`:        `mcp.discover: readtimeout: want a number`,
		`"users", { zone = "a", zones = { "a" } }`: `mcp.discover: want zone, for a pool of one zone, or zones`,
		`"users", { zones = { "a", "a" } }`:        `mcp.discover: zones[2]: "a" is there twice`,
		`"users", { zones = {} }`:                  `mcp.discover: zones: want a list of zones, got none`,
		`"users", { zone = "" }`:                   `mcp.discover: zone: it is empty`,
		`"users", { tls = true }`:                  `TLS requested but not initialized`,
	} {
		o := Options{Files: []string{writeConfig(t, discovered, "mcp.discover("+opts+")", "p")}, Listen: []string{"127.0.0.1:0"}, Local: store{}}
		err := Check(o)
		if err == nil { // where nothing is connected, there need be no topology
			_, err = Start(o)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", opts, err, want)
		}
	}
}

// TestCheckAsksNoTopology: what can be meant is well, wherever it is checked.
func TestCheckAsksNoTopology(t *testing.T) {
	config := writeConfig(t, discovered, `{ a = mcp.discover("users"), b = mcp.discover("users", { from = "srv://_x._tcp.y" }) }`, "p.a")
	if err := Check(Options{Files: []string{config}, Local: store{}}); err != nil {
		t.Error(err)
	}
}

// TestDiscoveredMembersLeaveNoMetrics: members that come under ever new names must not fill the memory.
func TestDiscoveredMembersLeaveNoMetrics(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	f := newFakeSource()
	f.is("users", 1, "a="+a.addr())
	c, p := startDiscovered(t, f, `mcp.discover("users")`, "p")
	c.says("get x\r\n")
	a.sees("get x\r\n")
	a.says("END\r\n")
	c.sees("END\r\n")
	<-f.applied
	f.is("users", 2, "b="+b.addr())
	<-f.applied
	p.backends.mu.Lock()
	defer p.backends.mu.Unlock()
	if len(p.backends.all) != 1 || p.backends.all[[2]string{"users", "b"}] == nil {
		t.Errorf("latencies are kept of %v", p.backends.all)
	}
}

// TestDiscoveredPoolIsReported: in stats, metrics and of what is loaded.
func TestDiscoveredPoolIsReported(t *testing.T) {
	f := newFakeSource()
	f.is("users", 9, "a=nats://user:secret@127.0.0.1:1/a east", "b=127.0.0.1:1 east", "c=127.0.0.1:2 west")
	c, p := startDiscovered(t, f, `{ all = mcp.discover("users"), near = mcp.discover("users", { zone = "east" }), mcp.discover("none", { from = "dns://x:1" }) }`, "p.all", func(o *Options) { o.FirstNews = 1 })
	<-f.applied
	pools := p.Config().Pools
	all, near, none := pools[0].Discovered, pools[1].Discovered, pools[2].Discovered
	if all.Topology != "users" || !all.Known || all.Applied != 9 || len(all.Members) != 3 || all.Members[0].Addr != "nats://***@127.0.0.1:1/a" {
		t.Errorf("%+v", all)
	}
	if near.Zone != "east" || len(pools[1].Backends) != 1 || none.Known || none.Topology != "dns://x:1#none" {
		t.Errorf("%+v %+v", near, none)
	}
	if st := p.Config().Topology; len(st) != 1 || st[0].Source != "fake" {
		t.Errorf("%+v", st)
	}
	c.says("stats proxytopology\r\n")
	c.sees("STAT source_fake_connected yes\r\nSTAT source_fake_changes 7\r\nSTAT source_fake_refused 0\r\n" +
		"STAT pool_users_known yes\r\nSTAT pool_users_epoch 9\r\nSTAT pool_users_applied 9\r\nSTAT pool_users_members 2\r\nSTAT pool_users_stale no\r\n")
	var text strings.Builder
	p.collect(func(m prometheus.Metric) {
		var d dto.Metric
		if err := m.Write(&d); err != nil {
			t.Error(err)
		}
		text.WriteString(m.Desc().String() + " " + d.String() + "\n")
	})
	for _, want := range []string{`"tidepool_pool_members".*"users".*"ready".*value:3\b`, `"tidepool_pool_members".*"users.east".*"ready".*value:2\b`,
		`"tidepool_pool_epoch".*value:9\b`, `"tidepool_topology_changes_total".*"fake".*value:7\b`, `"tidepool_topology_connected".*value:1\b`} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("the metrics lack %s:\n%s", want, text.String())
		}
	}
}

// TestPreviousOwnersAreLetGo: they are kept as long as they may be asked, and no longer.
func TestPreviousOwnersAreLetGo(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	f := newFakeSource()
	f.is("users", 1, "a="+a.addr())
	_, p := startDiscovered(t, f, `mcp.discover("users")`, "p")
	<-f.applied
	warm := topo.Snapshot{Pool: "users", Epoch: 2, Replaces: 1, WarmUntil: time.Now().Add(time.Hour),
		Members: []topo.Member{{Name: "b", Addr: b.addr()}}, Previous: []topo.Member{{Name: "a", Addr: a.addr()}}}
	f.tell("users", warm)
	<-f.applied
	held := func() (names string) {
		for _, h := range p.registry.All() {
			if h.Refs > 0 {
				names += h.Spec.Name() + " "
			}
		}
		return names
	}
	if got := held(); got != "a b " {
		t.Errorf("held are %q, want both", got)
	}
	warm.Epoch, warm.Replaces, warm.WarmUntil = 3, 2, time.Now().Add(50*time.Millisecond)
	f.tell("users", warm)
	<-f.applied
	for end := time.Now().Add(patience); held() != "b "; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("held are %q, want b alone", held())
		}
	}
}
