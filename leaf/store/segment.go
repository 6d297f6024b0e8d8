// Segments: runs of items written one after the other, the unit that ristretto keeps or evicts.

package store

// state says where a segment is in its life: open -> window -> main -> dead, or dead from any of them.
type state uint8

const (
	open     state = iota // its shard appends to it
	inWindow              // full, in the window's queue
	inMain                // handed to ristretto
	dead                  // its bytes are free or belong to a newer segment; whoever still points here must let go
)

// segment holds items of one shard, whose lock guards it, but for id, shard, buf and slot, which never change, and
// the window's links, which the window's lock guards. A large item is a segment of its own.
type segment struct {
	id    uint64 // ristretto's key, never used twice
	shard *shard
	buf   []byte
	slot  uint32 // its number in shard.segs
	large bool
	state state
	holed bool // is in the list of segments worth compacting
	gone  bool // ristretto gave it up by itself

	used   int   // bytes appended
	live   int   // of them, bytes of items that the index points to
	items  int   // that the index points to
	minExp int64 // no item expires before this; 0 = none expires
	swept  int64 // when its expired items were last looked for, Unix ms
	sealed int64 // the store's count of sealed bytes when the newest write in it was sealed: its age

	older, newer       *segment // in the shard's order of age; only full segments
	winOlder, winNewer *segment
}

// cost is what the segment takes of the limit.
func (g *segment) cost() int64 { return int64(len(g.buf)) }

// at gives the item that begins at off.
func (g *segment) at(off int) slot { return slot(g.buf[off:]) }

// noteExp keeps minExp right for an item that expires at exp.
func (g *segment) noteExp(exp int64) {
	if exp != 0 && (g.minExp == 0 || exp < g.minExp) {
		g.minExp = exp
	}
}

// worthCompacting says that a quarter of a full segment is dead.
func (g *segment) worthCompacting() bool { return !g.large && g.live < len(g.buf)/4*3 }

// ages is a shard's list of full segments, oldest first. Guarded by the shard's lock.
type ages struct{ oldest, newest *segment }

func (l *ages) push(g *segment) {
	g.older, g.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = g
	} else {
		l.oldest = g
	}
	l.newest = g
}

func (l *ages) remove(g *segment) {
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		l.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		l.newest = g.older
	}
	g.older, g.newer = nil, nil
}
