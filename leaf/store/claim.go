// Claims: the keys that clients wrote, or tried to, while a recovery is under way or the pool warms.

package store

import "math/bits"

// Claim says that a client is writing the key, whether or not the write will find what it wants: from here on no recovery
// brings an older item under it. Whatever changes an item claims its key by itself; this is for writes that change only what
// they find, before they look: if what is there is early (see Recovery), and may be old, they shall not find it.
func (t *Tx) Claim() {
	if t.sh.claimed == nil && t.sh.warm == nil {
		return
	}
	t.claim()
	if t.sh.claimed == nil {
		return
	}
	r := t.sh.recovery
	if t.locate(); t.g != nil && r.settled.Load() != 0 && r.early(t.g.at(t.off).epoch()) {
		t.drop()
	}
}

func (t *Tx) claim() {
	if t.sh.claimed != nil {
		t.sh.claimed.add(t.sh.s.hash(t.key))
	}
	if t.sh.warm != nil {
		t.sh.warm.add(t.sh.s.hash(t.key))
	}
}

// filter is a Bloom filter of key hashes in blocks of a cache line. Guarded by its shard's lock.
type filter []uint64

const (
	blockWords = 8
	probes     = 4
)

// block gives a hash's block and the bits that say which of its bits are meant. The hash's high bits chose the shard, so
// they are mixed first.
func (f filter) block(h uint64) ([]uint64, uint64) {
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	at, _ := bits.Mul64(h, uint64(len(f)/blockWords))
	return f[at*blockWords:][:blockWords], h ^ h>>29
}

func (f filter) add(h uint64) {
	b, h := f.block(h)
	for range probes {
		b[h>>6&(blockWords-1)] |= 1 << (h & 63)
		h >>= 9
	}
}

func (f filter) has(h uint64) bool {
	b, h := f.block(h)
	for range probes {
		if b[h>>6&(blockWords-1)]&(1<<(h&63)) == 0 {
			return false
		}
		h >>= 9
	}
	return true
}
