package hash

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"
)

// The golden vectors of memcached 1.6.45's proxy (made with its binary): four servers, indexes 0 to 3.
var goldenServers = []Server{{"127.0.0.1", "11211"}, {"127.0.0.1", "11212"}, {"10.1.2.3", "11211"}, {"cache-a.example", "11999"}}

const goldenSeed = "failover"

var golden = []struct {
	key               string
	plain, seeded     uint64
	md5               uint64
	jump              [6]int // over jumpSizes
	ring              int    // default over XXH3
	ketama, twem, evc int    // over MD5
}{
	{"", 0x2d06800538d394c2, 0xec8f03b5d9cb776b, 0xd98c1dd4, [6]int{0, 0, 0, 0, 0, 52}, 1, 0, 2, 1},
	{"a", 0xe6c632b61e964e1f, 0xe437e90027def3a2, 0xb975c10c, [6]int{0, 1, 1, 1, 8, 14}, 1, 3, 3, 1},
	{"foo", 0xab6e5f64077e7d8a, 0xbf5be6376a4eaf11, 0xdb18bdac, [6]int{0, 1, 2, 2, 2, 37}, 3, 2, 0, 1},
	{"/test/1", 0x243c092eada4f7b3, 0xe7e6bc32fa6b35d0, 0xdd5e520a, [6]int{0, 1, 1, 1, 1, 14}, 0, 1, 1, 1},
	{"foo:bar", 0x48d154d96e5c27e0, 0x38eec6000b270b92, 0xc1e8994e, [6]int{0, 1, 2, 2, 2, 15}, 1, 2, 0, 0},
	{"user:1234567890", 0xf5c6b3fc450ff5c1, 0x4be294e116d98c9c, 0xbc07a8cf, [6]int{0, 0, 0, 0, 8, 85}, 2, 2, 3, 0},
}

var jumpSizes = [6]int{1, 2, 3, 4, 10, 100}

