// Recovery: taking a neighbour's items into a store that serves already, without undoing what clients did meanwhile.

package store

import (
	"bytes"
	"errors"
	"sync/atomic"
)

// Taken says what became of an item that Recovery.Put was given.
type Taken uint8

const (
	TakenStored Taken = iota // it is readable now
	TakenKept                // the key was written meanwhile, or is here from another source: what is here stays
	TakenSame                // it was written here early, and is the same: verified
	TakenGone                // it has expired, or a flush since Settling covers it
	TakenFull                // memory is full: nothing more will be taken
	TakenLarge               // above the item limit
	TakenOver                // the recovery is not Settled, has ended, or the store is closed
)

// ErrRecovering says that a recovery is under way already.
var ErrRecovering = errors.New("cannot begin recovery: one is under way")

// MaxSources is how many neighbours one recovery may have.
const MaxSources = 64

// Recovery is the time in which a store takes items that others, its sources, hold. Safe for concurrent use, but for
// Settling and Settled, which come in this order, before any Put, from one goroutine.
//
// A source holds the same keys as this store: clients write to both. They do so from a moment on that the caller knows:
//
//	Recover ... some write to the sources only ... Settling ... the last such writes end ... Settled ... Put ... Confirm ... End
//
// At Settling every client writes here; what one of them had under way then, here or at a source, has ended at Settled;
// what the sources give was read there after Settled. All that follows rests on this.
//
// What is taken counts as stored at Settling, whenever it comes. It is not taken for a key that any client has written since,
// or tried to (Tx.Claim), even when nothing is left of that write: it was a delete, the item has expired or was evicted, or
// the write missed the item that had not come yet. And a flush since then covers it.
//
// What clients wrote here before Settled is early: another may have written over it, or deleted it, at the sources only. It is
// served, and compared when a source gives its key. If it is the same it stays; if not it goes, and the source's takes its
// place unless the key was claimed since Settling (then the source's may be the older). What no source has goes in DropEarly.
//
// Between two sources the first to deliver a key wins: their CAS numbers count from the moments at which each was started and
// say nothing about which value is newer.
//
// Claimed keys are kept in a filter of 1/64 of the limit: a false positive, about one in a thousand when as many
// keys were written as memory holds items, costs an item that is not taken.
type Recovery struct {
	s       *Store
	sources uint32
	first   uint32        // set at Settling: the epoch of the first source's items; then the others', then that of confirmed ones
	settled atomic.Uint32 // set at Settled: clients' items of lesser epochs are early; 0 before
	floor   int64         // bytes that stay free
	filter  int64         // bytes of all shards' filters
}

// Recover begins a recovery from so many sources; clients should not have written yet. End must be called.
func (s *Store) Recover(sources int) (*Recovery, error) {
	if sources < 1 || sources > MaxSources {
		return nil, errors.New("cannot begin recovery: want 1 to 64 sources")
	}
	if !s.recovering.CompareAndSwap(false, true) {
		return nil, ErrRecovering
	}
	words, size := s.filterSize()
	r := &Recovery{s: s, sources: uint32(sources), floor: 2 * s.reserve, filter: size}
	if !s.mem.take(r.filter) {
		s.recovering.Store(false)
		return nil, ErrNoMemory
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.recovery, sh.claimed = r, make(filter, words)
		sh.mu.Unlock()
	}
	return r, nil
}

// Settling says that from now on whatever clients write to a source they write here, too.
func (r *Recovery) Settling() {
	s := r.s
	s.flushMu.Lock()
	r.first = s.epoch.Load() + 1
	s.epoch.Store(r.first + r.sources + 1) // what clients store from here on is told apart by it
	s.flushMu.Unlock()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		clear(sh.claimed)
		sh.mu.Unlock()
	}
}

// Settled says that what clients had under way at Settling has ended, here and at the sources.
func (r *Recovery) Settled() {
	r.s.flushMu.Lock()
	defer r.s.flushMu.Unlock()
	epoch := r.s.epoch.Load() + 1
	r.s.epoch.Store(epoch)
	r.settled.Store(epoch)
}

// early says of an item's epoch that a client stored it before Settled.
func (r *Recovery) early(epoch uint32) bool {
	return epoch < r.first || epoch > r.first+r.sources && epoch < r.settled.Load()
}

// End ends the recovery; what was taken stays. It may be called more than once.
func (r *Recovery) End() {
	s := r.s
	ended := false
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if sh.recovery == r {
			sh.recovery, sh.claimed, ended = nil, nil, true
		}
		sh.mu.Unlock()
	}
	if ended {
		s.mem.give(r.filter)
		s.recovering.Store(false)
		s.sweepAll.Store(true) // so that notes of prefixes that were kept for the recovery go
	}
}

