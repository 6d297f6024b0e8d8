// Recovery against a model: a neighbour, clients that disagree on who is there, writes that are half done, a late stream.

package store

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever happens in whatever order, what the recovering store gives in the end is what the neighbour gives, or nothing; and
// from the time on that it is settled, what it took is never older than what a client was told.
func TestRecoveryAgainstNeighbour(t *testing.T) {
	recovered, same := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := newRecoveryModel(t)
		defer m.close()
		m.run(t)
		recovered += m.taken[TakenStored]
		same += m.taken[TakenSame]
	})
	if recovered == 0 || same == 0 {
		t.Errorf("%d recovered, %d verified: nothing was shown", recovered, same)
	}
}

// half is what is left to do of a write, at one store.
type half struct {
	key   string
	at    *Store
	do    func(*Store)
	phase int // in which the write began
}

type recoveryModel struct {
	c        *clock
	from, s  *Store
	r        *Recovery
	phase    int // 0: clients disagree; 1: all know of s; 2: settled
	n        int
	exp      int64
	under    [][]half // writes under way, each with what is left of it; one at most for a key
	flushing bool     // and nothing else under way
	onTheWay []Item
	taken    [TakenOver + 1]int
}

func newRecoveryModel(t *rapid.T) *recoveryModel {
	m := &recoveryModel{c: newClock()}
	m.from = m.open(t, 1)
	for i := range 10 {
		put(m.from, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "first %d", i))
	}
	m.c.advance(10)
	m.s = m.open(t, 2)
	r, err := m.s.Recover(1)
	if err != nil {
		t.Fatal(err)
	}
	m.r = r
	return m
}