func ring(t testing.TB, mode string) *Ring {
	t.Helper()
	r, err := NewRing(goldenServers, mode, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGoldenHashes(t *testing.T) {
	if got := Seed(goldenSeed); got != 18286409788982843526 {
		t.Errorf("Seed(%q) = %d", goldenSeed, got)
	}
	for _, g := range golden {
		key := []byte(g.key)
		if got := XXH3(key, 0); got != g.plain {
			t.Errorf("XXH3(%q, 0) = %x, want %x", key, got, g.plain)
		}
		if got := XXH3(key, Seed(goldenSeed)); got != g.seeded {
			t.Errorf("XXH3(%q, seed) = %x, want %x", key, got, g.seeded)
		}
		if got := MD5(key, 1); got != g.md5 {
			t.Errorf("MD5(%q) = %x, want %x", key, got, g.md5)
		}
	}
}

func TestGoldenPlaces(t *testing.T) {
	def, ketama, twem, evc := ring(t, "default"), ring(t, "ketama"), ring(t, "twemproxy"), ring(t, "evcache")
	for _, g := range golden {
		key := []byte(g.key)
		for i, n := range jumpSizes {
			if got := NewJump(n).Pick(XXH3(key, 0)); got != g.jump[i] {
				t.Errorf("jump(%q, %d) = %d, want %d", key, n, got, g.jump[i])
			}
		}
		f := func(what string, d Dist, h uint64, want int) {
			if got := d.Pick(h); got != want {
				t.Errorf("%s(%q) = %d, want %d", what, key, got, want)
			}
		}
		f("ring default", def, XXH3(key, 0), g.ring)
		f("ring ketama", ketama, MD5(key, 0), g.ketama)
		f("ring twemproxy", twem, MD5(key, 0), g.twem)
		f("ring evcache", evc, MD5(key, 0), g.evc)
	}
}

// Two thousand keys: how many each server gets, and FNV-1a over the indexes, so that every single one counts.
func TestGoldenCounts(t *testing.T) {
	f := func(what string, d Dist, h Func, counts [4]int, sum uint64) {
		t.Helper()
		const offset = 1469598103934665603 // not FNV's own: the vectors were made with this one
		var got [4]int
		s := uint64(offset)
		for i := range 2000 {
			n := d.Pick(h(fmt.Appendf(nil, "key:%d", i), 0))
			got[n]++
			s = (s ^ uint64(n)) * 1099511628211
		}
		if got != counts || s != sum {
			t.Errorf("%s: %v %x, want %v %x", what, got, s, counts, sum)
		}
	}
	f("ring default", ring(t, ""), XXH3, [4]int{505, 433, 507, 555}, 0xe65dccd009b2f105)
	f("ring ketama", ring(t, "ketama"), MD5, [4]int{462, 463, 514, 561}, 0xd48248eff94d6af9)
	f("ring twemproxy", ring(t, "twemproxy"), MD5, [4]int{508, 519, 463, 510}, 0x3d5c35e77c1668a0)
	f("ring evcache", ring(t, "evcache"), MD5, [4]int{488, 456, 510, 546}, 0x1470f6f4a55af9c5)
	f("jump 4", NewJump(4), XXH3, [4]int{514, 534, 511, 441}, 0x19ac8fb6dad8c2ba)
}

func TestRingPoints(t *testing.T) {
	f := func(mode string, buckets, want int) {
		t.Helper()
		r, err := NewRing(goldenServers[:1], mode, buckets)
		if err != nil || len(r.points) != want {
			t.Errorf("NewRing(%q, %d): %v points, err %v; want %d", mode, buckets, len(r.points), err, want)
		}
	}
	f("", 0, 160)
	f("default", 7, 7)
	f("ketama", 40, 40)
	f("ketama", 43, 40) // four from each digest; upstream reads three uninitialised points here
	f("twemproxy", 4, 4)

	r := newRing([]point{{10, 0}, {20, 1}, {20, 2}, {math.MaxUint32, 3}})
	for _, c := range []struct {
		h    uint64
		want int
	}{{0, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 3}, {math.MaxUint32, 3}, {7<<32 | 15, 1}} {
		if got := r.Pick(c.h); got != c.want {
			t.Errorf("Pick(%d) = %d, want %d", c.h, got, c.want)
		}
	}
	if got := newRing([]point{{10, 5}, {20, 6}}).Pick(21); got != 5 {
		t.Errorf("past the last point: %d, want the first point's 5", got)
	}
}

func TestRingErrors(t *testing.T) {
	f := func(mode string, buckets int, want string) {
		t.Helper()
		if _, err := NewRing(goldenServers, mode, buckets); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewRing(%q, %d): %v, want %q", mode, buckets, err, want)
		}
	}
	f("Ketama", 0, "ring_hash: bad omode argument")
	f("default", -1, "ring_hash: option argument must be a positive integer")
	f("ketama", 3, `ring_hash: omode "ketama" makes four points at a time, obuckets is 3`)
	f("default", 1<<30, "ring_hash: obuckets 1073741824 with 4 servers")
}

func TestEmpty(t *testing.T) {
	rdv, err := NewRendezvous(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing(nil, "ketama", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dist{NewJump(0), r, rdv} {
		if got := d.Pick(42); got != -1 {
			t.Errorf("%T of nothing picks %d, want -1", d, got)
		}
	}
}

func TestFilter(t *testing.T) {
	f := func(kind, conf, key, want string) {
		t.Helper()
		flt, err := NewFilter(kind, conf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(flt.Apply([]byte(key))); got != want {
			t.Errorf("%s %q of %q: %q, want %q", kind, conf, key, got, want)
		}
	}
	f("", "", "a{b}c", "a{b}c")
	f("stop", "|#|", "foo:bar|#|rest", "foo:bar")
	f("stop", "|#|", "foo:bar|#rest", "foo:bar|#rest")
	f("stop", "|#|", "||#|x", "|")
	f("stop", "|#|", "|#|x", "")
	f("stop", "|#|", "a|#|b|#|", "a")
	f("stop", "|#|", "|#", "|#")
	f("stop", "##", "", "")
	f("stop", "12345", "k12345", "k")
	f("tags", "{}", "user{42}name", "42")
	f("tags", "{}", "{42}", "42")
	f("tags", "{}", "a{b}c{d}", "b")
	f("tags", "{}", "a}b{c}", "c")
	f("tags", "{}", "a{b", "a{b")
	f("tags", "{}", "a}b", "a}b")
	f("tags", "{}", "ab{", "ab{")
	f("tags", "{}", "a{}b", "") // as the C code has it
	f("tags", "$$", "a$b$c", "b")
	f("tags", "{}x", "a{b}c", "b") // what follows the two is not looked at
}

func TestHashTag(t *testing.T) {
	f := func(tag, key, want string) {
		t.Helper()
		flt, err := NewHashTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(flt.Apply([]byte(key))); got != want {
			t.Errorf("hash_tag %q of %q: %q, want %q", tag, key, got, want)
		}
	}
	f("", "a{b}c", "a{b}c")
	f("{}", "user:{42}:name", "42")
	f("{}", "a{}b{c}", "a{}b{c}") // nothing between the first pair: the whole key
	f("{}", "a{b", "a{b")
	f("{}", "a}b{c}", "c")
	f("$$", "a$b$c", "b")
	f("$$", "a$$c$", "a$$c$")
	for _, tag := range []string{"{", "{}}"} {
		if _, err := NewHashTag(tag); err == nil || !strings.Contains(err.Error(), tag) {
			t.Errorf("hash_tag %q: %v", tag, err)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	f := func(kind, conf, want string) {
		t.Helper()
		if _, err := NewFilter(kind, conf); err == nil || err.Error() != want {
			t.Errorf("NewFilter(%q, %q): %v, want %q", kind, conf, err, want)
		}
	}
	f("tag", "{}", "unknown hash filter specified: tag")
	f("tags", "", "hash filter requires 'filter_conf' string")
	f("stop", "#", "hash filter conf must be between 2 and 5 characters")
	f("stop", "######", "hash filter conf must be between 2 and 5 characters")
}

func nodes(names ...string) []Node {
	var ns []Node
	for _, n := range names {
		ns = append(ns, Node{Name: n})
	}
	return ns
}

func rendezvous(t testing.TB, ns []Node) *Rendezvous {
	t.Helper()
	r, err := NewRendezvous(ns)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// owner is the name of the node for the i-th test key.
func owner(r *Rendezvous, ns []Node, i int) string {
	return ns[r.Pick(XXH3(fmt.Appendf(nil, "key:%d", i), 0))].Name
}

func TestRendezvousMovesOnlyTheLost(t *testing.T) {
	f := func(before, after []Node) {
		t.Helper()
		a, b := rendezvous(t, before), rendezvous(t, after)
		alive := map[string]bool{}
		for _, n := range after {
			alive[n.Name] = true
		}
		was := map[string]bool{}
		for _, n := range before {
			was[n.Name] = true
		}
		moved := 0
		for i := range 20000 {
			x, y := owner(a, before, i), owner(b, after, i)
			if x == y {
				continue
			}
			moved++
			if alive[x] && was[y] {
				t.Fatalf("key:%d moved from %s to %s, both there before and after", i, x, y)
			}
		}
		if moved == 0 && len(before) != len(after) {
			t.Errorf("no key moved from %v to %v", before, after)
		}
	}
	five := nodes("leaf-1", "leaf-2", "leaf-3", "leaf-4", "leaf-5")
	f(five, nodes("leaf-1", "leaf-2", "leaf-4", "leaf-5"))
	f(five, nodes("leaf-2", "leaf-3", "leaf-4", "leaf-5"))
	f(nodes("leaf-1", "leaf-2"), five)
	f(five, nodes("leaf-5", "leaf-3", "leaf-1", "leaf-2", "leaf-4")) // order is nothing
	heavy := []Node{{"a", 1}, {"b", 2.5}, {"c", 0.5}}
	f(heavy, heavy[:2])
	f([]Node{{"a", 1}, {"b", 1}, {"c", 1}}, heavy[:1])
	f(nodes("a", "b", "c"), []Node{{"a", 7}, {"b", 7}, {"c", 7}}) // weights only count against each other
}

func TestRendezvousShares(t *testing.T) {
	f := func(ns []Node) {
		t.Helper()
		r := rendezvous(t, ns)
		total := 0.0
		for _, n := range ns {
			total += max(n.Weight, 0.25)
		}
		const keys = 40000
		got := map[string]float64{}
		for i := range keys {
			got[owner(r, ns, i)]++
		}
		for _, n := range ns {
			want := keys * max(n.Weight, 0.25) / total
			if math.Abs(got[n.Name]-want) > 5*math.Sqrt(want) {
				t.Errorf("%s of weight %v got %v keys of %d, want about %.0f", n.Name, n.Weight, got[n.Name], keys, want)
			}
		}
	}
	f([]Node{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}})
	f([]Node{{"a", 1}, {"b", 2}, {"c", 5}})
	f([]Node{{"a", 0.25}, {"b", 4}})
}

// A change of the scoring would move every key of every running system: it is fixed by this sum for good.
func TestRendezvousGolden(t *testing.T) {
	f := func(ns []Node, want uint64) {
		t.Helper()
		r := rendezvous(t, ns)
		h := fnv.New64a()
		for i := range 2000 {
			h.Write([]byte(owner(r, ns, i)))
		}
		if h.Sum64() != want {
			t.Errorf("%v: %#x, want %#x", ns, h.Sum64(), want)
		}
	}
	f(nodes("leaf-1", "leaf-2", "leaf-3"), 0x155e53220dd0ecf5)
	f([]Node{{"leaf-1", 1}, {"leaf-2", 2}, {"leaf-3", 3}}, 0x86e904acd1d54144)
}

// The documented formula, done literally.
func TestRendezvousFormula(t *testing.T) {
	ns := []Node{{"a", 1}, {"b", 2.5}, {"c", 0.5}}
	r := rendezvous(t, ns)
	for i := range 2000 {
		h := XXH3(fmt.Appendf(nil, "key:%d", i), 0)
		best, top := -1, math.Inf(-1)
		for j, n := range ns {
			x := XXH3(binary.LittleEndian.AppendUint64(nil, h), Seed(n.Name))
			if score := n.Weight / -math.Log((float64(x>>12)+0.5)/math.Pow(2, 52)); score > top {
				best, top = j, score
			}
		}
		if got := r.Pick(h); got != best {
			t.Fatalf("key:%d: %d, want %d", i, got, best)
		}
	}
}

func TestRendezvousErrors(t *testing.T) {
	f := func(ns []Node, want string) {
		t.Helper()
		if _, err := NewRendezvous(ns); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %q", ns, err, want)
		}
	}
	f(nodes("a", "b", "a"), `rendezvous: two backends are named "a"`)
	f([]Node{{"a", -1}}, `rendezvous: backend "a" has weight -1, want a positive number`)
	f([]Node{{"a", math.NaN()}}, `rendezvous: backend "a" has weight NaN, want a positive number`)
	f([]Node{{"a", math.Inf(1)}}, `rendezvous: backend "a" has weight +Inf, want a positive number`)
}

func TestNoAllocation(t *testing.T) {
	key := []byte("user:{1234567890}|#|rest")
	stop, _ := NewFilter("stop", "|#|")
	tags, _ := NewFilter("tags", "{}")
	weighted := rendezvous(t, []Node{{"a", 1}, {"b", 2}})
	ch3, _ := NewCh3(7, "salt")
	crc := NewMCRouterCRC32(7, "salt")
	wch3, _ := NewWeightedCh3([]float64{0.1, 0.1, 0.01}, "salt")
	sink := 0
	for name, f := range map[string]func(){
		"xxh3 jump":        func() { sink += NewJump(10).Pick(XXH3(key, 7)) },
		"md5":              func() { sink += int(MD5(key, 0)) },
		"stop":             func() { sink += len(stop.Apply(key)) },
		"tags":             func() { sink += len(tags.Apply(key)) },
		"rendezvous":       func() { sink += weighted.Pick(XXH3(key, 0)) },
		"through Dist too": func() { var d Dist = weighted; sink += d.Pick(1) },
		"ch3":              func() { sink += ch3.PickKey(key) },
		"ch3, weighted":    func() { sink += wch3.PickKey(key) },
		"mcrouter's crc32": func() { sink += crc.PickKey(key) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	for _, name := range Names() {
		f, _ := ByName(name)
		if n := testing.AllocsPerRun(100, func() { sink += int(f(key, 0)) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	r := ring(t, "ketama")
	if n := testing.AllocsPerRun(100, func() { sink += r.Pick(MD5(key, 0)) }); n != 0 {
		t.Errorf("ring allocates %v times", n)
	}
}

func BenchmarkPick(b *testing.B) {
	key := []byte("user:1234567890")
	f := func(name string, d Dist, h Func) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Pick(h(key, 0))
			}
		})
	}
	f("jump4", NewJump(4), XXH3)
	f("ring", ring(b, ""), XXH3)
	f("ketama", ring(b, "ketama"), MD5)
	f("rendezvous4", rendezvous(b, nodes("leaf-1", "leaf-2", "leaf-3", "leaf-4")), XXH3)
	f("weighted4", rendezvous(b, []Node{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}), XXH3)
}

// Known values of MurmurHash3_x86_32 with the seed 0.
func TestMurmur3Seed0(t *testing.T) {
	for key, want := range map[string]uint64{
		"": 0, "a": 0x3c2569b2, "hello": 0x248bfa47, "hello, world": 0x149bbb7f, "The quick brown fox jumps over the lazy dog": 0x2e4ff723,
	} {
		if got := Murmur3Seed0([]byte(key), 9); got != want {
			t.Errorf("%q: %x, want %x", key, got, want)
		}
	}
}
