// Recovery: what streamed items may and may not do.

package store

import (
	"errors"
	"fmt"
	"testing"
)

func recovery(t testing.TB, s *Store, sources int) *Recovery {
	t.Helper()
	r, err := s.Recover(sources)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.End)
	r.Settling()
	r.Settled()
	return r
}

func look(s *Store, k string) (string, bool) {
	tx := do(s, k)
	defer tx.End()
	it, ok := tx.Get()
	return string(it.Value), ok
}

// streamed is an item as it comes from a neighbour.
func streamed(k, v string) *Item { return &Item{Key: []byte(k), Value: []byte(v), CAS: 7} }

// There is no order in which a streamed item may undo what a client did first, done or not.
func TestRecoveryYieldsToWrites(t *testing.T) {
	c := newClock()
	for name, write := range map[string]func(s *Store, k string){
		"set":           func(s *Store, k string) { put(s, []byte(k), []byte("new")) },
		"delete":        func(s *Store, k string) { tx := do(s, k); tx.Delete(); tx.End() },
		"missed write":  func(s *Store, k string) { tx := do(s, k); tx.Claim(); tx.End() },
		"touch, missed": func(s *Store, k string) { tx := do(s, k); tx.SetExp(1); tx.End() },
		"too large":     func(s *Store, k string) { tx := do(s, k); tx.Put(make([]byte, 2<<20), 0, 0, 0, 0); tx.End() },
		"set, expired": func(s *Store, k string) {
			tx := do(s, k)
			tx.Put([]byte("short"), 0, c.now()+10, 0, 0)
			tx.End()
			c.advance(20)
			s.run(s.sweep)
		},
		"flush":  func(s *Store, k string) { s.FlushAll(0) },
		"prefix": func(s *Store, k string) { s.FlushPrefix([]byte("k")) },
		"flush, swept": func(s *Store, k string) {
			s.FlushPrefix([]byte("k"))
			s.run(s.sweep)
			s.run(s.sweep)
		},
		"flush to come": func(s *Store, k string) { s.FlushAll(c.now() + 10); c.advance(10) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []bool{false, true} { // the item came before the write, or comes after it
				s := openTest(t, Options{Now: c.now})
				r := recovery(t, s, 1)
				if before {
					if got := r.Put(0, streamed("k1", "old"), 0); got != TakenStored {
						t.Fatal(got)
					}
				}
				write(s, "k1")
				want, had := look(s, "k1")
				if got := r.Put(0, streamed("k1", "old"), 0); got == TakenStored {
					t.Errorf("taken")
				}
				if v, ok := look(s, "k1"); ok != had || v != want || v == "old" && name != "missed write" {
					t.Errorf("before %v: then %q %v, had %q %v", before, v, ok, want, had)
				}
				if got := r.Put(0, streamed("other", "v"), 0); name[0] != 'f' && got != TakenStored {
					t.Errorf("another key: %v", got)
				}
				verify(t, s)
			}
		})
	}
}

func TestRecoveryTakes(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	r := recovery(t, s, 2)
	want := Item{Key: []byte("k"), Value: []byte("value"), Flags: 5, CAS: 99, Exp: c.now() + 1000, Bits: BitStale | BitFetched}
	f := func(want Taken, source int, it Item, heat int) {
		t.Helper()
		if got := r.Put(source, &it, heat); got != want {
			t.Errorf("%.20q: %v, want %v", it.Key, got, want)
		}
	}
	f(TakenStored, 1, want, 9)
	f(TakenKept, 0, Item{Key: []byte("k"), Value: []byte("another source's"), CAS: 100}, 0)
	f(TakenGone, 0, Item{Key: []byte("e"), Exp: c.now()}, 0)
	f(TakenGone, 0, Item{Key: []byte("e"), Exp: -1}, 0)
	f(TakenLarge, 0, Item{Key: []byte("e"), Value: make([]byte, 2<<20)}, 0)
	f(TakenLarge, 0, Item{Key: make([]byte, 256)}, 0)
	tx := do(s, "k")
	got, ok := tx.Get()
	if !ok || string(got.Value) != "value" || got.Flags != 5 || got.CAS != 99 || got.Exp != want.Exp || got.Bits != want.Bits {
		t.Errorf("got %+v, want %+v", got, want)
	}
	tx.End()
	s.Scan(nil, false, func(l *Listed) bool {
		if l.Heat != 9 {
			t.Errorf("heat %d", l.Heat)
		}
		return true
	})
	if _, err := s.Recover(1); !errors.Is(err, ErrRecovering) {
		t.Error(err)
	}
	used := s.mem.used.Load()
	r.End()
	r.End()
	if freed := used - s.mem.used.Load(); freed != r.filter || freed == 0 {
		t.Errorf("%d bytes given back, want %d", freed, r.filter)
	}
	f(TakenOver, 0, Item{Key: []byte("late")}, 0)
	verify(t, s)
	recovery(t, s, 1).End() // a second one is possible
}

