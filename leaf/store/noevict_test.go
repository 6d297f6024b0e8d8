// Stores that evict nothing, and stores without CAS numbers.

package store

import (
	"errors"
	"fmt"
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
