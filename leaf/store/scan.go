// Scanning: listing the items without stopping the world.

package store

import "bytes"

// Listed is an item that Scan found. Its bytes are the caller's until the function that got it returns.
type Listed struct {
	Item     // Value is nil unless asked for
	Size int // the value's length
	Heat int // reads since the store last moved the item, at most 15: of two items, the hotter was read more
}

// Scan calls each for every readable item whose key begins with prefix, with copies, until it returns false. One shard is
// locked at a time, for about scanBatch bytes; each is called without a lock and may use the store. An item that is there
// from the beginning to the end of the scan is given exactly once, overwritten or moved meanwhile or not; one that comes or
// goes meanwhile may be missed or given in a state it had. The order is that of a hash.
func (s *Store) Scan(prefix []byte, values bool, each func(*Listed) bool) {
	var b scan
	b.prefix, b.values = prefix, values
	for i := range s.shards {
		for from, more := uint64(0), true; more; {
			from, more = b.collect(&s.shards[i], from)
			for j := range b.found {
				if !each(b.item(j)) {
					return
				}
			}
		}
	}
}

const (
	scanBatch   = 32 << 10 // bytes copied under a lock, about
	scanEntries = 1024     // index entries looked at under a lock, about
)

// scan is the state of one Scan.
type scan struct {
	prefix []byte
	values bool
	bytes  []byte   // the batch's keys and values end to end: they may move while it grows
	found  []Listed // without bytes
	keys   []int    // their keys' lengths
	at     []int    // where each begins in bytes
	out    Listed
}

// collect copies the items of sh whose tags begin at from, and gives the tag to go on with.
func (b *scan) collect(sh *shard, from uint64) (next uint64, more bool) {
	b.bytes, b.found, b.keys, b.at = b.bytes[:0], b.found[:0], b.keys[:0], b.at[:0]
	s := sh.s
	sh.mu.Lock()
	defer sh.mu.Unlock()
	v := s.view(s.now())
	tag, seen := uint32(from), 0
	for _, e := range sh.index.table[sh.index.first(tag):] {
		if e == 0 {
			continue
		}
		if seen++; tagOf(e) != tag {
			if len(b.bytes) >= scanBatch || seen > scanEntries {
				return uint64(tagOf(e)), true // tags are given whole, so that the next batch can begin with one
			}
			tag = tagOf(e)
		}
		g, off := sh.deref(uint32(e))
		it := g.at(off)
		if !bytes.HasPrefix(it.key(), b.prefix) || v.gone(it) {
			continue
		}
		b.add(s, it)
	}
	return 0, false
}

func (b *scan) add(s *Store, it slot) {
	l := Listed{Item: s.itemOf(it), Size: it.vlen(), Heat: it.heat()}
	b.keys = append(b.keys, len(l.Key))
	b.at = append(b.at, len(b.bytes))
	b.bytes = append(b.bytes, l.Key...)
	if b.values {
		b.bytes = append(b.bytes, l.Value...)
	}
	l.Key, l.Value = nil, nil
	b.found = append(b.found, l)
}

// item gives the batch's i-th with its bytes.
func (b *scan) item(i int) *Listed {
	b.out = b.found[i]
	from, mid := b.at[i], b.at[i]+b.keys[i]
	b.out.Key = b.bytes[from:mid:mid]
	if b.values {
		to := mid + b.out.Size
		b.out.Value = b.bytes[mid:to:to]
	}
	return &b.out
}