// Numbers of the two stores never meet, and the next is above all that came.
func TestRecoveryCAS(t *testing.T) {
	c := newClock()
	from := openTest(t, Options{Now: c.now, CASSpace: 3})
	c.advance(5)
	s := openTest(t, Options{Now: c.now, CASSpace: 5})
	if a, b := from.NextCAS(), s.NextCAS(); a%CASSpaces != 3 || b%CASSpaces != 5 || from.NextCAS() != a+CASSpaces {
		t.Errorf("%d %d", a, b)
	}
	r := recovery(t, s, 1)
	for i, d := range []uint64{0, 1, 2, 7, 8, 9, 1000} {
		cas := s.cas.Load() + d
		r.Put(0, &Item{Key: fmt.Append(nil, i), CAS: cas}, 0)
		if next := s.NextCAS(); next <= cas || next%CASSpaces != 5 || next > cas+2*CASSpaces {
			t.Errorf("%d after %d", next, cas)
		}
	}
	before := s.NextCAS()
	for _, cas := range []uint64{1 << 53, 1<<64 - 1} { // a client's own: nothing could be above it
		r.Put(0, &Item{Key: fmt.Append(nil, cas), CAS: cas}, 0)
	}
	if next := s.NextCAS(); next != before+CASSpaces {
		t.Errorf("%d after %d", next, before)
	}
	r.Put(0, &Item{Key: []byte("fresh")}, 0)
	tx := do(s, "fresh")
	if it, _ := tx.Get(); it.CAS != before+2*CASSpaces {
		t.Errorf("fresh %d after %d", it.CAS, before)
	}
	tx.End()
}

// A source that is looked at a second time takes back what it has changed meanwhile, and no more.
func TestRecoveryConfirm(t *testing.T) {
	s := openTest(t, Options{})
	r := recovery(t, s, 2)
	const n = 3000
	for i := range n {
		r.Put(i%2, &Item{Key: key(i), Value: []byte("old"), CAS: uint64(i + 1)}, 0)
	}
	put(s, key(0), []byte("client's")) // of source 0, and gone there
	put(s, key(2), []byte("client's")) // of source 0, and changed there
	for i := range n {
		switch {
		case i%2 == 1 || i == 0 || i == 6: // 6 is gone from the source
		case i == 2 || i == 4:
			r.Confirm(0, key(i), 1<<40, 0) // changed there
		default:
			r.Confirm(0, key(i), uint64(i+1), 0)
		}
	}
	if dropped := r.DropUnconfirmed(0); dropped != 1 {
		t.Errorf("%d dropped, want 1", dropped)
	}
	for i := range n {
		want := "old"
		switch i {
		case 0, 2:
			want = "client's"
		case 4, 6:
			want = ""
		}
		if v, _ := look(s, string(key(i))); v != want {
			t.Errorf("%d: %q, want %q", i, v, want)
		}
	}
	if dropped := r.DropUnconfirmed(1); dropped != n/2 {
		t.Errorf("%d dropped, want %d", dropped, n/2)
	}
	verify(t, s)
}

