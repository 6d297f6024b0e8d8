package luaapi

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/pools"
)

// A sharder places keys as a pool of the same options does.
func TestSharderPlacesLikeAPool(t *testing.T) {
	var now atomic.Int64
	names := []string{"a", "b", "c", "d", "e"}
	for _, d := range []struct {
		opts string
		pool pools.Options
		ws   []float64
	}{
		{"", pools.Options{}, nil},
		{`seed = "x"`, pools.Options{Seed: "x"}, nil},
		{`dist = "rendezvous", weights = { 1, 2, 3, 4, 5 }`, pools.Options{Dist: pools.DistRendezvous}, []float64{1, 2, 3, 4, 5}},
		{`dist = mcp.dist_ketama, hash = "fnv1a_64"`, pools.Options{Dist: pools.DistKetama, Hash: "fnv1a_64"}, nil},
		{`dist = "weighted_ch3", weights = { 1, 0, 1, 1, 1 }, salt = "s"`, pools.Options{Dist: pools.DistWeightedCh3, Salt: "s"}, []float64{1, 0, 1, 1, 1}},
		{`hash_tag = "{}"`, pools.Options{HashTag: "{}"}, nil},
		{`filter = "stop", filter_conf = "|#|"`, pools.Options{Filter: "stop", FilterConf: "|#|"}, nil},
		{`dist = "ring_hash", obuckets = "40"`, pools.Options{Dist: pools.DistRing, OBuckets: 40}, nil},
		{`dist = "ring_hash", obuckets = 7, omode = "evcache"`, pools.Options{Dist: pools.DistRing, OBuckets: 7, OMode: "evcache"}, nil},
	} {
		var members []pools.Member
		for i, name := range names {
			m := pools.Member{Backend: shard(name), Host: name}
			if d.ws != nil {
				m.Weight, m.Drained = d.ws[i], d.ws[i] == 0
			}
			members = append(members, m)
		}
		p, err := pools.New(d.pool, members)
		if err != nil {
			t.Fatal(err)
		}
		_, st := limited(t, StageRoutes, &now, fmt.Sprintf(`s = mcp.sharder_new({ "%s" }, { %s }); function place(key) return s(key) end`, strings.Join(names, `", "`), d.opts))
		used := map[int]bool{}
		for i := range 300 {
			key := fmt.Sprintf("k%d{t%d}|#|%d", i, i%50, i)
			v, err := st.Call(st.Global("place"), lua.LString(key))
			if err != nil {
				t.Fatal(err)
			}
			want, _ := p.Pick([]byte(key))
			if int(v.(lua.LNumber)) != want+1 {
				t.Fatalf("{ %s }: %q is placed at %v, want %d", d.opts, key, v, want+1)
			}
			used[want] = true
		}
		if len(used) < 4 {
			t.Errorf("{ %s }: only %d names have keys", d.opts, len(used))
		}
	}
}

func TestSharderRefusals(t *testing.T) {
	var now atomic.Int64
	for args, want := range map[string]string{
		`{}`:                                      "mcp.sharder_new: want names, got none",
		`{ "a", 1 }`:                              "names[2]: want a name, got number",
		`{ "a" }, { n = 1 }`:                      `there is no option "n"`,
		`{ "a" }, { name = "x" }`:                 `there is no option "name"`,
		`{ "a" }, { dist = "x" }`:                 "unknown key distribution specified: x",
		`{ "a" }, { hash = "x" }`:                 "unknown hash specified: x",
		`{ "a" }, { weights = 1 }`:                "weights: want a list of numbers, got number",
		`{ "a" }, { weights = { 1, 2 } }`:         "weights: want 1, one for each name, got 2",
		`{ "a" }, { weights = { -1 } }`:           "weights[1]: want a number from 0 on, got -1",
		`{ "a" }, { weights = { 2 } }`:            "has a weight",
		`{ "a" }, { dist = "ch3", seed = "s" }`:   "takes a salt, not a seed",
		`{ "a" }, { salt = "s" }`:                 "takes no salt",
		`{ "a" }, { filter = "x" }`:               "",
		`{ "a" }, { hash_tag = "{" }`:             "",
		`{ "a" }, { dist = "ring", omode = "x" }`: "",
	} {
		_, st := limited(t, StageRoutes, &now, "")
		if err := st.Run([]byte("mcp.sharder_new("+args+")"), "s.lua"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
