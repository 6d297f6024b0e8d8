// Flushing a prefix by removing its items, when there are as many notes of prefixes as there may be.

package store

import (
	"bytes"
	"errors"
)

// maxPrefixes is how many prefixes are noted at a time. A read looks one up for each of their different lengths.
const maxPrefixes = 256

// ErrPrefixes says that a recovery is under way, which may bring items under the prefix that only a note could hide.
var ErrPrefixes = errors.New("cannot flush prefix: too many were flushed since the recovery began")

// walkPrefix removes the items under a prefix that were stored before now. Each is unreadable from some moment before the return.
func (s *Store) walkPrefix(prefix []byte) error {
	for {
		s.flushMu.Lock()
		if s.recovering.Load() {
			s.flushMu.Unlock()
			return ErrPrefixes
		}
		epoch := s.epoch.Load() + 1 // what is stored from here on stays
		s.epoch.Store(epoch)
		s.flushMu.Unlock()
		if s.walkBefore(prefix, epoch) && !s.recovering.Load() {
			return nil
		}
	}
}

// walkBefore removes the items under a prefix of earlier epochs; false if epochs began again meanwhile, so that it cannot tell.
func (s *Store) walkBefore(prefix []byte, epoch uint32) bool {
	for i := range s.shards {
		for from, more := uint64(0), true; more; {
			var ok bool
			if from, more, ok = s.shards[i].dropPrefix(prefix, epoch, from); !ok {
				return false
			}
		}
	}
	return true
}

// dropPrefix removes items from the tag on, as many as may be looked at under a lock.
func (sh *shard) dropPrefix(prefix []byte, epoch uint32, from uint64) (next uint64, more, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return 0, false, true
	}
	if sh.s.epoch.Load() < epoch { // renumber holds all shards' locks
		return 0, false, false
	}
	next, _, more = sh.dropSome(from, func(b slot) bool { return b.epoch() < epoch && bytes.HasPrefix(b.key(), prefix) })
	return next, more, true
}

// dropSome removes the items that go, from the tag on, as many as may be looked at under a lock, which its caller holds. more: next is the
// tag to go on with.
func (sh *shard) dropSome(from uint64, goes func(slot) bool) (next uint64, n int, more bool) {
	tag, seen := uint32(from), 0
	for i := sh.index.first(tag); i < len(sh.index.table); {
		e := sh.index.table[i]
		if e == 0 {
			i++
			continue
		}
		if seen++; tagOf(e) != tag && seen > scanEntries {
			return uint64(tagOf(e)), n, true
		}
		tag = tagOf(e)
		g, off := sh.deref(uint32(e))
		if !goes(g.at(off)) {
			i++
			continue
		}
		sh.index.remove(i) // the next may move to i
		sh.unlink(g, off)
		n++
	}
	return 0, n, false
}
