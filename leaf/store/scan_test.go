// Scanning, alone and while others write.

package store

import (
	"fmt"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	for i := range 5000 {
		for _, p := range []string{"a", "b"} {
			tx := do(s, fmt.Sprintf("%s:%d", p, i))
			tx.Put(fmt.Appendf(nil, "value of %s:%d", p, i), uint32(i), c.now()+1000+int64(i), 0, uint64(i+1))
			tx.End()
		}
	}
	put(s, []byte("a:large"), make([]byte, 500_000))
	for i := range 100 {
		get(s, fmt.Appendf(nil, "a:%d", i))
	}
	c.advance(1000 + 10) // a:0 to a:10 are expired
	for _, values := range []bool{false, true} {
		seen := map[string]bool{}
		s.Scan([]byte("a:"), values, func(l *Listed) bool {
			k := string(l.Key)
			if seen[k] || !strings.HasPrefix(k, "a:") {
				t.Fatalf("%q again, or not asked for", k)
			}
			seen[k] = true
			want, size := "", 500_000
			var i int
			if k != "a:large" {
				fmt.Sscanf(k, "a:%d", &i)
				want = "value of " + k
				size = len(want)
				if l.Flags != uint32(i) || l.CAS != uint64(i+1) || l.Exp != c.now()-10+int64(i) || (l.Heat > 0) != (i < 100) {
					t.Fatalf("%q: %+v", k, l)
				}
			}
			if l.Size != size || values && (len(l.Value) != size || want != "" && string(l.Value) != want) || !values && l.Value != nil {
				t.Fatalf("%q: size %d, value %.40q", k, l.Size, l.Value)
			}
			return true
		})
		if len(seen) != 5000-11+1 {
			t.Fatalf("%d items", len(seen))
		}
	}
	n := 0
	s.Scan(nil, false, func(*Listed) bool { n++; return n < 10 })
	if n != 10 {
		t.Fatalf("%d calls after false at 10", n)
	}
}

// Items that are there all the while are given exactly once, though they are overwritten and moved, others come and go, and
// the index grows and shrinks; and the function may use the store.
func TestScanWhileWriting(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	const stay = 3000
	for i := range stay {
		put(s, fmt.Appendf(nil, "stay:%d", i), make([]byte, 50))
	}
	n := 0
	seen := map[string]int{}
	s.Scan([]byte("stay:"), true, func(l *Listed) bool {
		seen[string(l.Key)]++
		put(s, l.Key, make([]byte, 60)) // overwrites it: a new place
		for range 10 {                  // others come and go
			put(s, key(n), make([]byte, 100))
			if n++; n%3 == 0 {
				tx := s.Begin(key(n / 2))
				tx.Delete()
				tx.End()
			}
		}
		if n%5000 == 0 {
			s.run(s.sweep)
		}
		return true
	})
	for i := range stay {
		if k := fmt.Sprintf("stay:%d", i); seen[k] != 1 {
			t.Fatalf("%s given %d times", k, seen[k])
		}
	}
	verify(t, s)
}
