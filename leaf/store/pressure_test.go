// Writes and memory: what was acknowledged is readable, and the limit holds.

package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// Every new key is readable straight after it was set, however full the memory is, and so are the newest of at least the
// last 1 % of memory; also with the demoter held, so that ristretto is never asked.
func TestWritesAreReadable(t *testing.T) {
	const item = 32 + 12 + 100 // about
	for _, c := range []struct {
		name   string
		memory int64
		keys   int
		held   bool
	}{
		{"with room", 64 << 20, 100_000, false},
		{"full", 8 << 20, 120_000, false},
		{"full, demoter held", 8 << 20, 120_000, true},
		{"smallest", minMemory, 50_000, false},
		{"smallest, demoter held", minMemory, 50_000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openTest(t, Options{Memory: c.memory})
			flood := func() {
				newest := int(c.memory / 100 / item)
				for i := range c.keys {
					k := key(i)
					if err := put(s, k, fmt.Appendf(nil, "%0100d", i)); err != nil {
						t.Fatal(err)
					}
					if string(get(s, k)) != fmt.Sprintf("%0100d", i) {
						t.Fatalf("key %d unreadable after its Put", i)
					}
					if i%1000 == 0 {
						for j := max(0, i-newest); j < i; j++ {
							tx := s.Begin(key(j))
							_, ok := tx.Get()
							tx.End()
							if !ok {
								t.Fatalf("key %d unreadable after %d more", j, i-j)
							}
						}
						if b := s.Stats().Bytes; b > c.memory {
							t.Fatalf("%d bytes", b)
						}
					}
				}
			}
			if c.held {
				s.run(flood)
				if st := s.Stats(); st.Inline == 0 {
					t.Fatalf("no writer made room: %+v", st)
				}
			} else {
				flood()
			}
			verify(t, s)
			if st := s.Stats(); c.name == "with room" && (st.Evictions != 0 || st.Items != int64(c.keys)) {
				t.Fatalf("%+v", st)
			}
		})
	}
}

// Keys that are read stay through a flood of new keys ten times the memory.
func TestHotKeysSurviveAFlood(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	const hot, flood = 5000, 300_000
	for i := range hot {
		put(s, fmt.Appendf(nil, "hot:%d", i), make([]byte, 100))
	}
	lost, reads := 0, 0
	for i := range flood {
		put(s, key(i), make([]byte, 100))
		k := fmt.Appendf(nil, "hot:%d", rand.IntN(hot))
		reads++
		if get(s, k) == nil {
			lost++
			put(s, k, make([]byte, 100))
		}
	}
	st := s.Stats()
	t.Logf("%d of %d reads of hot keys missed; %+v", lost, reads, st)
	if lost*100 > reads {
		t.Errorf("%d of %d reads of hot keys missed", lost, reads)
	}
	if st.Evictions < flood/2 {
		t.Errorf("no flood: %+v", st)
	}
}

