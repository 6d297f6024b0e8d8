// The store against a map, by random transactions.

package store

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// model is what the store should hold, for tracked keys. An eviction that the store tells removes from it, so it must agree
// with the store at every moment at which the key is locked.
type model struct {
	mu    sync.Mutex
	items map[string]Item // Value is copied
	told  int             // evictions of tracked keys
	flush int64           // when a flush is to come; 0: none is
}

// forget drops what begins with a prefix, or all.
func (m *model) forget(prefix string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.items {
		if strings.HasPrefix(k, prefix) {
			delete(m.items, k)
		}
	}
}

func (m *model) evicted(it Item) {
	k := it.Key
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[string(k)]; ok {
		delete(m.items, string(k))
		m.told++
	}
}

func TestAgainstAMap(t *testing.T) {
	for _, pressure := range []bool{false, true} {
		t.Run(fmt.Sprintf("pressure %v", pressure), func(t *testing.T) {
			told := 0
			rapid.Check(t, func(t *rapid.T) { told += runModel(t, pressure) })
			if pressure && told == 0 {
				t.Error("nothing was ever evicted")
			}
		})
	}
}

func runModel(t *rapid.T, pressure bool) (told int) {
	c := newClock()
	m := &model{items: map[string]Item{}}
	s, err := Open(Options{Memory: minMemory, Now: c.now, Evicted: m.evicted})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	flooded := 0
	live := func(k string) (Item, bool) {
		it, ok := m.items[k]
		return it, ok && (it.Exp == 0 || it.Exp > c.now())
	}
	// compare must be called with k locked.
	compare := func(tx *Tx, k string) (Item, bool) {
		got, ok := tx.Get()
		m.mu.Lock()
		defer m.mu.Unlock()
		want, should := live(k)
		if ok != should {
			t.Fatalf("%s readable: %v, want %v", k, ok, should)
		}
		if ok && (string(got.Value) != string(want.Value) || got.Flags != want.Flags || got.CAS != want.CAS || got.Exp != want.Exp || got.Bits != want.Bits) {
			t.Fatalf("%s: got %d bytes %+v, want %d bytes %+v", k, len(got.Value), got, len(want.Value), want)
		}
		return got, ok
	}
	store := func(k string, it Item) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.items[k] = it
	}
	change := func(k string, f func(*Item)) {
		m.mu.Lock()
		defer m.mu.Unlock()
		it := m.items[k]
		f(&it)
		m.items[k] = it
	}
	keys := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("k%d", rapid.IntRange(0, 9).Draw(t, "n")) })
	sizes := rapid.OneOf(rapid.IntRange(0, 50), rapid.IntRange(0, 20_000), rapid.IntRange(0, 400_000))
	exps := rapid.SampledFrom([]int64{0, 0, 500, 1000, 5000})
	exp := func(t *rapid.T) int64 {
		e := exps.Draw(t, "exp")
		if e != 0 {
			e += c.now()
		}
		return e
	}
	within := func(f func(t *rapid.T, tx *Tx, k string)) func(*rapid.T) {
		return func(t *rapid.T) {
			k := keys.Draw(t, "key")
			tx := s.Begin([]byte(k))
			defer tx.End()
			f(t, &tx, k)
		}
	}
	put := func(t *rapid.T, tx *Tx, k string, head, tail []byte) {
		it := Item{Flags: rapid.Uint32().Draw(t, "flags"), Exp: exp(t), Bits: uint8(rapid.IntRange(0, 7).Draw(t, "bits"))}
		it.Value = append(append([]byte{}, head...), tail...)
		cas, err := tx.PutParts(head, tail, it.Flags, it.Exp, it.Bits, 0)
		if err != nil {
			if err != ErrTooLarge || len(k)+len(it.Value) <= s.o.MaxItem {
				t.Fatalf("cannot put %d bytes: %v", len(it.Value), err)
			}
			m.mu.Lock()
			delete(m.items, k)
			m.mu.Unlock()
			return
		}
		it.CAS = cas
		store(k, it)
	}
	fill := byte(0)
	value := func(t *rapid.T) []byte {
		v := make([]byte, sizes.Draw(t, "size"))
		for i := range v {
			fill++
			v[i] = fill
		}
		return v
	}
	actions := map[string]func(*rapid.T){
		"get": within(func(t *rapid.T, tx *Tx, k string) {
			if _, ok := compare(tx, k); ok {
				tx.Touched()
				change(k, func(it *Item) { it.Bits |= BitFetched })
			}
		}),
		"put":     within(func(t *rapid.T, tx *Tx, k string) { put(t, tx, k, value(t), nil) }),
		"append":  within(func(t *rapid.T, tx *Tx, k string) { it, _ := compare(tx, k); put(t, tx, k, it.Value, value(t)) }),
		"prepend": within(func(t *rapid.T, tx *Tx, k string) { it, _ := compare(tx, k); put(t, tx, k, value(t), it.Value) }),
		"delete": within(func(t *rapid.T, tx *Tx, k string) {
			tx.Delete()
			m.mu.Lock()
			delete(m.items, k)
			m.mu.Unlock()
			compare(tx, k)
		}),
		"touch": within(func(t *rapid.T, tx *Tx, k string) {
			e := exp(t)
			if _, ok := compare(tx, k); ok {
				tx.SetExp(e)
				change(k, func(it *Item) { it.Exp = e })
			}
			compare(tx, k)
		}),
		"bits": within(func(t *rapid.T, tx *Tx, k string) {
			b := uint8(rapid.IntRange(0, 7).Draw(t, "bits"))
			if _, ok := compare(tx, k); ok {
				tx.SetBits(b)
				change(k, func(it *Item) { it.Bits = b })
			}
			compare(tx, k)
		}),
		"cas": within(func(t *rapid.T, tx *Tx, k string) {
			n := rapid.Uint64().Draw(t, "cas")
			if _, ok := compare(tx, k); ok {
				tx.SetCAS(n)
				change(k, func(it *Item) { it.CAS = n })
			}
			compare(tx, k)
		}),
		"rewrite": within(func(t *rapid.T, tx *Tx, k string) { it, _ := compare(tx, k); put(t, tx, k, bytes.Clone(it.Value), nil) }),
		"time": func(t *rapid.T) {
			c.advance(int64(rapid.IntRange(0, 2000).Draw(t, "ms")))
			if m.flush != 0 && m.flush <= c.now() {
				m.flush = 0
				m.forget("")
			}
		},
		"sweep": func(t *rapid.T) { s.run(s.sweep) },
		"flush": func(t *rapid.T) {
			switch rapid.IntRange(0, 15).Draw(t, "rarely") {
			case 0:
				s.FlushAll(0)
				m.flush = 0
				m.forget("")
			case 1:
				m.flush = c.now() + int64(rapid.IntRange(1, 3000).Draw(t, "delay"))
				s.FlushAll(m.flush)
			case 2:
				k := keys.Draw(t, "prefix")
				if err := s.FlushPrefix([]byte(k)); err != nil {
					t.Fatal(err)
				}
				m.forget(k)
			}
		},
		"": func(t *rapid.T) {
			for i := range 10 {
				k := fmt.Sprintf("k%d", i)
				tx := s.Begin([]byte(k))
				compare(&tx, k)
				tx.End()
			}
			if u := s.mem.used.Load(); u > minMemory {
				t.Fatalf("%d bytes", u)
			}
			if !pressure && m.told > 0 {
				t.Fatal("evicted without pressure")
			}
		},
	}
	if pressure {
		actions["others"] = func(t *rapid.T) {
			for range rapid.SampledFrom([]int{10, 3000, 9000}).Draw(t, "n") { // the last are more than memory holds
				flooded++
				tx := s.Begin(fmt.Appendf(nil, "other:%d", flooded))
				tx.Put(make([]byte, 200), 0, 0, 0, 0)
				tx.End()
			}
		}
	} else {
		sizes = rapid.IntRange(0, 5_000)
	}
	t.Repeat(actions)
	verify(t, s)
	return m.told
}
