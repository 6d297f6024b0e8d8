package hash

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// vectors are the figures that another system gave; Made says how. Keys hold a byte in each code point.
type vectors struct {
	Made   string
	Keys   []string
	Hashes map[string][]uint64
	Places []struct {
		Dist, Hash, Salt string
		N                int
		Weights          []float64
		Servers          []struct {
			Host, Port string
			Weight     float64
		}
		Counts []int  // of key:0 to key:1999, by server
		Sum    string // over their places, as in TestGoldenCounts
		First  []int  // the places of Keys
	}
}

func readVectors(t *testing.T, name string) (v vectors, keys [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, k := range v.Keys {
		var key []byte
		for _, r := range k {
			key = append(key, byte(r))
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(v.Hashes)+len(v.Places) == 0 {
		t.Fatalf("%s holds no vectors", name)
	}
	return v, keys
}

func TestHashesAreLibmemcachedsAndTwemproxys(t *testing.T) {
	for file, n := range map[string]int{"libmemcached.json": 10, "twemproxy.json": 12} {
		v, keys := readVectors(t, file)
		if len(v.Hashes) != n {
			t.Errorf("%s has %d hashes, want %d", file, len(v.Hashes), n)
		}
		for name, want := range v.Hashes {
			f, ok := ByName(name)
			if !ok {
				t.Errorf("%s: no hash is named %q", file, name)
				continue
			}
			for i, key := range keys {
				if got := f(key, 42); got != want[i] {
					t.Errorf("%s: %s(%q) = %d, want %d", file, name, key, got, want[i])
				}
			}
		}
	}
}

// compare places the keys of v as pick does.
func compare(t *testing.T, what string, v *vectors, i int, keys [][]byte, pick func(key []byte) int) {
	t.Helper()
	p := &v.Places[i]
	for j, key := range keys {
		if got := pick(key); got != p.First[j] {
			t.Errorf("%s: %q is on %d, want %d", what, key, got, p.First[j])
		}
	}
	counts := make([]int, max(len(p.Servers), p.N))
	sum := uint64(1469598103934665603)
	for j := range 2000 {
		n := pick(fmt.Appendf(nil, "key:%d", j))
		counts[n]++
		sum = (sum ^ uint64(n)) * 1099511628211
	}
	if p.Counts != nil && !slices.Equal(counts, p.Counts) || fmt.Sprintf("%x", sum) != p.Sum {
		t.Errorf("%s: %v %x, want %v %s", what, counts, sum, p.Counts, p.Sum)
	}
}

func TestPlacesAreLibmemcacheds(t *testing.T) {
	v, keys := readVectors(t, "libmemcached.json")
	for i, p := range v.Places {
		f, _ := ByName(p.Hash)
		var ns []Node
		for _, s := range p.Servers {
			name := s.Host
			if s.Port != "11211" {
				name += ":" + s.Port
			}
			ns = append(ns, Node{name, s.Weight})
		}
		var d Dist
		var err error
		switch p.Dist {
		case "ketama":
			d, err = NewKetama(ns)
		case "consistent":
			d, err = NewConsistent(ns, f)
		case "modula":
			d, err = NewModula(ns)
		}
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%s over %s, %d servers %v", p.Dist, p.Hash, len(ns), ns[:min(4, len(ns))])
		compare(t, what, &v, i, keys, func(key []byte) int { return d.Pick(f(key, 0)) })
	}
}

func TestPlacesAreMCRouters(t *testing.T) {
	v, keys := readVectors(t, "mcrouter.json")
	for i, p := range v.Places {
		var d KeyDist
		var err error
		switch p.Dist {
		case "ch3":
			d, err = NewCh3(p.N, p.Salt)
		case "crc32":
			d = NewMCRouterCRC32(p.N, p.Salt)
		case "weighted_ch3":
			d, err = NewWeightedCh3(p.Weights, p.Salt)
		}
		if err != nil {
			t.Fatal(err)
		}
		compare(t, fmt.Sprintf("%s of %d %v, salt %q", p.Dist, p.N, p.Weights, p.Salt), &v, i, keys, d.PickKey)
	}
}

func TestWeightErrors(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	_, err := NewKetama([]Node{{"a", 1}, {"b", 1.5}})
	f(err, `ketama: backend "b" has weight 1.5, want a whole number from 1 on`)
	_, err = NewModula([]Node{{"a", -1}})
	f(err, `modula: backend "a" has weight -1, want a whole number from 1 on`)
	_, err = NewModula([]Node{{"a", 1 << 30}})
	f(err, `modula: the weights add up to 1073741824, more than 16777216`)
	_, err = NewConsistent([]Node{{"a", 2}}, MD5)
	f(err, `consistent: backend "a" has weight 2: this distribution has no weights, ketama has`)
	_, err = NewWeightedCh3([]float64{1, 1.5}, "")
	f(err, `weighted_ch3: weights[2] is 1.5, want a number from 0 to 1`)
	_, err = NewCh3(1<<23+1, "")
	f(err, `ch3: 8388609 backends, want at most 8388608`)
}

func TestModulaCountsWeights(t *testing.T) {
	d, err := NewModula([]Node{{"a", 1}, {"b", 3}, {"c", 0}})
	if err != nil {
		t.Fatal(err)
	}
	for h, want := range []int{0, 1, 1, 1, 2, 0, 1} {
		if got := d.Pick(uint64(h)); got != want {
			t.Errorf("Pick(%d) = %d, want %d", h, got, want)
		}
	}
}

func TestRandom(t *testing.T) {
	d := Random{N: 3, IntN: func(n int) int { return n - 1 }}
	if got := d.Pick(7); got != 2 {
		t.Errorf("Pick = %d, want 2", got)
	}
	var seen [3]int
	for range 1000 {
		seen[Random{N: 3}.Pick(7)]++
	}
	if slices.Contains(seen[:], 0) {
		t.Errorf("a thousand keys over three: %v", seen)
	}
}

func TestEmptyOfOtherSystems(t *testing.T) {
	ketama, _ := NewKetama(nil)
	consistent, _ := NewConsistent(nil, MD5)
	modula, _ := NewModula(nil)
	for _, d := range []Dist{ketama, consistent, modula, Random{}} {
		if got := d.Pick(42); got != -1 {
			t.Errorf("%T of nothing picks %d, want -1", d, got)
		}
	}
	ch3, _ := NewCh3(0, "")
	weighted, _ := NewWeightedCh3(nil, "")
	for _, d := range []KeyDist{ch3, weighted, NewMCRouterCRC32(0, "")} {
		if got := d.PickKey([]byte("a")); got != -1 {
			t.Errorf("%T of nothing picks %d, want -1", d, got)
		}
	}
}