// Streamed items fill what is free and evict nothing; what clients write is stored as ever.
func TestRecoveryWhenFull(t *testing.T) {
	evicted := 0
	s := openTest(t, Options{Memory: 8 << 20, Evicted: func(Item) { evicted++ }})
	r := recovery(t, s, 1)
	const mine = 1000
	for i := range mine {
		put(s, fmt.Appendf(nil, "mine:%d", i), make([]byte, 100))
	}
	taken := 0
	for i := 0; ; i++ {
		got := r.Put(0, &Item{Key: key(i), Value: make([]byte, 100), CAS: 1}, 1)
		if got == TakenFull {
			break
		}
		if got != TakenStored || i > 1_000_000 {
			t.Fatal(i, got)
		}
		taken++
	}
	s.run(s.settle)
	if evicted > 0 {
		t.Errorf("%d evicted", evicted)
	}
	if least := 8 << 20 / 2 / 150; taken < least {
		t.Errorf("only %d taken, want at least %d", taken, least)
	}
	for i := range mine {
		if _, ok := look(s, fmt.Sprintf("mine:%d", i)); !ok {
			t.Fatalf("mine:%d is gone", i)
		}
	}
	for i := range 100_000 { // and on with life
		k := fmt.Appendf(nil, "later:%d", i)
		put(s, k, make([]byte, 100))
		if _, ok := look(s, string(k)); !ok {
			t.Fatalf("%s is gone", k)
		}
	}
	if got := r.Put(0, streamed("later:0", "old"), 1); got == TakenStored {
		t.Error("an evicted item of a client came back in an older state")
	}
	verify(t, s)
}

// False positives are few when as many keys were written as memory holds, and there is no false negative.
func TestFilter(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	const n = 16 << 20 / 172
	f := make(filter, 16<<20/64/8)
	for i := range n {
		f.add(s.hash(key(i)))
	}
	wrong := 0
	for i := range n {
		if !f.has(s.hash(key(i))) {
			t.Fatalf("key %d is forgotten", i)
		}
		if f.has(s.hash(key(n + i))) {
			wrong++
		}
	}
	t.Logf("%d false of %d", wrong, n)
	if wrong > n/200 {
		t.Errorf("%d false of %d", wrong, n)
	}
}

