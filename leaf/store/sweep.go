// Sweeping: removing expired and flushed items that nobody asks for.

package store

// sweepEvery is how long, in ms, a segment that was swept is left alone: of items with many different times of expiry,
// some expire every moment.
const sweepEvery = 30_000

// sweep looks at every segment that holds something expired, after a flush at every segment. It is the demoter's, and lets
// its other work go first.
func (s *Store) sweep() {
	if s.epoch.Load() > maxEpoch/2 {
		s.renumber()
	}
	// In this order: what is forgotten below was seen by the view.
	all := s.sweepAll.Swap(false)
	epoch := s.epoch.Load()
	v := s.view(s.now())
	for i := range s.shards {
		sh := &s.shards[i]
		for slot := 1; sh.sweepSlot(slot, v, all); slot++ {
			select {
			case <-s.stop:
				return
			case <-s.wake:
				s.settle()
			default:
			}
		}
		sh.shrinkIndex()
	}
	if all {
		s.forgetPrefixes(epoch)
	}
}

// renumber begins again with epoch 0, long before the header's 28 bits are used up: it removes what is flushed and marks the
// rest. It is the only thing that stops every shard at once: a moment in a hundred million flushes.
func (s *Store) renumber() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
	}
	s.flushMu.Lock() // after the shards' locks, as Begin takes it
	defer s.flushMu.Unlock()
	if s.recovering.Load() {
		return // by the epochs of what was taken its sources are told apart
	}
	v := view{now: s.now(), epoch: 0, names: s.names.Load(), from: s.from.Load(), keep: s.keeper.Load(), need: KeptOwned}
	for i := range s.shards {
		for _, g := range s.shards[i].segs {
			if g != nil {
				s.shards[i].sweepSegment(g, v, true)
			}
		}
	}
	s.epoch.Store(0)
	s.from.Store(0)
	s.names.Store(nil)
	s.keeper.Store(nil) // what is left is owned
}

// shrinkIndex gives memory back when most items are gone.
func (sh *shard) shrinkIndex() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if homes := int(sh.index.homes); homes > indexMin && sh.index.count < homes*3/10 {
		sh.resizeIndex(max(indexMin, sh.index.count*3/2))
	}
}

// sweepSlot sweeps one segment, if it may hold anything to sweep; false when there are no more slots.
func (sh *shard) sweepSlot(i int, v view, all bool) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if i >= len(sh.segs) || sh.closed {
		return false
	}
	g := sh.segs[i]
	if g == nil || !all && (g.minExp == 0 || g.minExp > v.now || g.swept != 0 && v.now-g.swept < sweepEvery) {
		return true
	}
	sh.sweepSegment(g, v, false)
	return true
}

// sweepSegment removes g's expired and flushed items, and marks the others with the view's epoch if they are to be renumbered.
func (sh *shard) sweepSegment(g *segment, v view, renumber bool) {
	g.swept, g.minExp = v.now, 0
	for off := 0; off < g.used && g.state != dead; {
		b := g.at(off)
		size := b.size()
		if place := sh.index.place(tagOfHash(sh.s.hash(b.key())), sh.ref(g, off)); place >= 0 {
			if v.gone(b) {
				sh.index.remove(place)
				sh.n.expired++
				sh.unlink(g, off)
			} else {
				g.noteExp(b.exp())
				if renumber {
					b.setEpoch(v.epoch)
				} else if v.keep != nil {
					v.confirm(sh.s, b)
				}
			}
		}
		off += size
	}
}
