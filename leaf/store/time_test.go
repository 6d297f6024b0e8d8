// Expiry, flushes and sweeping, with an injected clock.

package store

import (
	"fmt"
	"testing"
)

func TestExpiryIsExact(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	set := func(k string, exp int64) {
		tx := do(s, k)
		tx.Put([]byte("v"), 0, exp, 0, 0)
		tx.End()
	}
	start := c.now()
	set("never", 0)
	set("1s", start+1000)
	set("past", start-1)
	set("negative", -1)
	set("far", 1<<60)
	set("touched", start+1000)
	tx := do(s, "touched")
	tx.SetExp(start + 2000)
	tx.End()
	expect := func(at int64, want ...string) {
		t.Helper()
		c.ms.Store(start + at)
		there := map[string]bool{}
		for _, k := range want {
			there[k] = true
		}
		for _, k := range []string{"never", "1s", "past", "negative", "far", "touched"} {
			if (get(s, []byte(k)) != nil) != there[k] {
				t.Errorf("at %d ms: %s readable: %v", at, k, !there[k])
			}
		}
	}
	expect(0, "never", "1s", "far", "touched")
	expect(999, "never", "1s", "far", "touched")
	expect(1000, "never", "far", "touched")
	expect(1999, "never", "far", "touched")
	expect(2000, "never", "far")
	tx = do(s, "1s")
	tx.SetExp(0) // expired: no such item
	tx.End()
	expect(3000, "never", "far")
}

// Expired items that nobody asks for are removed and their memory comes back, in full segments and in fresh ones.
func TestSweep(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Memory: 16 << 20, Now: c.now, Evicted: func(it Item) { t.Errorf("evicted %q", it.Key) }})
	empty := s.Stats().Bytes
	for i := range 40_000 {
		tx := s.Begin(key(i))
		exp := c.now() + 1000
		if i%10 == 0 {
			exp = 0
		}
		tx.Put(make([]byte, 100), 0, exp, 0, 0)
		tx.End()
	}
	put(s, []byte("large"), make([]byte, 900_000))
	tx := do(s, "large")
	tx.SetExp(c.now() + 1000)
	tx.End()
	full := s.Stats()
	c.advance(999)
	s.run(s.sweep)
	if st := s.Stats(); st.Items != 40_001 {
		t.Fatalf("swept too early: %+v", st)
	}
	c.advance(1)
	s.run(s.sweep)
	st := s.Stats()
	if st.Items != 4000 || st.Expired != 36_001 {
		t.Fatalf("%+v", st)
	}
	s.FlushAll(0)
	s.run(s.sweep)
	verify(t, s)
	st = s.Stats()
	if st.Items != 0 || st.Bytes > (full.Bytes+empty)/2 || st.Bytes > empty+int64(2*len(s.shards)*s.mem.segSize) {
		t.Fatalf("memory kept: %+v of %d, empty %d", st, full.Bytes, empty)
	}
}

// What expired does not count as evicted, and goes before what did not.
func TestExpiredAreNotEvicted(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Memory: 8 << 20, Now: c.now, Evicted: func(it Item) { t.Errorf("evicted %q", it.Key) }})
	for round := range 20 {
		for i := range 10_000 {
			tx := s.Begin(key(round*10_000 + i))
			tx.Put(make([]byte, 100), 0, c.now()+1000, 0, 0)
			tx.End()
		}
		c.advance(40_000)
		s.run(s.sweep)
	}
	verify(t, s)
}

func TestFlushAll(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	a, b := []byte("a"), []byte("b")
	expect := func(step string, k []byte, want bool) {
		t.Helper()
		if (get(s, k) != nil) != want {
			t.Fatalf("%s: %s readable: %v", step, k, !want)
		}
	}
	put(s, a, a)
	s.FlushAll(c.now())
	expect("flushed in its own millisecond", a, false)
	put(s, a, a)
	expect("stored after the flush, same millisecond", a, true)
	c.advance(1)
	expect("a millisecond later", a, true)

	s.FlushAll(c.now() + 1000)
	put(s, b, b)
	c.advance(999)
	expect("before a flush to come", a, true)
	expect("before a flush to come", b, true)
	c.advance(1)
	expect("its time has come", a, false)
	expect("stored after the call, before its time", b, false)
	put(s, b, b)
	c.advance(5000)
	expect("stored at its time", b, true)

	s.FlushAll(c.now() + 1000)
	s.FlushAll(c.now() + 3000)
	c.advance(2000)
	expect("the first of two flushes to come", b, true)
	c.advance(1000)
	expect("the second", b, false)

	put(s, b, b)
	s.FlushAll(c.now() + 1000)
	s.FlushAll(c.now())
	put(s, b, b)
	c.advance(2000)
	expect("a flush to come, dropped by one at once", b, true)

	// A transaction that meets a flush happens before it.
	tx := s.Begin(b)
	if _, ok := tx.Get(); !ok {
		t.Fatal("gone")
	}
	s.FlushAll(0)
	tx.Put([]byte("built on the old"), 0, 0, 0, 0)
	tx.End()
	expect("built on a flushed value", b, false)
}

// Flushes go on working when the header's epochs are used up.
func TestRenumber(t *testing.T) {
	s := openTest(t, Options{})
	for _, e := range []uint32{maxEpoch / 2, maxEpoch/2 + 1} {
		s.epoch.Store(e)
		put(s, []byte("flushed"), []byte("v"))
		s.FlushAll(0)
		for _, k := range []string{"a:1", "b:1"} {
			put(s, []byte(k), []byte("v"))
		}
		s.FlushPrefix([]byte("b:"))
		s.run(s.sweep)
		if got := s.epoch.Load(); got != 0 {
			t.Fatalf("epoch %d", got)
		}
		if get(s, []byte("flushed")) != nil || get(s, []byte("b:1")) != nil || get(s, []byte("a:1")) == nil {
			t.Fatal("the wrong items are left")
		}
		s.FlushPrefix([]byte("a:"))
		if get(s, []byte("a:1")) != nil {
			t.Fatal("a flush after renumbering does nothing")
		}
		verify(t, s)
	}
}

func TestFlushPrefix(t *testing.T) {
	s := openTest(t, Options{})
	set := func() {
		for _, k := range []string{"a", "a:1", "a:2", "a:b:1", "ab", "b:1"} {
			put(s, []byte(k), []byte("v"))
		}
	}
	left := func() (keys []string) {
		for _, k := range []string{"a", "a:1", "a:2", "a:b:1", "ab", "b:1"} {
			if get(s, []byte(k)) != nil {
				keys = append(keys, k)
			}
		}
		return keys
	}
	expect := func(step string, want ...string) {
		t.Helper()
		if got := left(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: %q are left, want %q", step, got, want)
		}
	}
	set()
	s.FlushPrefix([]byte("a:"))
	expect("a:", "a", "ab", "b:1")
	put(s, []byte("a:2"), []byte("new"))
	expect("one anew", "a", "a:2", "ab", "b:1")
	s.FlushPrefix([]byte("b"))
	s.FlushPrefix([]byte("a:b:"))
	expect("three prefixes", "a", "a:2", "ab")
	set()
	s.FlushPrefix([]byte("a:"))
	s.FlushPrefix([]byte("a:b:"))
	expect("again", "a", "ab", "b:1")
	s.run(s.sweep)
	if s.names.Load() != nil {
		t.Error("notes stay after a sweep")
	}
	expect("after a sweep", "a", "ab", "b:1")
	set()
	s.FlushPrefix(nil)
	expect("empty prefix")
	verify(t, s)
}
