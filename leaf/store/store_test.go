// What one caller sees: items, their fields, limits, two stores side by side.

package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is an injected clock, Unix ms.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() int64          { return c.ms.Load() }
func (c *clock) advance(ms int64)    { c.ms.Add(ms) }
func newClock() *clock               { c := &clock{}; c.ms.Store(1_700_000_000_000); return c }
func key(i int) []byte               { return fmt.Appendf(nil, "key:%08d", i) }
func do(s *Store, key string) (t Tx) { return s.Begin([]byte(key)) }

func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func put(s *Store, k, v []byte) error {
	tx := s.Begin(k)
	defer tx.End()
	_, err := tx.Put(v, 0, 0, 0, 0)
	return err
}

// get gives a copy of the value; nil if there is none.
func get(s *Store, k []byte) []byte {
	tx := s.Begin(k)
	defer tx.End()
	it, ok := tx.Get()
	if !ok {
		return nil
	}
	tx.Touched()
	return append([]byte{}, it.Value...)
}

func TestItemFields(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	tx := do(s, "k")
	cas, err := tx.Put([]byte("value"), 7, c.now()+5000, BitStale, 0)
	if err != nil || cas == 0 {
		t.Fatalf("Put: %d, %v", cas, err)
	}
	tx.End()
	want := Item{Flags: 7, CAS: cas, Exp: c.now() + 5000, Access: c.now(), Bits: BitStale}
	check := func(step string) {
		t.Helper()
		tx := do(s, "k")
		defer tx.End()
		got, ok := tx.Get()
		if !ok || string(got.Key) != "k" || string(got.Value) != "value" {
			t.Fatalf("%s: got %q %q %v", step, got.Key, got.Value, ok)
		}
		got.Key, got.Value = nil, nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: got %+v, want %+v", step, got, want)
		}
	}
	change := func(step string, f func(*Tx)) {
		t.Helper()
		tx := do(s, "k")
		f(&tx)
		tx.End()
		check(step)
	}
	check("after Put")
	c.advance(1000)
	check("Get is no access")
	want.Access, want.Bits = c.now(), BitStale|BitFetched
	change("Touched", func(t *Tx) { t.Touched() })
	want.Exp = 0
	change("SetExp", func(t *Tx) { t.SetExp(0) })
	want.Bits = BitWon
	change("SetBits", func(t *Tx) { t.SetBits(BitWon) })
	want.CAS = 1<<64 - 1
	change("SetCAS", func(t *Tx) { t.SetCAS(1<<64 - 1) })
	change("Put with everything", func(t *Tx) {
		if cas, err := t.Put([]byte("value"), 1<<32-1, 12345678901234, 0xff, 99); cas != 99 || err != nil {
			panic(fmt.Sprint(cas, err))
		}
		want = Item{Flags: 1<<32 - 1, CAS: 99, Exp: 12345678901234, Access: c.now(), Bits: 0xff}
	})
	tx = do(s, "k")
	tx.Delete()
	if _, ok := tx.Get(); ok {
		t.Fatal("Get finds what Delete removed")
	}
	tx.SetCAS(1)
	tx.Touched()
	tx.Delete()
	tx.End()
	if get(s, []byte("k")) != nil || s.Stats().Items != 0 {
		t.Fatal("deleted item is there")
	}
}

func TestCASGrows(t *testing.T) {
	s := openTest(t, Options{})
	last := uint64(0)
	for range 100 {
		if c := s.NextCAS(); c <= last || c > 1<<53 {
			t.Fatalf("%d after %d", c, last)
		} else {
			last = c
		}
	}
}

