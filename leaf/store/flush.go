// Visibility: expiry, flush_all and namespaces, decided when an item is read.

package store

import "strings"

// prefixes says which generation of each invalidated prefix is readable. Immutable.
type prefixes struct {
	from    map[string]uint32 // prefix -> items under it stored before this epoch are gone
	lengths []int             // the distinct lengths of the prefixes
}

// view is what one transaction, or one pass over a segment, may see. Taking it once at the start makes a transaction
// that meets a flush happen wholly before it.
type view struct {
	now   int64
	epoch uint32 // what is stored is marked with it
	from  uint32 // items of earlier epochs are gone
	names *prefixes
	keep  *keeper // nil: there is none
	need  Keeping // what is kept by less is gone
}

// view takes the state of now. A flush that was set for a time that has come happens here.
func (s *Store) view(now int64) view {
	if at := s.flushAt.Load(); at != 0 && now >= at {
		s.flushMu.Lock()
		if s.flushAt.Load() == at {
			s.flushLocked()
		}
		s.flushMu.Unlock()
	}
	// In this order, the reverse of the flushes': one that happens in between may hide what this transaction stores, but
	// never lets it carry on a value that was flushed, nor see one that a dropped prefix hid.
	epoch := s.epoch.Load()
	names := s.names.Load()
	return view{now: now, epoch: epoch, names: names, from: s.from.Load(), keep: s.keeper.Load(), need: KeptUnknown}
}

// gone says that an item is expired or flushed.
func (v *view) gone(b slot) bool {
	if exp := b.exp(); exp != 0 && exp <= v.now {
		return true
	}
	e := b.epoch()
	if e < v.from {
		return true
	}
	if v.keep != nil && e < v.keep.from && v.keep.f(b.key(), b.bits(), e) < v.need {
		return true
	}
	return v.names != nil && v.names.gone(b.key(), e)
}

// goneAt is gone for an item that would be stored.
func (v *view) goneAt(key []byte, exp int64, epoch uint32, bits uint8) bool {
	return exp != 0 && exp <= v.now || epoch < v.from || v.names != nil && v.names.gone(key, epoch) ||
		v.keep != nil && epoch < v.keep.from && v.keep.f(key, bits, epoch) < v.need
}

func (p *prefixes) gone(key []byte, epoch uint32) bool {
	for _, n := range p.lengths {
		if n <= len(key) && epoch < p.from[string(key[:n])] {
			return true
		}
	}
	return false
}

// FlushAll makes everything stored before `at` (Unix ms; may be in the future) unreadable once that time has come. What was
// stored before the call counts as before, also within one millisecond. A flush still to come is replaced.
func (s *Store) FlushAll(at int64) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if at > s.now() {
		s.flushAt.Store(at)
		return
	}
	s.flushLocked()
}

func (s *Store) flushLocked() {
	s.flushAt.Store(0)
	epoch := s.epoch.Load() + 1
	s.from.Store(epoch)
	s.epoch.Store(epoch)
	s.names.Store(nil) // what they hid is hidden by from
	s.warms.Store(false)
	s.sweepAll.Store(true)
}

// FlushPrefix makes every item whose key begins with prefix unreadable at once, without touching any. The note of it is
// dropped when the sweeper has removed the last such item, within some seconds. Of notes there are at most maxPrefixes, because
// every read looks at them: with so many a flush removes the items before it returns, one after the other (flushwalk.go).
// ErrPrefixes: that cannot be done now.
func (s *Store) FlushPrefix(prefix []byte) error {
	if s.notePrefix(prefix) {
		return nil
	}
	return s.walkPrefix(prefix)
}

// notePrefix is false if there is no room for the note.
func (s *Store) notePrefix(prefix []byte) bool {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if len(prefix) == 0 {
		s.flushLocked()
		return true
	}
	epoch := s.epoch.Load() + 1
	from := map[string]uint32{string(prefix): epoch}
	if old := s.names.Load(); old != nil {
		for p, e := range old.from {
			if !strings.HasPrefix(p, string(prefix)) { // what that hides, the new one hides, too
				from[p] = e
			}
		}
	}
	if len(from) > maxPrefixes {
		return false
	}
	s.names.Store(newPrefixes(from))
	s.epoch.Store(epoch)
	s.warms.Store(false)
	s.sweepAll.Store(true)
	return true
}

func newPrefixes(from map[string]uint32) *prefixes {
	if len(from) == 0 {
		return nil
	}
	p := &prefixes{from: from}
	seen := map[int]bool{}
	for k := range from {
		if !seen[len(k)] {
			seen[len(k)] = true
			p.lengths = append(p.lengths, len(k))
		}
	}
	return p
}

// forgetPrefixes drops the notes made up to epoch: no item that they hide is left.
func (s *Store) forgetPrefixes(epoch uint32) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	old := s.names.Load()
	if old == nil || epoch > s.epoch.Load() || s.recovering.Load() { // renumbered meanwhile; items may come that they hide
		return
	}
	from := map[string]uint32{}
	for p, e := range old.from {
		if e > epoch {
			from[p] = e
		}
	}
	s.names.Store(newPrefixes(from))
}