// An overwrite is not lost when the key's old version is evicted meanwhile: the last write of each key is there or was
// told as evicted, and what is there is the last write.
func TestOverwritesAreNotLost(t *testing.T) {
	gone := map[string]bool{}
	var mu sync.Mutex
	s := openTest(t, Options{Memory: 4 << 20, Evicted: func(it Item) {
		mu.Lock()
		gone[string(it.Key)] = true
		mu.Unlock()
	}})
	r := rand.New(rand.NewPCG(1, 1))
	last := map[string]string{}
	for i := range 300_000 {
		k, v := key(r.IntN(40_000)), fmt.Sprintf("%0*d", 1+r.IntN(200), i)
		tx := s.Begin(k)
		if _, err := tx.Put([]byte(v), 0, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		gone[string(k)] = false // under the key's lock: a later eviction is of this write
		mu.Unlock()
		tx.End()
		last[string(k)] = v
	}
	verify(t, s)
	there := 0
	for k, v := range last {
		got := get(s, []byte(k))
		switch {
		case got == nil && !gone[k]:
			t.Fatalf("%q was lost", k)
		case got != nil && gone[k]:
			t.Fatalf("%q was told evicted, but is there", k)
		case got != nil && string(got) != v:
			t.Fatalf("%q: an old value", k)
		case got != nil:
			there++
		}
	}
	if there == 0 || there == len(last) {
		t.Fatalf("%d of %d are there: no pressure", there, len(last))
	}
}

// Overwriting a set of keys that fits in memory for ever evicts nothing: dead versions are compacted away.
func TestOverwritesNeedNoEviction(t *testing.T) {
	s := openTest(t, Options{Memory: 8 << 20})
	r := rand.New(rand.NewPCG(1, 1))
	for range 300_000 {
		put(s, key(r.IntN(24_000)), make([]byte, 100)) // 3.5 MB of items: of four bytes one may be dead, and some are fresh
	}
	verify(t, s)
	if st := s.Stats(); st.Evictions != 0 {
		t.Errorf("%+v", st)
	}
	n, _ := s.holes.len(), s.forgotten.len()
	if n > 2*maxHoles {
		t.Errorf("%d segments wait for compaction", n)
	}
}

// The limit holds for mixes of sizes, for items that grow, and for large items after small ones; and the count is right.
func TestMemoryBound(t *testing.T) {
	const memory = 16 << 20
	sizes := map[string]func(r *rand.Rand, i int) int{
		"small":            func(r *rand.Rand, i int) int { return r.IntN(300) },
		"mixed":            func(r *rand.Rand, i int) int { return 1 << r.IntN(19) },
		"large":            func(r *rand.Rand, i int) int { return 100_000 + r.IntN(900_000) },
		"largest":          func(r *rand.Rand, i int) int { return 1<<20 - 12 },
		"small then large": func(r *rand.Rand, i int) int { return []int{100, 60_000}[min(1, i/1500)] },
		"large then small": func(r *rand.Rand, i int) int { return []int{60_000, 100}[min(1, i/1500)] },
		"growing":          func(r *rand.Rand, i int) int { return 10 * i },
	}
	for name, size := range sizes {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, held %v", name, held), func(t *testing.T) {
				steps := 3000
				if name == "large" || name == "largest" {
					steps = 50
				}
				s := openTest(t, Options{Memory: memory})
				work := func() {
					var wg sync.WaitGroup
					for w := range 4 {
						wg.Go(func() {
							r := rand.New(rand.NewPCG(1, uint64(w)))
							for i := range steps {
								k := key(r.IntN(2000))
								if err := put(s, k, make([]byte, size(r, i))); err != nil {
									t.Errorf("cannot put: %v", err)
									return
								}
								if u := s.mem.used.Load(); u > memory {
									t.Errorf("%d bytes", u)
									return
								}
								if i%10 == 0 {
									get(s, key(r.IntN(2000)))
								}
							}
						})
					}
					wg.Wait()
				}
				if held {
					s.run(work)
				} else {
					work()
				}
				verify(t, s)
			})
		}
	}
}

// A large item is readable after it was set, whatever the demoter has done in between: there, others that had been read got another turn.
func TestLargeWritesAreReadable(t *testing.T) {
	for seed := range uint64(8) {
		s := openTest(t, Options{Memory: 12 << 20})
		rng := rand.New(rand.NewPCG(seed, 2))
		for i := range 250 {
			size := 140 << 10
			if seed%2 == 1 {
				size = 50<<10 + rng.IntN(200<<10)
			}
			k := fmt.Appendf(nil, "large%d", rng.IntN(1000))
			if err := put(s, k, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(2) == 0 {
				s.run(s.settle)
			}
			if rng.IntN(2) == 0 {
				s.run(func() { s.sweep(); s.settle() })
			}
			if get(s, k) == nil {
				t.Fatalf("seed %d: item %d is gone", seed, i)
			}
		}
	}
}