// Put takes one item of a source, counted from 0: its key, value, flags, CAS (0: a fresh one), expiry and bits, and how hot
// it was (see Listed). What it takes is copied.
func (r *Recovery) Put(source int, it *Item, heat int) Taken {
	s := r.s
	if len(it.Key) > maxKey || len(it.Key)+len(it.Value) > s.o.MaxItem {
		return TakenLarge
	}
	tx := s.Begin(it.Key)
	defer tx.End()
	sh := tx.sh
	if at := r.settled.Load(); sh.recovery != r || sh.closed || at == 0 || tx.view.epoch < at {
		return TakenOver
	}
	claimed := sh.claimed.has(s.hash(it.Key))
	if tx.locate(); tx.g != nil {
		if b := tx.g.at(tx.off); !r.early(b.epoch()) {
			return TakenKept // also if it can no longer be read: it went by a flush or its time, and this one is as old
		} else if r.same(&tx, b, it, claimed) {
			return TakenSame
		}
		tx.drop()
	}
	if claimed {
		return TakenKept
	}
	f := fields{
		cas: it.CAS, exp: it.Exp, flags: it.Flags, access: s.ticks(it.Access), epoch: r.first + uint32(source),
		bits: it.Bits, heat: min(max(heat, 0), maxHeat),
	}
	if tx.view.goneAt(it.Key, f.exp, f.epoch, f.bits) {
		return TakenGone
	}
	if !r.roomFor(&tx, itemSize(len(it.Key), len(it.Value))) {
		return TakenFull
	}
	if f.cas == 0 {
		f.cas = s.NextCAS()
	} else {
		s.passCAS(f.cas)
	}
	if err := tx.store(f, it.Value, nil); err != nil {
		return TakenFull
	}
	tx.wrote = true
	return TakenStored
}

// roomFor says whether memory has room for so many bytes. Where much of it is dead, left over by clients' writes, there is:
// the demoter leaves that until it is needed, which is here.
func (r *Recovery) roomFor(tx *Tx, size int) bool {
	for r.s.mem.left()-int64(size) < r.floor {
		if !tx.sh.makeRoomOfHoles() {
			return false
		}
		tx.known = false // it may have moved
	}
	return true
}

// same says that the early item b is what a source holds, and makes it an item like those that clients store now.
func (r *Recovery) same(tx *Tx, b slot, it *Item, claimed bool) bool {
	if tx.view.gone(b) || b.flags() != it.Flags || !bytes.Equal(b.value(), it.Value) {
		return false
	}
	b.setEpoch(tx.view.epoch)
	if !claimed { // else it may have been touched here, and there not yet
		b.setExp(it.Exp)
		tx.g.noteExp(b.exp())
	}
	return true
}

// slack is by how many ms an expiry may seem to differ at a source, whose remaining times travelled.
const slack = 1000

// Confirm says that a source still holds this key with this CAS and expiry. What was taken from it for the key in another
// state goes: it is true that it did, and another Put would bring what took its place. Another expiry is taken over.
func (r *Recovery) Confirm(source int, key []byte, cas uint64, exp int64) (changed bool) {
	tx := r.s.Begin(key)
	defer tx.End()
	b := tx.item()
	switch {
	case b == nil || b.epoch() != r.first+uint32(source) || tx.sh.recovery != r:
		return false
	case b.cas() != cas:
		tx.drop()
		return true
	}
	b.setEpoch(r.first + r.sources)
	if d := b.exp() - clampExp(exp); (d > slack || d < -slack) && !tx.sh.claimed.has(r.s.hash(key)) {
		b.setExp(exp)
		tx.g.noteExp(b.exp())
	}
	return false
}

// DropUnconfirmed removes what was taken from a source and was neither confirmed nor overwritten since, and gives the number.
func (r *Recovery) DropUnconfirmed(source int) int {
	return r.dropWhere(func(epoch uint32) bool { return epoch == r.first+uint32(source) })
}

// DropEarly removes what clients wrote before Settled and no source has confirmed by giving the same, and gives the number.
func (r *Recovery) DropEarly() int { return r.dropWhere(r.early) }

func (r *Recovery) dropWhere(of func(epoch uint32) bool) (n int) {
	for i := range r.s.shards {
		for from, more := uint64(0), true; more; {
			var dropped int
			from, dropped, more = r.dropFrom(&r.s.shards[i], of, from)
			n += dropped
		}
	}
	return n
}

// dropFrom removes the items of some epochs from the tag on, as many as may be looked at under a lock.
func (r *Recovery) dropFrom(sh *shard, of func(epoch uint32) bool, from uint64) (next uint64, n int, more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed || sh.recovery != r {
		return 0, 0, false
	}
	return sh.dropSome(from, func(b slot) bool { return of(b.epoch()) })
}
