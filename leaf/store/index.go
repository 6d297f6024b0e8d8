// The index of one shard: an ordered, open-addressed table of 8-byte entries.

package store

// index maps a 32-bit tag (the low half of a key's hash) to the ref of its item; several items may share a tag. An entry is
// tag<<32 | ref; zero is an empty place, which is why no ref is zero. Entries lie in tag order at or after their home,
// tag*homes>>32, so that a search for what is not there ends early, growing is one sequential pass, and a scan by tag
// stays valid when the table grows or items move. Growing by a quarter keeps it between 68 % and 85 % full: 10.5 bytes
// an item. Guarded by the shard's lock.
type index struct {
	table []uint64 // homes places and spill more for what is displaced past the last home; the last is always empty
	homes uint64
	count int
}

const (
	indexMin   = 64 // homes of an empty table
	indexSpill = 64
)

func makeIndex(homes int) index {
	return index{table: make([]uint64, homes+indexSpill), homes: uint64(homes)}
}

// indexBytes is what a table of so many homes takes.
func indexBytes(homes int) int64 { return int64(homes+indexSpill) * 8 }

func (x *index) home(tag uint32) int { return int(uint64(tag) * x.homes >> 32) }

func tagOf(e uint64) uint32 { return uint32(e >> 32) }

// full says that the table should grow before another insert.
func (x *index) full() bool { return x.count*100 >= int(x.homes)*85 }

// grown is the number of homes after growing.
func (x *index) grown() int { return int(x.homes) + int(x.homes)/4 }

// first gives the place where tag's entries begin, if there are any.
func (x *index) first(tag uint32) int {
	i := x.home(tag)
	for e := x.table[i]; e != 0 && tagOf(e) < tag; e = x.table[i] {
		i++
	}
	return i
}

// insert adds an entry; false means that there is no place left behind the last home, and the table must grow first.
func (x *index) insert(tag uint32, ref uint32) bool {
	i := x.first(tag)
	j := i
	for x.table[j] != 0 {
		j++
	}
	if j >= len(x.table)-1 {
		return false
	}
	copy(x.table[i+1:j+1], x.table[i:j])
	x.table[i] = uint64(tag)<<32 | uint64(ref)
	x.count++
	return true
}

// remove takes out the entry at place i, moving back those that it had displaced.
func (x *index) remove(i int) {
	j := i + 1
	for x.table[j] != 0 && x.home(tagOf(x.table[j])) < j {
		j++
	}
	copy(x.table[i:j-1], x.table[i+1:j])
	x.table[j-1] = 0
	x.count--
}

// place finds the entry (tag, ref); -1 if it is not there.
func (x *index) place(tag uint32, ref uint32) int {
	want := uint64(tag)<<32 | uint64(ref)
	for i := x.first(tag); tagOf(x.table[i]) == tag && x.table[i] != 0; i++ {
		if x.table[i] == want {
			return i
		}
	}
	return -1
}

// resize rebuilds the table with so many homes; more are taken in the odd case that entries crowd at the end.
func (x *index) resize(homes int) {
	for {
		if next, ok := x.rebuilt(homes); ok {
			*x = next
			return
		}
		homes += homes / 4
	}
}

func (x *index) rebuilt(homes int) (index, bool) {
	next := makeIndex(homes)
	free := 0
	for _, e := range x.table {
		if e == 0 {
			continue
		}
		at := max(free, next.home(tagOf(e)))
		if at >= len(next.table)-1 {
			return index{}, false
		}
		next.table[at] = e
		free = at + 1
	}
	next.count = x.count
	return next, true
}
