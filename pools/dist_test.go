package pools

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// TestPlacesOfOtherSystems: each distribution reaches package hash with the names, weights and hash that its system uses. That those
// place keys as the system does is hash's own test.
func TestPlacesOfOtherSystems(t *testing.T) {
	members := func() []Member {
		return []Member{
			{Backend: &fake{name: "x"}, Host: "127.0.0.1", Port: "11211", Weight: 1},
			{Backend: &fake{name: "y"}, Host: "127.0.0.1", Port: "11212", Weight: 3},
			{Backend: &fake{name: "z"}, Host: "/run/z.sock", HashName: "named", Weight: 10},
		}
	}
	nodes := []hash.Node{{Name: "127.0.0.1", Weight: 1}, {Name: "127.0.0.1:11212", Weight: 3}, {Name: "named", Weight: 10}}
	f := func(o Options, light bool, want func(key []byte) int) {
		t.Helper()
		ms := members()
		for i := range ms {
			if light {
				ms[i].Weight = 0
			}
		}
		p := mustPool(t, o, ms)
		seen := map[int]bool{}
		for i := range 500 {
			key := []byte("key:" + strings.Repeat("k", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26)))
			got, _ := p.Pick(key)
			if got != want(key) {
				t.Fatalf("%+v: %q is on %d, want %d", o, key, got, want(key))
			}
			seen[got] = true
		}
		if len(seen) < 2 {
			t.Errorf("%+v: every key is on one member", o)
		}
	}
	ketama, _ := hash.NewKetama(nodes)
	modula, _ := hash.NewModula(nodes)
	for i := range nodes {
		nodes[i].Weight = 1
	}
	consistent, _ := hash.NewConsistent(nodes, hash.OneAtATime)
	ch3, _ := hash.NewCh3(3, "s")
	f(Options{Dist: DistKetama}, false, func(k []byte) int { return ketama.Pick(hash.MD5(k, 0)) })
	f(Options{Dist: DistKetama, Hash: "fnv1a_64"}, false, func(k []byte) int { return ketama.Pick(hash.FNV1Ax64(k, 0)) })
	f(Options{Dist: DistKetama, Hash: "hsieh", HashTag: ":c"}, false, func(k []byte) int {
		if _, tag, _ := strings.Cut(string(k), ":"); strings.Index(tag, "c") > 0 {
			k = []byte(tag[:strings.Index(tag, "c")])
		}
		return ketama.Pick(hash.Hsieh(k, 0))
	})
	f(Options{Dist: DistModula}, false, func(k []byte) int { return modula.Pick(hash.OneAtATime(k, 0)) })
	f(Options{Dist: DistConsistent}, true, func(k []byte) int { return consistent.Pick(hash.OneAtATime(k, 0)) })
	f(Options{Dist: DistCh3, Salt: "s"}, true, ch3.PickKey)
	f(Options{Dist: DistCRC32, Salt: "s"}, true, hash.NewMCRouterCRC32(3, "s").PickKey)
}

func TestWeightedCh3FillsWeightsAsMCRouterDoes(t *testing.T) {
	f := func(ms []Member, want ...float64) {
		t.Helper()
		d, err := hash.NewWeightedCh3(want, "")
		if err != nil {
			t.Fatal(err)
		}
		p := mustPool(t, Options{Dist: DistWeightedCh3}, ms)
		for i := range 300 {
			key := []byte{'k', byte('a' + i%26), byte('a' + i/26)}
			if got, _ := p.Pick(key); got != d.PickKey(key) {
				t.Fatalf("weights %v: %q is on %d, want %d", want, key, got, d.PickKey(key))
			}
		}
	}
	ms := fakes("a", "b", "c")
	f(ms, 1, 1, 1)
	ms[0].Weight = 0.25
	f(ms, 0.25, 0.5, 0.5)
	ms[1].Drained = true
	f(ms, 0.25, 0, 0.5)
}

func TestDistErrors(t *testing.T) {
	weighted := func() []Member {
		ms := fakes("a", "b")
		ms[1].Weight = 2
		return ms
	}
	drained := func() []Member {
		ms := fakes("a", "b")
		ms[1].Drained = true
		return ms
	}
	f := func(o Options, ms []Member, want string) {
		t.Helper()
		if _, err := New(o, ms); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	f(Options{}, weighted(), `backend "b" has a weight, and distribution jump has none`)
	f(Options{Dist: DistRing}, weighted(), `backend "b" has a weight, and distribution ring has none`)
	f(Options{Dist: DistCh3}, drained(), `backend "b" has a weight, and distribution ch3 has none`)
	f(Options{Dist: DistKetama}, drained(), `backend "b" has weight 0: leave it out of the pool`)
	f(Options{Dist: DistConsistent}, weighted(), `consistent: backend "b" has weight 2: this distribution has no weights, ketama has`)
	f(Options{Dist: DistWeightedCh3}, weighted(), `weighted_ch3: weights[2] is 2, want a number from 0 to 1`)
	f(Options{Dist: DistCh3, Hash: "md5"}, nil, `distribution ch3 hashes keys itself: hash "md5" cannot be given`)
	f(Options{Dist: DistCh3, Seed: "s"}, nil, `distribution ch3 takes a salt, not a seed`)
	f(Options{Salt: "s"}, nil, `distribution jump takes no salt`)
	f(Options{HashTag: "{"}, nil, `hash_tag "{": want two characters, such as "{}"`)
	f(Options{HashTag: "{}", Filter: "tags", FilterConf: "{}"}, nil, `filter and hash_tag cannot both be given`)
}

func TestExplain(t *testing.T) {
	ms := fakes("a", "b", "c", "d")
	p := mustPool(t, Options{Filter: "tags", FilterConf: "{}"}, ms)
	at := p.Explain([]byte("x{foo}y"))
	if i, _ := p.Pick([]byte("x{foo}y")); string(at.Hashed) != "foo" || at.Hash != 0xab6e5f64077e7d8a || at.Index != i || at.Member.Backend != ms[i].Backend || at.ByKey {
		t.Errorf("got %+v", at)
	}
	if at := mustPool(t, Options{Dist: DistCh3}, ms).Explain([]byte("foo")); !at.ByKey || at.Index < 0 {
		t.Errorf("ch3: got %+v", at)
	}
	if at := mustPool(t, Options{}, nil).Explain([]byte("foo")); at.Index != -1 {
		t.Errorf("an empty pool: got %+v", at)
	}
}
