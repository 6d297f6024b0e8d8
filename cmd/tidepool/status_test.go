// What lags and what is missing, as tidepool status judges it.

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
)

// well is a view in which nothing lags.
func well() *etcd.View {
	m := func(name string) topo.Member { return topo.Member{Name: name, Addr: "nats://127.0.0.1:1/" + name} }
	proxy := func(id string) etcd.ProxyInfo {
		return etcd.ProxyInfo{ID: id, Config: "config", Generation: 3, Digest: "d3", Applied: map[string]uint64{"users": 7}}
	}
	return &etcd.View{
		Prefix:  "/tidepool",
		Configs: map[string]etcd.ConfigInfo{"config": {Generation: 3, Digest: "d3"}},
		Proxies: []etcd.ProxyInfo{proxy("a"), proxy("b")},
		Leaves:  []etcd.Leaf{{Pool: "users", Member: m("l1")}, {Pool: "users", Member: m("l2")}},
		Pools:   []topo.Snapshot{{Pool: "users", Epoch: 7, Members: []topo.Member{m("l1"), m("l2")}}},
		Leaders: map[string]string{"tidy": "b", "crons:config": "b"},
	}
}

func TestJudge(t *testing.T) {
	f := func(change func(*etcd.View), want ...string) {
		t.Helper()
		v := well()
		change(v)
		if r := judge(v); !slices.Equal(r.Problems, want) {
			t.Errorf("problems %q, want %q", r.Problems, want)
		}
	}
	f(func(*etcd.View) {})
	f(func(v *etcd.View) { v.Proxies[1].Generation = 2; v.Proxies[1].Digest = "d2" }, "proxy b lags: it runs configuration 2 d2, not 3 d3")
	f(func(v *etcd.View) { v.Proxies[1].Digest = "d2" }, "proxy b lags: it runs configuration 3 d2, not 3 d3") // etcd was wiped in between
	f(func(v *etcd.View) { v.Proxies[0].Refused = "x:2: no" }, "proxy a lags: it refuses a configuration: x:2: no")
	f(func(v *etcd.View) { delete(v.Configs, "config"); v.Proxies = v.Proxies[:1] }, "proxy a lags: the configuration that it runs is gone from /tidepool/config")
	f(func(v *etcd.View) { v.Proxies[0].Config, v.Proxies[0].Generation, v.Proxies[0].Digest = "", 0, "files" })
	f(func(v *etcd.View) { v.Proxies[0].Config, v.Proxies[0].Generation, v.Proxies[0].Digest = "", 0, "" }, "proxy a lags: it has loaded no configuration yet")
	f(func(v *etcd.View) { v.Proxies[1].Applied["users"] = 6 }, "proxy b lags: it goes by epoch 6 of pool users, not 7")
	f(func(v *etcd.View) { v.Proxies[1].Applied["users"] = 8 }) // it decided, and this was read before
	f(func(v *etcd.View) { v.Proxies[1].Applied["none"] = 0 }, "pool none is missing: proxies use it, and it has no leaves")
	f(func(v *etcd.View) { v.Proxies = nil }, "there is no proxy")
	f(func(v *etcd.View) { v.Proxies[0].Unreachable = map[string]map[string]string{"users": {"l2": "h:2"}} }, "proxy a does not reach leaf l2 of pool users")
	f(func(v *etcd.View) { v.Leaves = v.Leaves[:1] }, "leaf l2 of pool users is missing: it is a member without a registration")
	f(func(v *etcd.View) { v.Pools[0].Members = v.Pools[0].Members[:1] }, "leaf l2 of pool users lags: it is in no membership yet")
	f(func(v *etcd.View) { v.Pools[0].Members = v.Pools[0].Members[:1]; v.Leaves[1].State = topo.Draining })
	f(func(v *etcd.View) { v.Strange = []string{"odd"} }, "odd")
}

func TestPrintStatus(t *testing.T) {
	v := well()
	now := time.Unix(1e6, 0)
	v.Proxies[0].Started, v.Proxies[1].Started = now.Add(-90*time.Second), now.Add(-26*time.Hour)
	v.Proxies[1].Generation = 2
	v.Pools[0].Since, v.Pools[0].WarmUntil, v.Pools[0].Previous = now.Add(-2*time.Second), now.Add(58*time.Second), v.Pools[0].Members[:1]
	v.Leaves[0].Memory, v.Leaves[0].Zone, v.Leaves[0].State = 64<<20, "z", topo.Warming
	want := `etcd h:1, /tidepool at revision 0

CONFIGURATION     GENERATION  DIGEST  BYTES
/tidepool/config  3           d3      0

PROXY  ADMIN  VERSION  UP     CONFIGURATION  LEADS              STATE
a      -      -        1m30s  config 3 d3    -                  ok
b      -      -        1d2h   config 2 d3    crons:config tidy  LAGS

POOL   EPOCH  MEMBERS  SINCE  PREVIOUS
users  7      l1 l2    2s     l1, asked for 58s more

POOL   LEAF  ZONE  WEIGHT  MEMORY  VERSION  ADDRESS                STATE
users  l1    z     1       64MiB   -        nats://127.0.0.1:1/l1  warming
users  l2    -     1       -       -        nats://127.0.0.1:1/l2  ready

proxy b lags: it runs configuration 2 d3, not 3 d3
`
	if got := string(printStatus(judge(v), "h:1", now)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}
