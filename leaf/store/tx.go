// Transactions: what callers do to one key while its shard is locked.

package store

import "runtime"

// Tx is a key's lock held: everything between Begin and End is atomic for that key. It is a value; it must be ended once,
// by the goroutine that began it, and no other Tx may be begun meanwhile by that goroutine.
type Tx struct {
	sh   *shard
	key  []byte
	tag  uint32
	view view

	// Where the item is, if looked up since it last moved.
	known bool
	place int
	g     *segment // nil: there is none
	off   int

	wrote bool
	noted *segment // was read: ristretto may be told at End
}

// Begin locks key's shard. key must stay unchanged until End; the store copies it when it keeps it.
func (s *Store) Begin(key []byte) Tx {
	h := s.hash(key)
	sh := &s.shards[h>>s.shardShift]
	sh.mu.Lock()
	t := Tx{sh: sh, key: key, tag: tagOfHash(h), view: s.view(s.now())}
	t.view.need = KeptOwned
	return t
}

// End unlocks.
func (t *Tx) End() {
	sh := t.sh
	if sh.pinned != nil {
		sh.unpin()
	}
	if t.noted != nil {
		sh.note(t.noted)
	}
	sh.mu.Unlock()
	if t.wrote && sh.s.mem.left() < sh.s.reserve/2 {
		runtime.Gosched() // the demoter is late: let it run
	}
	t.sh = nil
}

// locate finds the item, readable or not.
func (t *Tx) locate() {
	if !t.known {
		t.place, t.g, t.off = t.sh.find(t.tag, t.key)
		t.known = true
	}
}

// item gives the item's bytes, or nil if there is none that may be read.
func (t *Tx) item() slot {
	t.locate()
	if t.g == nil {
		return nil
	}
	b := t.g.at(t.off)
	if t.view.gone(b) {
		return nil
	}
	if t.view.keep != nil {
		t.view.confirm(t.sh.s, b)
	}
	return b
}

// Get gives the item if it is there, unexpired and not flushed. It does not count as an access.
func (t *Tx) Get() (Item, bool) {
	b := t.item()
	if b == nil {
		return Item{}, false
	}
	t.sh.pin(t.g)
	return t.sh.s.itemOf(b), true
}

// Touched notes a read access: last-access time, BitFetched, recency and frequency.
func (t *Tx) Touched() {
	b := t.item()
	if b == nil {
		return
	}
	b.setAccess(t.sh.s.ticks(t.view.now))
	b.setBits(b.bits() | BitFetched)
	if h := b.heat(); h < maxHeat {
		b.setHeat(h + 1)
	}
	t.noted = t.g
}

// Put stores a value (copied), replacing what is there: flags, exp (Unix ms, 0 never), bits, and cas (0: a new one is
// made). It returns the CAS stored. ErrTooLarge when key and value exceed the limit (the old item is then removed); ErrNoMemory when there is no room
// (it is still there).
func (t *Tx) Put(value []byte, flags uint32, exp int64, bits uint8, cas uint64) (uint64, error) {
	return t.PutParts(value, nil, flags, exp, bits, cas)
}

// PutParts is Put with the value given in two pieces (append, prepend). Either may be the Value of this transaction's Get.
func (t *Tx) PutParts(a, b []byte, flags uint32, exp int64, bits uint8, cas uint64) (uint64, error) {
	sh := t.sh
	s := sh.s
	t.claim()
	if len(t.key) > maxKey || len(t.key)+len(a)+len(b) > s.o.MaxItem {
		t.Delete()
		return 0, ErrTooLarge
	}
	if cas == 0 || s.o.NoCAS {
		cas = s.NextCAS()
	}
	f := fields{cas: cas, exp: exp, flags: flags, access: s.ticks(t.view.now), epoch: t.view.epoch, bits: bits}
	if err := t.store(f, a, b); err != nil {
		t.known = false // looking for room may have moved it
		return 0, err
	}
	sh.n.stored++
	t.wrote = true
	return cas, nil
}

// store writes the item and points the index to it.
func (t *Tx) store(f fields, v, w []byte) error {
	sh := t.sh
	size := itemSize(len(t.key), len(v)+len(w))
	if b := t.item(); b != nil {
		f.heat = b.heat()
		if t.g == sh.fresh && b.size() == size { // it will stay as long as if it were written anew
			b.write(f, t.key, v, w)
			t.g.noteExp(f.exp)
			return nil
		}
	}
	g, err := sh.room(size)
	if err != nil {
		return err
	}
	t.known = false // making room may have moved or evicted it
	t.locate()
	off := g.used
	g.at(off).write(f, t.key, v, w)
	g.used += size
	g.live += size
	g.items++
	g.noteExp(f.exp)
	if old := t.g; old != nil {
		sh.index.table[t.place] = uint64(t.tag)<<32 | uint64(sh.ref(g, off))
		sh.unlink(old, t.off)
	} else {
		if err := sh.insert(t.tag, sh.ref(g, off)); err != nil {
			sh.unlink(g, off)
			if g.large {
				sh.dropSlot(g)
				sh.free(g)
			}
			return err
		}
	}
	t.known = false
	if g.large {
		sh.seal(g)
	}
	return nil
}

// SetExp changes when the present item expires.
func (t *Tx) SetExp(exp int64) {
	t.claim()
	if b := t.item(); b != nil {
		b.setExp(exp)
		t.g.noteExp(b.exp())
	}
}

// SetBits changes the present item's bits.
func (t *Tx) SetBits(bits uint8) {
	t.claim()
	if b := t.item(); b != nil {
		b.setBits(bits)
	}
}

// SetCAS changes the present item's CAS.
func (t *Tx) SetCAS(cas uint64) {
	t.claim()
	if b := t.item(); b != nil && !t.sh.s.o.NoCAS {
		b.setCAS(cas)
		b.setEpoch(t.view.epoch)
	}
}

// Delete removes the item. Bytes that Get gave stay valid.
func (t *Tx) Delete() {
	t.claim()
	t.drop()
}

// drop removes the item without claiming its key.
func (t *Tx) drop() {
	t.locate()
	if t.g == nil {
		return
	}
	t.sh.index.remove(t.place)
	t.sh.unlink(t.g, t.off)
	t.g, t.place, t.noted = nil, -1, nil
}
