// The first, simple store: exact maps in shards; it is replaced by the real one behind the same names.

package store

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTooLarge says that key and value exceed the item limit.
var ErrTooLarge = errors.New("cannot store item: too large")

type entry struct {
	value       []byte
	flags       uint32
	cas         uint64
	exp, access int64
	stored      int64
	bits        uint8
}

type shard struct {
	mu    sync.Mutex
	items map[string]*entry
}

// Store holds items. Safe for concurrent use.
type Store struct {
	o      Options
	seed   maphash.Seed
	cas    atomic.Uint64
	flush  atomic.Int64
	shards [64]shard
}

// Open makes a store.
func Open(o Options) (*Store, error) {
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	if o.MaxItem == 0 {
		o.MaxItem = 1 << 20
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	s := &Store{o: o, seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].items = map[string]*entry{}
	}
	return s, nil
}

// Close ends the store's goroutines; the store must not be used afterwards.
func (s *Store) Close() {}

// Stats are the store's counters.
type Stats struct {
	Items, Bytes, Limit      int64
	TotalItems, Evictions    int64
	Rejected, Expired        int64
	WindowItems, WindowBytes int64
}

// Stats gives the counters of now.
func (s *Store) Stats() Stats {
	st := Stats{Limit: s.o.Memory}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for k, e := range sh.items {
			st.Items++
			st.Bytes += int64(len(k) + len(e.value) + 48)
		}
		sh.mu.Unlock()
	}
	return st
}

// Tx is a key's lock held.
type Tx struct {
	s   *Store
	sh  *shard
	key []byte
}

// Begin locks key's shard.
func (s *Store) Begin(key []byte) Tx {
	sh := &s.shards[maphash.Bytes(s.seed, key)%64]
	sh.mu.Lock()
	return Tx{s, sh, key}
}

func (t *Tx) find() *entry {
	e := t.sh.items[string(t.key)]
	if e == nil {
		return nil
	}
	now := t.s.o.Now()
	if f := t.s.flush.Load(); (e.exp != 0 && e.exp <= now) || (f != 0 && f <= now && e.stored < f) {
		delete(t.sh.items, string(t.key))
		return nil
	}
	return e
}

// Get gives the item if it is there, unexpired and not flushed. It does not count as an access.
func (t *Tx) Get() (Item, bool) {
	e := t.find()
	if e == nil {
		return Item{}, false
	}
	return Item{Key: t.key, Value: e.value, Flags: e.flags, CAS: e.cas, Exp: e.exp, Access: e.access, Bits: e.bits}, true
}

// Touched notes a read access.
func (t *Tx) Touched() {
	if e := t.find(); e != nil {
		e.access = t.s.o.Now()
		e.bits |= BitFetched
	}
}

// Put stores a copy of value.
func (t *Tx) Put(value []byte, flags uint32, exp int64, bits uint8, cas uint64) (uint64, error) {
	return t.PutParts(value, nil, flags, exp, bits, cas)
}

// PutParts is Put with the value in two pieces.
func (t *Tx) PutParts(a, b []byte, flags uint32, exp int64, bits uint8, cas uint64) (uint64, error) {
	if len(t.key)+len(a)+len(b) > t.s.o.MaxItem {
		t.Delete()
		return 0, ErrTooLarge
	}
	if cas == 0 {
		cas = t.s.NextCAS()
	}
	v := append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
	now := t.s.o.Now()
	t.sh.items[string(t.key)] = &entry{value: v, flags: flags, cas: cas, exp: exp, access: now, stored: now, bits: bits}
	return cas, nil
}

// SetExp changes when the item expires.
func (t *Tx) SetExp(exp int64) {
	if e := t.find(); e != nil {
		e.exp = exp
	}
}

// SetBits changes the item's bits.
func (t *Tx) SetBits(bits uint8) {
	if e := t.find(); e != nil {
		e.bits = bits
	}
}

// SetCAS changes the item's CAS.
func (t *Tx) SetCAS(cas uint64) {
	if e := t.find(); e != nil {
		e.cas = cas
	}
}

// Delete removes the item.
func (t *Tx) Delete() { delete(t.sh.items, string(t.key)) }

// End unlocks.
func (t *Tx) End() { t.sh.mu.Unlock() }

// FlushAll makes everything stored before `at` unreadable once that time has come.
func (s *Store) FlushAll(at int64) { s.flush.Store(at) }

// NextCAS gives a fresh CAS number.
func (s *Store) NextCAS() uint64 { return s.cas.Add(1) }