// Values are built from the old one in every place that the old one may have: in the fresh segment, where the new one may
// take its place if padding absorbs the difference, in a full one, in a large one.
func TestPutPartsOfTheOldValue(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 7, 8, 100, 30_000, 200_000} {
		for _, elsewhere := range []bool{false, true} {
			s := openTest(t, Options{Memory: 16 << 20})
			old := bytes.Repeat([]byte("o"), size)
			k := []byte("k")
			step := func(name string, f func(tx *Tx, v []byte) error, want string) {
				t.Helper()
				if err := put(s, k, old); err != nil {
					t.Fatal(err)
				}
				if elsewhere {
					for i := range 4000 {
						put(s, key(i), make([]byte, 200))
					}
				}
				tx := s.Begin(k)
				it, ok := tx.Get()
				if !ok {
					t.Fatal("gone")
				}
				if err := f(&tx, it.Value); err != nil {
					t.Fatal(err)
				}
				tx.End()
				if got := get(s, k); string(got) != want {
					t.Fatalf("%s, size %d, elsewhere %v: got %.40q (%d), want %.40q (%d)", name, size, elsewhere, got, len(got), want, len(want))
				}
			}
			step("append", func(tx *Tx, v []byte) error { _, err := tx.PutParts(v, []byte("xy"), 0, 0, 0, 0); return err }, string(old)+"xy")
			step("prepend", func(tx *Tx, v []byte) error { _, err := tx.PutParts([]byte("xy"), v, 0, 0, 0, 0); return err }, "xy"+string(old))
			step("double", func(tx *Tx, v []byte) error { _, err := tx.PutParts(v, v, 0, 0, 0, 0); return err }, string(old)+string(old))
			step("same", func(tx *Tx, v []byte) error { _, err := tx.PutParts(v, nil, 0, 0, 0, 0); return err }, string(old))
			verify(t, s)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := openTest(t, Options{MaxItem: 1000})
	for _, c := range []struct {
		key   string
		value int
		err   error
	}{
		{"k", 999, nil},
		{"k", 1000, ErrTooLarge},
		{strings.Repeat("k", 250), 750, nil},
		{strings.Repeat("k", 250), 751, ErrTooLarge},
		{strings.Repeat("k", 255), 1, nil},
		{strings.Repeat("k", 256), 1, ErrTooLarge},
	} {
		k := []byte(c.key)
		if len(k) <= maxKey {
			if err := put(s, k, []byte("old")); err != nil {
				t.Fatal(err)
			}
		}
		if err := put(s, k, make([]byte, c.value)); !errors.Is(err, c.err) {
			t.Errorf("key of %d, value of %d: %v, want %v", len(k), c.value, err, c.err)
		}
		if got := get(s, k); c.err != nil && got != nil {
			t.Errorf("key of %d, value of %d: refused, but the old item stays", len(k), c.value)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o  Options
		ok bool
	}{
		{Options{}, true},
		{Options{Memory: minMemory}, true},
		{Options{Memory: minMemory - 1}, false},
		{Options{Memory: -1}, false},
		{Options{Memory: 8 << 20, MaxItem: 2 << 20}, true},
		{Options{Memory: 8 << 20, MaxItem: 2<<20 + 1}, false},
		{Options{MaxItem: -1}, false},
		{Options{Memory: maxMemory + 1}, false},
	} {
		s, err := Open(c.o)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.o, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestStoresAreApart(t *testing.T) {
	a, b := openTest(t, Options{}), openTest(t, Options{})
	put(a, []byte("k"), []byte("a"))
	put(b, []byte("k"), []byte("b"))
	b.FlushAll(0)
	if string(get(a, []byte("k"))) != "a" || get(b, []byte("k")) != nil {
		t.Fatal("stores share items")
	}
}

func TestClosed(t *testing.T) {
	s := openTest(t, Options{})
	put(s, []byte("k"), []byte("v"))
	put(s, []byte("large"), make([]byte, 500_000))
	s.Close()
	s.Close()
	if get(s, []byte("k")) != nil {
		t.Error("a closed store has items")
	}
	for _, size := range []int{1, 500_000} {
		if err := put(s, []byte("k"), make([]byte, size)); !errors.Is(err, ErrClosed) {
			t.Errorf("Put of %d: %v", size, err)
		}
	}
	s.Scan(nil, true, func(*Listed) bool { t.Error("Scan finds something"); return true })
	s.Stats()
	s.FlushAll(0)
}

func TestAllocations(t *testing.T) {
	s := openTest(t, Options{})
	k, v := []byte("some-key"), make([]byte, 100)
	put(s, k, v)
	if n := testing.AllocsPerRun(1000, func() {
		tx := s.Begin(k)
		if _, ok := tx.Get(); !ok {
			t.Fatal("gone")
		}
		tx.Touched()
		tx.End()
	}); n != 0 {
		t.Errorf("a get allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { put(s, k, v) }); n != 0 {
		t.Errorf("a set allocates %v times", n)
	}
}
