// Listing the hottest first, and either order while others write, read, move and evict.

package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// heatTo reads a key as often as makes it that hot.
func heatTo(s *Store, k []byte, heat int) {
	for range heat {
		get(s, k)
	}
}

func TestHottestFirst(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	const each = 400
	for _, heat := range []int{0, 1, 2, 3, 4, 7, 8, 15} {
		for i := range each {
			k := fmt.Appendf(nil, "heat:%d:%d", heat, i)
			put(s, k, make([]byte, 50))
			put(s, fmt.Appendf(nil, "other:%d:%d", heat, i), nil)
			heatTo(s, k, heat)
		}
	}
	class := func(heat int) int {
		for i, floor := range heatClasses {
			if heat >= floor {
				return i
			}
		}
		panic("no class")
	}
	last, n, between := 0, 0, 0
	s.List(Listing{Prefix: []byte("heat:"), Hottest: true, Between: func() bool { between++; return true }}, func(l *Listed) bool {
		var heat, i int
		fmt.Sscanf(string(l.Key), "heat:%d:%d", &heat, &i)
		if l.Heat != heat || class(heat) < last {
			t.Fatalf("%s: heat %d after class %d", l.Key, l.Heat, last)
		}
		last = class(heat)
		n++
		return true
	})
	if n != 8*each {
		t.Errorf("%d items, want %d", n, 8*each)
	}
	if want := len(heatClasses) * len(s.shards); between < want {
		t.Errorf("Between was called %d times, want at least once a shard and pass: %d", between, want)
	}
	n = 0
	s.List(Listing{Between: func() bool { return false }}, func(*Listed) bool { n++; return true })
	if n == 0 || n > 2*scanEntries {
		t.Errorf("%d items before Between ended it", n)
	}
}

// What is remembered of the passes stays within its share, and what did not fit in it is given all the same.
func TestHottestIsBounded(t *testing.T) {
	s := openTest(t, Options{Memory: 4 << 20})
	n := 0
	s.o.Evicted = func(Item) { t.Error("the test holds more than it wants") }
	for ; s.Stats().Bytes < 3<<20; n++ {
		put(s, key(n), nil)
		heatTo(s, key(n), 8)
	}
	most := int(s.o.Memory) / hotShare / 4
	if n <= most+most/4 {
		t.Fatalf("%d items do not show a bound of %d", n, most)
	}
	b := scan{o: Listing{Hottest: true}}
	seen := map[string]int{}
	b.given, b.most = make([][]uint32, len(s.shards)), most // as List does it, so that its state can be looked at
	for _, b.floor = range heatClasses {
		b.pass(s, func(l *Listed) bool { seen[string(l.Key)]++; return true })
		noted := 0
		for _, tags := range b.given {
			noted += cap(tags)
		}
		if noted > most || b.noted > most || b.floor > 0 && b.noted < most {
			t.Errorf("after the pass of heat %d: %d tags held, %d counted, want at most %d", b.floor, noted, b.noted, most)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d items given", len(seen), n)
	}
	for k, times := range seen {
		if times != 1 {
			t.Fatalf("%s given %d times", k, times)
		}
	}
}

// What is there from the beginning of a listing to its end is given exactly once, whatever goes on: overwrites by several
// goroutines, reads that change what is hot, a flood that evicts, sweeps that move.
func TestListWhileOthersWork(t *testing.T) {
	const stay = 4000
	name := func(i int) []byte { return fmt.Appendf(nil, "stay:%d", i) }
	for _, hottest := range []bool{false, true} {
		t.Run(fmt.Sprintf("hottest=%v", hottest), func(t *testing.T) {
			var mu sync.Mutex
			evicted := map[string]bool{}
			s := openTest(t, Options{Memory: 4 << 20, Evicted: func(it Item) {
				mu.Lock()
				evicted[string(it.Key)] = true
				mu.Unlock()
			}})
			for i := range 30_000 { // full from the start
				put(s, key(i), make([]byte, 100))
			}
			for i := range stay { // once each, so that what is evicted is evicted for good
				put(s, name(i), make([]byte, 50))
				heatTo(s, name(i), i%12)
			}
			stop := make(chan struct{})
			var work sync.WaitGroup
			for g := range 3 {
				work.Go(func() {
					r := rand.New(rand.NewPCG(uint64(g), 1))
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						switch k := name(r.IntN(stay)); {
						case n%4 == 0:
							tx := s.Begin(k)
							if _, ok := tx.Get(); ok { // what was evicted stays away
								tx.Put(make([]byte, 40+n%30), 0, 0, 0, 0)
							}
							tx.End()
						case n%4 == 1:
							put(s, fmt.Appendf(nil, "flood:%d:%d", g, n), make([]byte, 100))
						default:
							get(s, k)
						}
						if n%20_000 == 19_999 && g == 0 {
							s.run(s.sweep)
						}
					}
				})
			}
			seen := map[string]int{}
			s.List(Listing{Prefix: []byte("stay:"), Values: true, Hottest: hottest}, func(l *Listed) bool {
				seen[string(l.Key)]++
				runtime.Gosched() // the others get their turn
				return true
			})
			close(stop)
			work.Wait()
			verify(t, s)
			kept := 0
			mu.Lock()
			defer mu.Unlock() // the demoter goes on
			for i := range stay {
				k := string(name(i))
				if !evicted[k] {
					kept++
				}
				if seen[k] > 1 || seen[k] == 0 && !evicted[k] {
					t.Fatalf("%s given %d times, evicted: %v", k, seen[k], evicted[k])
				}
			}
			if kept < stay/4 {
				t.Fatalf("only %d of %d were there throughout: the test says little", kept, stay)
			}
		})
	}
}
