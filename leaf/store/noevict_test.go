// Stores that evict nothing, and stores without CAS numbers.

package store

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

// With NoEvict a full store refuses, and keeps all that it has taken; what is deleted makes room.
func TestNoEvict(t *testing.T) {
	for _, size := range []int{100, 8 << 10, 100 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := openTest(t, Options{Memory: 4 << 20, NoEvict: true, Evicted: func(it Item) { t.Errorf("evicted %q", it.Key) }})
			value := make([]byte, size)
			fill := func(from int) (to int) {
				for to = from; ; to++ {
					tx := s.Begin(key(to))
					_, err := tx.Put(value, 0, 0, 0, 0)
					tx.End()
					if errors.Is(err, ErrNoMemory) {
						return to
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			n := fill(0)
			if stored := n * (size + 40); stored < 2<<20 {
				t.Errorf("full with %d bytes", stored)
			}
			for range 3 { // it stays full
				if m := fill(n); m > n+n/10+1 {
					t.Errorf("full with %d items, and again with %d", n, m)
				} else {
					n = m
				}
			}
			for i := range n {
				tx := s.Begin(key(i))
				if _, ok := tx.Get(); !ok {
					t.Fatalf("item %d of %d is gone", i, n)
				}
				if i%2 == 0 {
					tx.Delete()
				}
				tx.End()
			}
			if m := fill(n) - n; m < n/4 {
				t.Errorf("room for %d items where %d were deleted", m, n/2)
			}
			if st := s.Stats(); st.Evictions != 0 || st.Bytes > st.Limit {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestNoCAS(t *testing.T) {
	s := openTest(t, Options{NoCAS: true})
	tx := s.Begin(key(1))
	defer tx.End()
	for _, given := range []uint64{0, 5} {
		if cas, err := tx.Put([]byte("x"), 0, 0, 0, given); cas != 0 || err != nil {
			t.Errorf("CAS %d (%v), want 0", cas, err)
		}
		tx.SetCAS(7)
		if it, _ := tx.Get(); it.CAS != 0 {
			t.Errorf("the item's CAS is %d, want 0", it.CAS)
		}
	}
	if s.NextCAS() != 0 {
		t.Error("a CAS number")
	}
}

// With small segments large items are segments of their own, so that a full store evicts about as it is written to.
func TestEvictionsFollowWrites(t *testing.T) {
	var evicted atomic.Int64
	s := openTest(t, Options{Memory: 16 << 20, Segment: 32 << 10, Evicted: func(Item) { evicted.Add(1) }})
	value := make([]byte, 11000)
	for i := range 3000 {
		put(s, key(i), value)
	}
	s.run(s.settle)
	before := evicted.Load()
	for i := range 100 {
		put(s, key(3000+i), value)
		s.run(s.settle)
		if n := evicted.Load() - before; n < int64(i)-2 {
			t.Fatalf("%d evictions after %d writes", n, i+1)
		}
	}
}

func TestSegmentOption(t *testing.T) {
	for n, ok := range map[int]bool{16 << 10: true, 32 << 10: true, 4 << 20: false, 8 << 10: false, 24 << 10: false, -1: false} {
		s, err := Open(Options{Memory: 16 << 20, Segment: n})
		if (err == nil) != ok {
			t.Errorf("%d: %v", n, err)
		}
		if err == nil {
			s.Close()
		}
	}
}
