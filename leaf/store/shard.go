// A shard: a part of the keys with its lock, index and segments.

package store

import "sync"

// shard owns the items whose hash falls to it and the segments that they lie in. Everything in it is guarded by mu,
// save segments' window links.
type shard struct {
	s      *Store
	number uint32
	mu     sync.Mutex

	index index
	segs  []*segment // by slot; slot 0 is never used, so that no ref is zero
	spare []uint32   // free slots
	ages  ages

	fresh    *segment // takes what clients write; nil before the first write
	survivor *segment // takes what reclaim keeps
	pinned   *segment // the open transaction reads from it: not to be reclaimed; nil for anyone who holds the lock without one
	unfreed  *segment // died while pinned
	spared   bool     // the last segment to be evicted stayed whole

	recovery *Recovery // the one under way; nil when there is none
	claimed  filter    // keys that clients wrote since it began; nil when there is none
	warm     filter    // keys that clients wrote since Warm; nil while nothing is filled

	reads  uint // of its items, noted or not
	closed bool
	n      counts
}

// counts are a shard's part of Stats.
type counts struct {
	stored, evicted, rejected, expired, survived, inline int64
}

// A ref is slot<<offBits | offset/8.
func (sh *shard) ref(g *segment, off int) uint32 {
	return g.slot<<sh.s.offBits | uint32(off/itemAlign)
}

func (sh *shard) deref(ref uint32) (*segment, int) {
	return sh.segs[ref>>sh.s.offBits], int(ref&(1<<sh.s.offBits-1)) * itemAlign
}

// find looks a key up: its place in the index, -1 if it is not there, and where its item is.
func (sh *shard) find(tag uint32, key []byte) (place int, g *segment, off int) {
	for i := sh.index.first(tag); ; i++ {
		e := sh.index.table[i]
		if e == 0 || tagOf(e) != tag {
			return -1, nil, 0
		}
		g, off := sh.deref(uint32(e))
		if b := g.at(off); b.klen() == len(key) && string(b.key()) == string(key) {
			return i, g, off
		}
	}
}

// newSegment makes a segment of buf.
func (sh *shard) newSegment(buf []byte, large bool) *segment {
	g := &segment{shard: sh, buf: buf, large: large}
	if n := len(sh.spare); n > 0 {
		g.slot = sh.spare[n-1]
		sh.spare = sh.spare[:n-1]
	} else {
		g.slot = uint32(len(sh.segs))
		sh.segs = append(sh.segs, nil)
	}
	sh.segs[g.slot] = g
	g.id = sh.s.segmentID(sh, g.slot)
	return g
}

// seal ends the appending of writes to g and puts it into the window.
func (sh *shard) seal(g *segment) {
	g.sealed = sh.s.sealed.Add(g.cost())
	sh.queue(g)
}

// queue puts a full segment into the window. One that holds what was moved is as old as the newest of that, and makes nothing else older:
// else what was just written could be outdated by what gets another turn, and evicted before it.
func (sh *shard) queue(g *segment) {
	g.state = inWindow
	sh.ages.push(g)
	sh.s.window.push(g)
	sh.noteDeath(g)
	sh.s.nudge()
}

// bury takes a full segment out of every list but segs; the demoter tells ristretto. Its bytes stay the caller's.
func (sh *shard) bury(g *segment) {
	sh.ages.remove(g)
	switch g.state {
	case inWindow:
		sh.s.window.remove(g)
	case inMain:
		sh.s.mainBytes.Add(-g.cost())
		sh.s.forget(g)
	}
	g.state = dead
}

// dropSlot makes g's slot free for another segment: no ref to g is left.
func (sh *shard) dropSlot(g *segment) {
	sh.segs[g.slot] = nil
	sh.spare = append(sh.spare, g.slot)
}

// free gives a buried segment's bytes back.
func (sh *shard) free(g *segment) {
	if g.large {
		sh.s.mem.releaseLarge(g.buf)
	} else {
		sh.s.mem.release(g.buf)
	}
}

