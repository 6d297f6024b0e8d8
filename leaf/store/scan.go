// Scanning: listing the items without stopping the world.

package store

import "bytes"

// Listed is an item that Scan found. Its bytes are the caller's until the function that got it returns.
type Listed struct {
	Item     // Value is nil unless asked for
	Size int // the value's length
	Heat int // reads since the store last moved the item, at most 15: of two items, the hotter was read more

	Age uint32 // the number of the age that it was stored in: see Divide
}

// Listing says which items List gives, and how. The zero value is all of them, without values, as they lie.
type Listing struct {
	Prefix  []byte      // of keys
	Values  bool        // with values
	Hottest bool        // what was read most first, by heat in five classes; takes up to 1/64 of the limit beside it
	Past    bool        // only those that are kept for another owner (KeptPast); else only those that are owned
	Between func() bool // called without a lock, every thousand items looked at or so; false ends it. nil: nobody asks
}

// Scan is List for those who want no more.
func (s *Store) Scan(prefix []byte, values bool, each func(*Listed) bool) {
	s.List(Listing{Prefix: prefix, Values: values}, each)
}

// List calls each for every readable item that is asked for, with copies, until it returns false. One shard is locked at a
// time, for about scanBatch bytes; each is called without a lock and may use the store. An item that is there
// from the beginning to the end is given exactly once, overwritten or moved meanwhile or not; one that comes or
// goes meanwhile may be missed or given in a state it had. The order is that of a hash, or within a class of heat.
func (s *Store) List(o Listing, each func(*Listed) bool) {
	b := scan{o: o}
	if !o.Hottest {
		b.pass(s, each)
		return
	}
	b.given, b.most = make([][]uint32, len(s.shards)), int(s.o.Memory)/hotShare/4
	for _, b.floor = range heatClasses {
		if b.floor > 0 && b.noted >= b.most {
			continue // too much to remember: the rest comes in no order
		}
		if !b.pass(s, each) {
			return
		}
	}
}

// pass goes through all shards once; false if it was ended.
func (b *scan) pass(s *Store, each func(*Listed) bool) bool {
	for i := range s.shards {
		b.beginShard(i)
		for from, more := uint64(0), true; more; {
			from, more = b.collect(&s.shards[i], from)
			for j := range b.found {
				if !each(b.item(j)) {
					return false
				}
			}
			if b.o.Between != nil && !b.o.Between() {
				return false
			}
		}
		b.endShard(i)
	}
	return true
}

const (
	scanBatch   = 8 << 10 // bytes copied under a lock, about
	scanEntries = 1024    // items looked at under a lock, about
	hotShare    = 64      // the part of the limit that a listing of the hottest first may take beside it
)

// scan is the state of one List.
type scan struct {
	o     Listing
	bytes []byte   // the batch's keys and values end to end: they may move while it grows
	found []Listed // without bytes
	keys  []int    // their keys' lengths
	at    []int    // where each begins in bytes
	out   Listed

	hotness // scanhot.go
}

// collect copies the items of sh whose tags begin at from, and gives the tag to go on with.
func (b *scan) collect(sh *shard, from uint64) (next uint64, more bool) {
	b.bytes, b.found, b.keys, b.at = b.bytes[:0], b.found[:0], b.keys[:0], b.at[:0]
	s := sh.s
	sh.mu.Lock()
	defer sh.mu.Unlock()
	v := s.view(s.now())
	v.need = KeptOwned
	if b.o.Past {
		v.need = KeptPast
	}
	table := sh.index.table[sh.index.first(uint32(from)):]
	for seen := 0; ; {
		for len(table) > 0 && table[0] == 0 {
			table = table[1:]
		}
		if len(table) == 0 {
			return 0, false
		}
		tag := tagOf(table[0])
		if len(b.bytes) >= scanBatch || seen >= scanEntries {
			return uint64(tag), true // tags are given whole, so that the next batch can begin with one
		}
		n := 1
		for n < len(table) && table[n] != 0 && tagOf(table[n]) == tag {
			n++
		}
		b.take(sh, &v, table[:n])
		table = table[n:]
		seen += n
	}
}

// take copies the items of one tag, those that are asked for.
func (b *scan) take(sh *shard, v *view, entries []uint64) {
	if b.given != nil && !b.isTurn(sh, entries) {
		return
	}
	for _, e := range entries {
		g, off := sh.deref(uint32(e))
		if it := g.at(off); bytes.HasPrefix(it.key(), b.o.Prefix) && !v.gone(it) && (!b.o.Past || v.keeping(it) == KeptPast) {
			b.add(sh.s, it)
		}
	}
}

func (b *scan) add(s *Store, it slot) {
	l := Listed{Item: s.itemOf(it), Size: it.vlen(), Heat: it.heat(), Age: it.epoch()}
	b.keys = append(b.keys, len(l.Key))
	b.at = append(b.at, len(b.bytes))
	b.bytes = append(b.bytes, l.Key...)
	if b.o.Values {
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
	if b.o.Values {
		to := mid + b.out.Size
		b.out.Value = b.bytes[mid:to:to]
	}
	return &b.out
}
