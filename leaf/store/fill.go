// Fills: what the previous owners of keys hold, taken for keys that nobody has written here.

package store

// Warm begins to note the keys that clients write, or try to: from here on what another store held under a key may be filled in as long
// as the key is not noted. The note is kept as a recovery keeps its own: with false positives, about one in a thousand when as many keys
// were written as memory holds items, each of which costs a fill. Where memory is full, items go for it as they go for a writer; ErrNoMemory says that
// none could, as with NoEvict. Warm within Warm goes on, and began is false; a flush ends it.
func (s *Store) Warm() (began bool, err error) {
	if s.warms.Load() {
		return false, nil
	}
	s.Warmed()          // if a flush has ended it, there is still the filter
	s.warmth.Add(1)     // while no shard takes a fill
	s.warms.Store(true) // from here on a flush ends it: making room takes time
	words, _ := s.filterSize()
	for i := range s.shards {
		if err := s.shards[i].beginWarm(words); err != nil {
			s.Warmed()
			return false, err
		}
	}
	return true, nil
}

// beginWarm makes the shard's filter. Memory for it is taken as it gets free, for there are writers who would have it.
func (sh *shard) beginWarm(words int) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return ErrClosed
	}
	mem := sh.s.mem
	for need := filterBytes(words); need > 0; {
		switch n := min(need, int64(mem.segSize)); {
		case mem.take(n):
			need -= n
		case !sh.makeRoom():
			mem.give(filterBytes(words) - need)
			return ErrNoMemory
		}
	}
	sh.warm = make(filter, words)
	return nil
}

// Warmth tells one Warm from another, and one age (see Divide).
func (s *Store) Warmth() uint32 { return s.warmth.Load() }

// Warmed ends it. Warm and Warmed must not be called at the same time.
func (s *Store) Warmed() {
	s.warms.Store(false)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.mem.give(filterBytes(len(sh.warm)))
		sh.warm = nil
		sh.mu.Unlock()
	}
}

// filterSize is how large a filter of claimed keys is: in words for each shard, and in bytes for all.
func (s *Store) filterSize() (words int, bytes int64) {
	words = max(blockWords, int(s.o.Memory/64/8)/len(s.shards)/blockWords*blockWords)
	return words, filterBytes(words) * int64(len(s.shards))
}

// filterBytes is what a filter of so many words takes.
func filterBytes(words int) int64 { return int64(words) * 8 }

// Elsewhere reports whether another store may hold what is not here: there is no item, and the key was not noted since Warm.
func (t *Tx) Elsewhere() bool {
	return t.sh.warm != nil && t.sh.s.warms.Load() && t.item() == nil && !t.sh.warm.has(t.sh.s.hash(t.key))
}

// Nothing notes that there is nothing elsewhere, if nothing is known yet, and reports that.
func (t *Tx) Nothing() bool {
	if !t.Elsewhere() {
		return false
	}
	t.claim()
	return true
}

// Fill stores what another store held under the key, with its CAS, bits and heat, and reports what became of it.
// warmth is what Warmth gave when the item was read elsewhere, or before; 0: there was no other Warm, and no other age, since.
func (t *Tx) Fill(it *Item, heat int, warmth uint32) Taken {
	s := t.sh.s
	switch {
	case warmth != 0 && warmth != s.warmth.Load():
		return TakenOver
	case len(it.Key) > maxKey || len(it.Key)+len(it.Value) > s.o.MaxItem:
		return TakenLarge
	case t.sh.warm == nil || t.sh.closed || !s.warms.Load():
		return TakenOver
	case !t.Elsewhere():
		return TakenKept
	}
	f := fields{
		cas: it.CAS, exp: it.Exp, flags: it.Flags, access: s.ticks(it.Access), epoch: t.view.epoch,
		bits: it.Bits, heat: min(max(heat, 0), maxHeat),
	}
	if t.view.goneAt(it.Key, f.exp, f.epoch, f.bits) {
		return TakenGone
	}
	if f.cas == 0 {
		f.cas = s.NextCAS()
	} else {
		s.passCAS(f.cas)
	}
	if err := t.store(f, it.Value, nil); err != nil {
		return TakenFull
	}
	t.wrote = true
	return TakenStored
}