// What clients wrote before the store was settled stays if a source has the same, and else goes.
func TestRecoveryEarly(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	r, err := s.Recover(1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.End()
	if got := r.Put(0, streamed("x", "too early"), 0); got != TakenOver {
		t.Errorf("before Settled: %v", got)
	}
	before := []string{"same", "differs", "not there", "touched there", "written again", "incremented"}
	between := []string{"same, claimed", "differs, claimed", "not there, claimed"}
	for _, k := range append(before, "deleted, then Settling") {
		put(s, []byte(k), []byte("1"))
	}
	drop := func(k string) { tx := do(s, k); tx.Delete(); tx.End() }
	drop("deleted, then Settling")
	r.Settling()
	for _, k := range append(between, "deleted between") {
		put(s, []byte(k), []byte("1"))
	}
	drop("deleted between")
	r.Settled()
	put(s, []byte("written again"), []byte("3"))
	if tx := do(s, "incremented"); true {
		tx.Claim() // as a command does that builds on what is there
		if _, ok := tx.Get(); ok {
			t.Error("what may be old was found by a write that builds on it")
		}
		tx.End()
	}
	exp := c.now() + 5000
	for _, f := range []struct {
		k, v  string
		exp   int64
		taken Taken
		want  string
	}{
		{"same", "1", 0, TakenSame, "1"},
		{"differs", "2", 0, TakenStored, "2"},
		{"touched there", "1", exp, TakenSame, "1"},
		{"written again", "2", 0, TakenKept, "3"},
		{"incremented", "2", 0, TakenKept, ""},
		{"same, claimed", "1", exp, TakenSame, "1"},
		{"differs, claimed", "2", 0, TakenKept, ""},
		{"deleted, then Settling", "2", 0, TakenStored, "2"},
		{"deleted between", "2", 0, TakenKept, ""},
	} {
		if got := r.Put(0, &Item{Key: []byte(f.k), Value: []byte(f.v), CAS: 7, Exp: f.exp}, 0); got != f.taken {
			t.Errorf("%s: %v, want %v", f.k, got, f.taken)
		}
		if v, _ := look(s, f.k); v != f.want {
			t.Errorf("%s: %q, want %q", f.k, v, f.want)
		}
	}
	if n := r.DropEarly(); n != 2 { // not there, twice
		t.Errorf("%d dropped, want 2", n)
	}
	for _, k := range []string{"not there", "not there, claimed"} {
		if v, ok := look(s, k); ok {
			t.Errorf("%s is %q", k, v)
		}
	}
	for k, want := range map[string]int64{"touched there": exp, "same, claimed": 0} {
		tx := do(s, k)
		if it, _ := tx.Get(); it.Exp != want {
			t.Errorf("%s expires at %d, want %d", k, it.Exp, want)
		}
		tx.End()
	}
	s.FlushAll(0)
	for _, k := range []string{"same", "differs"} {
		if v, ok := look(s, k); ok {
			t.Errorf("%s is %q after a flush", k, v)
		}
	}
	verify(t, s)
}

// An expiry that a source has changed meanwhile is taken over, unless it was changed here.
func TestRecoveryConfirmsExpiry(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.now})
	r := recovery(t, s, 1)
	now := c.now()
	for k, f := range map[string]struct{ had, got, want int64 }{
		"none before":  {0, now + 60_000, now + 60_000},
		"none now":     {now + 60_000, 0, 0},
		"the same":     {now + 60_000, now + 60_400, now + 60_000},
		"sooner":       {now + 60_000, now + 5_000, now + 5_000},
		"touched here": {now + 60_000, now + 60_000, now + 9_000},
	} {
		r.Put(0, &Item{Key: []byte(k), CAS: 7, Exp: f.had}, 0)
		if k == "touched here" {
			tx := do(s, k)
			tx.Claim()
			tx.SetExp(f.want)
			tx.End()
		}
		r.Confirm(0, []byte(k), 7, f.got)
		tx := do(s, k)
		if it, ok := tx.Get(); !ok || it.Exp != f.want {
			t.Errorf("%s: %d %v, want %d", k, it.Exp-now, ok, f.want-now)
		}
		tx.End()
	}
	if n := r.DropUnconfirmed(0); n != 0 {
		t.Errorf("%d dropped", n)
	}
	verify(t, s)
}

// snapshot gives copies of all items.
func snapshot(s *Store) (out []Item) {
	s.Scan(nil, true, func(l *Listed) bool {
		it := l.Item
		it.Key, it.Value = append([]byte{}, l.Key...), append([]byte{}, l.Value...)
		out = append(out, it)
		return true
	})
	return out
}

// Memory that is full of what clients have written over since has room.
func TestRecoveryIntoHoles(t *testing.T) {
	evicted := 0
	s := openTest(t, Options{Memory: 32 << 20, Segment: 16 << 10, Evicted: func(Item) { evicted++ }})
	r := recovery(t, s, 1)
	const mine = 130_000
	for i := range mine {
		put(s, fmt.Appendf(nil, "mine:%d", i), make([]byte, 100))
	}
	for i := 0; s.mem.left() > r.floor; i += 3 { // so that of every segment a third is dead
		put(s, fmt.Appendf(nil, "mine:%d", i%mine), make([]byte, 100))
	}
	const n = 10_000
	taken := 0
	for i := range n {
		switch got := r.Put(0, &Item{Key: key(i), Value: make([]byte, 100), CAS: 1}, 1); got {
		case TakenStored:
			taken++
		case TakenFull:
			t.Fatalf("item %d of %d: full; %d bytes are left and %d segments have holes", i, n, s.mem.left(), s.holes.len())
		}
	}
	if taken < n*99/100 || evicted > 0 { // the filter of claimed keys is right of most
		t.Errorf("%d of %d taken, %d evicted", taken, n, evicted)
	}
	verify(t, s)
}