func (m *recoveryModel) open(t *rapid.T, space uint8) *Store {
	s, err := Open(Options{Memory: minMemory, Now: m.c.now, CASSpace: space})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (m *recoveryModel) close() {
	m.r.End()
	m.s.Close()
	m.from.Close()
}

// begin begins a write to both, or to the neighbour only while some client may do that. A write that cannot be repeated goes to
// both in one step: routes never send such a one to every replica.
func (m *recoveryModel) begin(whole bool, f func(s *Store, k string, n int)) func(*rapid.T) {
	return func(t *rapid.T) {
		if m.flushing = m.flushing && len(m.under) > 0; m.flushing {
			return
		}
		k := fmt.Sprintf("k%d", rapid.IntRange(0, 9).Draw(t, "key"))
		for _, u := range m.under {
			if u[0].key == k {
				return
			}
		}
		m.n++
		n := m.n
		do := func(s *Store) { f(s, k, n) }
		halves := []half{{k, m.from, do, m.phase}, {k, m.s, do, m.phase}}
		if m.phase == 0 && rapid.Bool().Draw(t, "unaware") {
			halves = halves[:1]
		} else if rapid.Bool().Draw(t, "other first") {
			slices.Reverse(halves)
		}
		m.under = append(m.under, halves)
		if whole {
			m.finish(len(m.under) - 1)
		}
	}
}

func (m *recoveryModel) step(i int) {
	h := m.under[i][0]
	h.do(h.at)
	if m.under[i] = m.under[i][1:]; len(m.under[i]) == 0 {
		m.under = slices.Delete(m.under, i, i+1)
	}
}

func (m *recoveryModel) finish(i int) {
	for range len(m.under[i]) {
		m.step(i)
	}
}

func (m *recoveryModel) stepAny(t *rapid.T) {
	if len(m.under) > 0 {
		m.step(rapid.IntRange(0, len(m.under)-1).Draw(t, "which"))
	}
}

// goOn goes to the next phase. What was under way at Settling has ended at Settled.
func (m *recoveryModel) goOn(*rapid.T) {
	switch m.phase {
	case 0:
		m.r.Settling()
	case 1:
		for i := len(m.under) - 1; i >= 0; i-- {
			if m.under[i][0].phase == 0 {
				m.finish(i)
			}
		}
		m.r.Settled()
	default:
		return
	}
	m.phase++
}

func (m *recoveryModel) arrive(t *rapid.T) {
	if len(m.onTheWay) == 0 {
		return
	}
	it := m.onTheWay[rapid.IntRange(0, len(m.onTheWay)-1).Draw(t, "item")]
	m.taken[m.r.Put(0, &it, 0)]++
}

func (m *recoveryModel) scan(*rapid.T) {
	if m.phase == 2 {
		m.onTheWay = append(m.onTheWay, snapshot(m.from)...)
	}
}

func (m *recoveryModel) set(s *Store, k string, n int, exp int64) {
	tx := do(s, k)
	defer tx.End()
	if _, err := tx.Put(fmt.Appendf(nil, "value %d of %s", n, k), uint32(n), exp, 0, 0); err != nil {
		panic(err)
	}
}

func (m *recoveryModel) append(s *Store, k string, n int) {
	tx := do(s, k)
	defer tx.End()
	tx.Claim()
	it, ok := tx.Get()
	if !ok {
		return
	}
	if _, err := tx.PutParts(it.Value, fmt.Appendf(nil, "+%d", n), it.Flags, it.Exp, it.Bits, 0); err != nil {
		panic(err)
	}
}

func (m *recoveryModel) run(t *rapid.T) {
	later := func(t *rapid.T) { m.exp = m.c.now() + int64(rapid.IntRange(1, 5000).Draw(t, "ms")) }
	t.Repeat(map[string]func(*rapid.T){
		"set": m.begin(false, func(s *Store, k string, n int) { m.set(s, k, n, 0) }),
		"set, expires": func(t *rapid.T) {
			later(t)
			exp := m.exp
			m.begin(true, func(s *Store, k string, n int) { m.set(s, k, n, exp) })(t)
		},
		"delete": m.begin(false, func(s *Store, k string, _ int) { tx := do(s, k); tx.Claim(); tx.Delete(); tx.End() }),
		"append": m.begin(true, m.append),
		"touch": func(t *rapid.T) {
			later(t)
			exp := m.exp
			m.begin(true, func(s *Store, k string, _ int) { tx := do(s, k); tx.Claim(); tx.SetExp(exp); tx.End() })(t)
		},
		"flush": m.begin(false, func(s *Store, k string, _ int) { s.FlushPrefix([]byte(k)) }),
		"flush all": func(t *rapid.T) {
			if len(m.under) == 0 { // else those would be before it at one and after it at the other
				m.begin(rapid.Bool().Draw(t, "whole"), func(s *Store, _ string, _ int) { s.FlushAll(0) })(t)
				m.flushing = true
			}
		},
		"write on":  m.stepAny,
		"write on ": m.stepAny,
		"next":      m.goOn,
		"time":      func(t *rapid.T) { m.c.advance(int64(rapid.IntRange(0, 50).Draw(t, "ms"))) },
		"sweep":     func(*rapid.T) { m.s.run(m.s.sweep) },
		"scan":      m.scan,
		"arrive":    m.arrive,
		"arrive ":   m.arrive,
		"":          m.check,
	})
	for m.phase < 2 {
		m.goOn(t)
	}
	for _, it := range snapshot(m.from) {
		m.taken[m.r.Put(0, &it, 0)]++
	}
	for _, it := range snapshot(m.from) {
		m.r.Confirm(0, it.Key, it.CAS, it.Exp)
	}
	m.r.DropUnconfirmed(0)
	m.r.DropEarly()
	for len(m.under) > 0 {
		m.finish(0)
	}
	m.compare(t, func(*Item) bool { return true })
	verify(t, m.s)
}

// check looks at what was taken and at what was written here since it is settled, but for keys that are being written.
func (m *recoveryModel) check(t *rapid.T) {
	if m.phase < 2 {
		return
	}
	m.compare(t, func(it *Item) bool {
		if m.flushing && len(m.under) > 0 {
			return false
		}
		for _, u := range m.under {
			if u[0].key == string(it.Key) {
				return false
			}
		}
		tx := do(m.s, string(it.Key))
		defer tx.End()
		b := tx.item()
		return b != nil && !m.r.early(b.epoch())
	})
}

// compare compares the items here, those that matter, with the neighbour's.
func (m *recoveryModel) compare(t *rapid.T, matters func(*Item) bool) {
	want := map[string]Item{}
	for _, it := range snapshot(m.from) {
		want[string(it.Key)] = it
	}
	for _, it := range snapshot(m.s) {
		if !matters(&it) {
			continue
		}
		w, ok := want[string(it.Key)]
		if !ok {
			t.Fatalf("%s is %q, and gone at the neighbour", it.Key, it.Value)
		}
		if string(it.Value) != string(w.Value) || it.Flags != w.Flags || it.Exp != w.Exp {
			t.Fatalf("%s is %q flags %d exp %d, at the neighbour %q flags %d exp %d", it.Key, it.Value, it.Flags, it.Exp, w.Value, w.Flags, w.Exp)
		}
	}
}
