// Reclaiming: taking the worthwhile items out of a full segment and freeing it.

package store

import (
	"runtime"
	"time"
)

// why says what a segment is reclaimed for.
type why uint8

const (
	evicting   why = iota // ristretto's victim, or a writer needs room at once: only items that were read stay
	rejecting             // the same, for a segment that ristretto refused
	compacting            // much of it is dead: all live items stay
)

// reclaim frees g, which is full and not pinned; the shard is locked. Items that stay are copied to the shard's survivor
// segment; when that is full, g's own buffer becomes the next one, the items sliding to its front: so reclaiming never
// needs memory. Evicting keeps at most s.keep bytes, the most read first; a segment with more that was read stays whole,
// but never two in a row, so that reclaiming gains.
func (sh *shard) reclaim(g *segment, w why) {
	s := sh.s
	v := s.view(s.now())
	if g.large {
		sh.reclaimLarge(g, w, v)
		return
	}
	floor := 0
	if w != compacting {
		var read int
		floor, read = g.heatFloor(s.keep)
		if read > s.keep && !sh.spared {
			sh.spared = true
			g.cool()
			sh.again(g)
			return
		}
		sh.spared = false
	}
	sh.bury(g)
	to := sh.survivor
	for off := 0; off < g.used; {
		b := g.at(off)
		size := b.size()
		tag := tagOfHash(s.hash(b.key()))
		place := sh.index.place(tag, sh.ref(g, off))
		switch {
		case place < 0:
		case v.gone(b):
			sh.index.remove(place)
			sh.n.expired++
		case b.heat() < floor:
			sh.index.remove(place)
			sh.evicted(b, w)
		default:
			if to == nil || to.used+size > len(to.buf) {
				if to != nil {
					sh.queue(to)
				}
				to = sh.newSegment(g.buf, false)
				sh.survivor = to
			}
			to.sealed = max(to.sealed, g.sealed)
			if w != compacting {
				b.setHeat(b.heat() / 2)
				sh.n.survived++
			}
			sh.index.table[place] = uint64(tag)<<32 | uint64(sh.ref(to, to.used))
			to.noteExp(b.exp())
			copy(to.buf[to.used:], b[:size])
			to.used += size
			to.live += size
			to.items++
		}
		off += size
	}
	sh.dropSlot(g)
	if to == nil || &to.buf[0] != &g.buf[0] {
		sh.free(g)
	}
}

// again gives g another turn through the window, as another segment to ristretto.
func (sh *shard) again(g *segment) {
	sh.bury(g)
	n := &segment{shard: sh, buf: g.buf, slot: g.slot, large: g.large,
		used: g.used, live: g.live, items: g.items, minExp: g.minExp, swept: g.swept, sealed: g.sealed}
	n.id = sh.s.segmentID(sh, n.slot)
	sh.segs[n.slot] = n
	sh.n.survived += int64(n.items)
	sh.queue(n)
}

// cool halves the heat of every item.
func (g *segment) cool() {
	for off := 0; off < g.used; {
		b := g.at(off)
		b.setHeat(b.heat() / 2)
		off += b.size()
	}
}

// heatFloor is the least heat, at least 1, from which the items of a segment take no more than keep bytes; read is how many
// bytes have any.
func (g *segment) heatFloor(keep int) (floor, read int) {
	var bytes [maxHeat + 1]int
	for off := 0; off < g.used; {
		b := g.at(off)
		size := b.size()
		bytes[b.heat()] += size
		off += size
	}
	floor, sum := maxHeat+1, 0
	for floor > 1 && sum+bytes[floor-1] <= keep {
		floor--
		sum += bytes[floor]
	}
	for _, n := range bytes[1:] {
		read += n
	}
	return floor, read
}

// reclaimLarge evicts a large item, or gives it another turn through the window if it was read.
func (sh *shard) reclaimLarge(g *segment, w why, v view) {
	b := g.at(0)
	tag := tagOfHash(sh.s.hash(b.key()))
	place := sh.index.place(tag, sh.ref(g, 0))
	if place >= 0 && !v.gone(b) && b.heat() > 0 && w != rejecting {
		g.cool()
		sh.again(g)
		return
	}
	if place >= 0 {
		sh.index.remove(place)
		if v.gone(b) {
			sh.n.expired++
		} else {
			sh.evicted(b, w)
		}
	}
	sh.bury(g)
	sh.dropSlot(g)
	sh.free(g)
}

// evicted counts and tells an item that goes for want of memory.
func (sh *shard) evicted(b slot, w why) {
	sh.n.evicted++
	if w == rejecting {
		sh.n.rejected++
	}
	if f := sh.s.o.Evicted; f != nil {
		f(sh.s.itemOf(b))
	}
}

// makeRoom frees memory at once for a writer that holds sh's lock and found none: a segment with holes is compacted, or else
// the oldest of one shard after the other goes, without ristretto's advice; shards whose lock is held are passed by. The
// writer is slowed by just this work. It is rare: the demoter keeps a reserve free. False means that nothing could be freed
// for some seconds.
func (sh *shard) makeRoom() bool {
	s := sh.s
	sh.n.inline++
	if s.o.NoEvict {
		return sh.makeRoomOfHoles()
	}
	for try := range 10_000 {
		if sh.compactOne() {
			return true
		}
		for range s.shards {
			other := &s.shards[s.roomTurn.Add(1)%uint32(len(s.shards))]
			if other != sh && !other.mu.TryLock() {
				continue
			}
			ok := other.reclaimOldest(try > 1000) // what was just written goes only if there is nothing else
			if other != sh {
				other.mu.Unlock()
			}
			if ok {
				return true
			}
		}
		// The others' holders are writing; when they are done their segments may be ours.
		if runtime.Gosched(); try > 100 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return false
}

// makeRoomOfHoles is makeRoom where nothing may be evicted.
func (sh *shard) makeRoomOfHoles() bool {
	for range 100 {
		if sh.compactOne() {
			return true
		}
		if sh.s.holes.len() == 0 {
			return false
		}
		runtime.Gosched() // the shards of those that are left are locked
	}
	return false
}

// compactOne compacts the first of the next segments with holes whose shard can be locked.
func (sh *shard) compactOne() bool {
	holes := &sh.s.holes
	for passed := 0; passed < 8; {
		g := holes.pop()
		if g == nil {
			return false
		}
		if g.shard != sh && !g.shard.mu.TryLock() {
			holes.push(g)
			passed++
			continue
		}
		done := false
		switch {
		case g == sh.pinned:
			holes.push(g)
			passed++
		case g.state != dead:
			g.shard.reclaim(g, compacting)
			done = true
		}
		if g.shard != sh {
			g.shard.mu.Unlock()
		}
		if done {
			return true
		}
	}
	return false
}

// reclaimOldest reclaims the shard's oldest full segment that the transaction does not read from, unless that is among
// the newest of the store.
func (sh *shard) reclaimOldest(evenNew bool) bool {
	g := sh.ages.oldest
	if g != nil && g == sh.pinned {
		g = g.newer
	}
	if g == nil || !evenNew && sh.s.isNew(g) {
		return false
	}
	w := evicting
	if g.worthCompacting() {
		w = compacting
	}
	sh.reclaim(g, w)
	return true
}
