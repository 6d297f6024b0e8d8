// Ages: what was stored before the owners of keys changed, and what of that still counts.

package store

// Keeping says for what an item of an earlier age is kept.
type Keeping uint8

// From less to more. What is KeptOwned is read and written like all else.
const (
	KeptNot     Keeping = iota // it goes
	KeptUnknown                // it stays, and nobody gets it: that may change
	KeptPast                   // this store's keys no longer; BeginPast and Listing.Past find it
	KeptOwned                  // this store's, now as then
)

// Keeper judges an item by its key, its bits and the number that Divide gave for its age; 0: before the first Divide. It is called with
// the item's shard locked, whenever such an item is looked at, so it must be fast and must not call the store.
type Keeper func(key []byte, bits uint8, age uint32) Keeping

type keeper struct {
	from uint32 // it judges what was stored before
	f    Keeper
}

// Divide begins an age: what is stored from here on is told apart from all before by being of the age whose number newKeeper is given,
// or a greater one. The Keeper that it makes judges all items of earlier ages from now on. One that is KeptOwned when it is looked at joins the
// present age, so that each is judged once, by a sweep at the latest. A number that is not greater than the one before says that all
// items have been numbered anew, and those that were not owned are gone.
func (s *Store) Divide(newKeeper func(age uint32) Keeper) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	epoch := s.epoch.Load() + 1
	s.keeper.Store(&keeper{epoch, newKeeper(epoch)}) // before the epoch: see view
	s.warmth.Add(1)                                  // also before: what is read elsewhere for an age is not of the next
	s.epoch.Store(epoch)
	s.sweepAll.Store(true)
}

// Rejudge replaces the Keeper by one that knows more, or knows that less is kept.
func (s *Store) Rejudge(f Keeper) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if k := s.keeper.Load(); k != nil {
		s.keeper.Store(&keeper{k.from, f})
		s.sweepAll.Store(true)
	}
}

// keeping says for what an item is kept.
func (v *view) keeping(b slot) Keeping {
	if v.keep == nil || b.epoch() >= v.keep.from {
		return KeptOwned
	}
	return v.keep.f(b.key(), b.bits(), b.epoch())
}

// confirm makes an item that is owned one of the present age. A recovery tells its sources apart by the ages that they were given.
func (v *view) confirm(s *Store, b slot) {
	if b.epoch() < v.keep.from && v.epoch >= v.keep.from && !s.recovering.Load() && v.keeping(b) == KeptOwned {
		b.setEpoch(v.epoch)
	}
}

// BeginPast is Begin for who asks what this store held under a key that it may have lost to another owner: only such an item is found.
func (s *Store) BeginPast(key []byte) Tx {
	t := s.Begin(key)
	t.view.need = KeptPast
	return t
}

// Age is the number of the age that the present item was stored in; 0 without one.
func (t *Tx) Age() uint32 {
	if b := t.item(); b != nil {
		return b.epoch()
	}
	return 0
}

// Past reports whether the present item is kept for another owner.
func (t *Tx) Past() bool {
	b := t.item()
	return b != nil && t.view.keeping(b) == KeptPast
}
