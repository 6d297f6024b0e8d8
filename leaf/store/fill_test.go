// Memory for what is noted while a pool warms.

package store

import (
	"errors"
	"fmt"
	"testing"
)

// fillUp stores items, the n-th and more, until less is left than what is noted while the pool warms takes, the demoter being held, and gives the next's number.
func fillUp(t *testing.T, s *Store, n int) int {
	t.Helper()
	_, size := s.filterSize()
	for ; s.mem.left() >= size; n++ {
		if err := put(s, key(n), fmt.Appendf(nil, "%0500d", n)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// A full store that is written to faster than the demoter frees what it keeps free makes room for it, and gives it back.
func TestWarmWhenFull(t *testing.T) {
	for _, memory := range []int64{minMemory, 16 << 20} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) {
			s := openTest(t, Options{Memory: memory})
			s.run(func() {
				n := 0
				for range 3 {
					n = fillUp(t, s, n)
					if began, err := s.Warm(); !began || err != nil {
						t.Fatal(began, err)
					}
					if st := s.Stats(); st.Bytes > memory {
						t.Errorf("%d bytes", st.Bytes)
					}
					tx := s.Begin([]byte("unseen"))
					if !tx.Elsewhere() {
						t.Error("it does not warm")
					}
					tx.End()
					s.Warmed()
				}
				verifyHeld(t, s)
			})
		})
	}
}

// A flush that comes while room is made ends it as any other does: what it covers elsewhere is not taken for the keys that it has made go.
func TestFlushWhileWarmMakesRoom(t *testing.T) {
	var s *Store
	armed := false
	s = openTest(t, Options{Memory: 16 << 20, Evicted: func(Item) {
		if armed {
			armed = false
			s.FlushAll(0)
		}
	}})
	s.run(func() {
		fillUp(t, s, 0)
		armed = true
		if began, err := s.Warm(); !began || err != nil || armed {
			t.Fatal(began, err, armed)
		}
		tx := s.Begin(key(0))
		if tx.Elsewhere() {
			t.Error("it is asked for elsewhere")
		}
		if got := tx.Fill(&Item{Key: key(0), Value: []byte("old")}, 1, s.Warmth()); got != TakenOver {
			t.Errorf("taken %d, want %d", got, TakenOver)
		}
		tx.End()
		s.Warmed()
		verifyHeld(t, s)
	})
}

// Where nothing may be evicted it is refused, and nothing is kept of what was taken for it.
func TestWarmWhenFullOfWhatStays(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20, NoEvict: true})
	s.run(func() {
		fillUp(t, s, 0)
		left := s.mem.left()
		if _, err := s.Warm(); !errors.Is(err, ErrNoMemory) {
			t.Errorf("%v, want %v", err, ErrNoMemory)
		}
		if now := s.mem.left(); now != left {
			t.Errorf("%d bytes are left, there were %d before", now, left)
		}
		verifyHeld(t, s)
	})
}

// A store that was closed is not written to.
func TestWarmWhenClosed(t *testing.T) {
	s := openTest(t, Options{})
	s.Close()
	if _, err := s.Warm(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
}
