// The hottest first: several passes, and a note of what earlier ones gave.

package store

import "slices"

// heatClasses are the least heats of the passes of a listing that gives the hottest first.
var heatClasses = [...]int{8, 4, 2, 1, 0}

// hotness is a scan's part that knows of the order. An item's heat changes between two passes, so that its class does
// not say whether it was given. What does is its tag: a pass goes through a shard's tags in order, as the passes before it did, and all
// items of a tag are given in the same pass.
type hotness struct {
	floor int        // of this pass
	given [][]uint32 // by shard: the tags of items given by the passes before, in order; nil: one pass is all
	noted int        // tags in given and now, each counted once
	most  int        // how many may be noted: what comes beyond is left to the last pass, which notes nothing
	old   []uint32   // this shard's, as far as not passed yet
	now   []uint32   // what given will be
}

func (h *hotness) beginShard(i int) {
	if h.given != nil {
		h.old, h.now = h.given[i], nil
	}
}

func (h *hotness) endShard(i int) {
	if h.given != nil {
		h.given[i] = slices.Clip(h.now)
	}
}

// isTurn says whether the items of one tag are to be given in this pass, and notes it.
func (b *scan) isTurn(sh *shard, entries []uint64) bool {
	tag := tagOf(entries[0])
	for len(b.old) > 0 && b.old[0] < tag {
		b.old = b.old[1:]
	}
	before := len(b.old) > 0 && b.old[0] == tag
	if b.floor == 0 {
		return !before
	}
	now := !before && b.noted < b.most && b.hotEnough(sh, entries)
	if now {
		b.noted++
	}
	if before || now {
		b.now = append(b.now, tag)
	}
	return now
}

func (b *scan) hotEnough(sh *shard, entries []uint64) bool {
	for _, e := range entries {
		g, off := sh.deref(uint32(e))
		if g.at(off).heat() >= b.floor {
			return true
		}
	}
	return false
}