// unlink says that the item at off is not the index's any more.
func (sh *shard) unlink(g *segment, off int) {
	b := g.at(off)
	b.setHeat(0) // so that it does not count when the segment is weighed
	g.live -= b.size()
	g.items--
	if g.state == inWindow || g.state == inMain {
		sh.noteDeath(g)
	}
}

// noteDeath frees a full segment without live items, or lists it for compaction when much of it is dead.
func (sh *shard) noteDeath(g *segment) {
	switch {
	case g.live == 0 && g == sh.pinned:
		sh.unfreed = g
	case g.live == 0:
		sh.bury(g)
		sh.dropSlot(g)
		sh.free(g)
	case !g.holed && g.worthCompacting():
		g.holed = true
		sh.s.holes.push(g)
	}
}

// pin keeps g's bytes until the transaction ends or reads from another segment.
func (sh *shard) pin(g *segment) {
	if sh.pinned != g {
		sh.unpin()
		sh.pinned = g
	}
}

func (sh *shard) unpin() {
	g := sh.unfreed
	sh.pinned, sh.unfreed = nil, nil
	if g != nil {
		sh.noteDeath(g)
	}
}

// room gives a segment with place for size bytes: the fresh one, or one of its own for a large item, still to be sealed.
func (sh *shard) room(size int) (*segment, error) {
	mem := sh.s.mem
	if sh.closed {
		return nil, ErrClosed
	}
	if size > sh.s.largeFrom {
		for {
			buf, err := mem.large(size)
			if err != nil {
				return nil, err
			}
			if buf != nil {
				return sh.newSegment(buf, true), nil
			}
			if !sh.makeRoom() {
				return nil, ErrNoMemory
			}
		}
	}
	if g := sh.fresh; g != nil {
		if g.live == 0 && g != sh.pinned {
			g.used, g.minExp = 0, 0
		}
		if g.used+size <= len(g.buf) {
			return g, nil
		}
		sh.fresh = nil
		sh.seal(g)
	}
	for {
		if buf := mem.buffer(); buf != nil {
			sh.fresh = sh.newSegment(buf, false)
			return sh.fresh, nil
		}
		if !sh.makeRoom() {
			return nil, ErrNoMemory
		}
	}
}

// note tells ristretto of a read of g, now and then: TinyLFU counts the reads of a segment. It may be told under the lock,
// for its Get waits for nothing that waits for the lock, and must be, for no Get may happen while ristretto closes.
func (sh *shard) note(g *segment) {
	if sh.reads++; sh.reads%readsPerNote == 0 && !sh.closed {
		sh.s.cache.Get(g.id)
	}
}

// insert adds an entry to the index.
func (sh *shard) insert(tag, ref uint32) error {
	if sh.index.full() {
		sh.resizeIndex(sh.index.grown()) // without memory for it, a fuller table serves
	}
	for !sh.index.insert(tag, ref) {
		if !sh.resizeIndex(sh.index.grown()) {
			return ErrNoMemory
		}
	}
	return nil
}

// resizeIndex rebuilds the index for so many homes; false if there is no memory for it.
func (sh *shard) resizeIndex(homes int) bool {
	mem := sh.s.mem
	more := indexBytes(homes) - indexBytes(int(sh.index.homes))
	for more > 0 && !mem.take(more) {
		if !sh.makeRoom() {
			return false
		}
	}
	if more < 0 {
		mem.give(-more)
	}
	sh.index.resize(homes)
	mem.used.Add(indexBytes(int(sh.index.homes)) - indexBytes(homes)) // a crowded table grew once more
	return true
}

// close forgets everything and gives the large items' mappings back.
func (sh *shard) close() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, g := range sh.segs {
		if g != nil && g.large {
			sh.s.mem.releaseLarge(g.buf)
		}
	}
	sh.closed = true
	sh.index = makeIndex(indexMin)
	sh.segs, sh.ages, sh.fresh, sh.survivor = make([]*segment, 1), ages{}, nil, nil
}
