// How an item lies in a segment: a 32-byte header, the key, the value, padding to 8.

package store

import "encoding/binary"

// Item is what is stored under a key. Key and Value are the store's own bytes: they may be read, not written, inside the
// transaction that gave them and until its next Put or Get.
type Item struct {
	Key, Value []byte
	Flags      uint32 // client flags
	CAS        uint64
	Exp        int64 // Unix milliseconds when it stops being readable; 0 = never
	Access     int64 // Unix milliseconds of the last access before this one, exact to 1/16 s
	Bits       uint8 // BitFetched, BitStale, BitWon (recache token handed out)
}

// Bits of Item.Bits.
const (
	BitFetched uint8 = 1 << iota // has been read since it was stored
	BitStale                     // marked stale by a meta delete with I
	BitWon                       // a client holds the right to recache it
)

// The header, little-endian:
//
//	 0  cas     u64
//	 8  exp     48 bits, Unix milliseconds; bits u8; key length u8
//	16  flags   u32
//	20  vlen    u32
//	24  access  u32, sixteenths of a second since the store was opened
//	28  epoch   28 bits (see flush.go); heat 4 bits: reads since it was last moved, saturating
const (
	headerSize = 32
	itemAlign  = 8
	maxKey     = 255
	maxExp     = 1<<48 - 1
	maxHeat    = 15
	maxEpoch   = 1<<28 - 1
)

// slot is an item's bytes from its header on; it may extend beyond the item.
type slot []byte

var le = binary.LittleEndian

func (b slot) cas() uint64     { return le.Uint64(b) }
func (b slot) setCAS(v uint64) { le.PutUint64(b, v) }
func (b slot) exp() int64      { return int64(le.Uint64(b[8:]) & maxExp) }
func (b slot) bits() uint8     { return b[14] }
func (b slot) setBits(v uint8) { b[14] = v }
func (b slot) klen() int       { return int(b[15]) }
func (b slot) flags() uint32   { return le.Uint32(b[16:]) }
func (b slot) vlen() int       { return int(le.Uint32(b[20:])) }
func (b slot) access() uint32  { return le.Uint32(b[24:]) }
func (b slot) epoch() uint32   { return le.Uint32(b[28:]) & maxEpoch }
func (b slot) heat() int       { return int(b[31] >> 4) }

func (b slot) setAccess(v uint32) { le.PutUint32(b[24:], v) }
func (b slot) setEpoch(e uint32)  { le.PutUint32(b[28:], le.Uint32(b[28:])&^maxEpoch|e) }
func (b slot) setHeat(h int)      { b[31] = b[31]&0x0f | byte(h)<<4 }

func (b slot) setExp(exp int64) {
	le.PutUint64(b[8:], le.Uint64(b[8:])&^maxExp|uint64(clampExp(exp)))
}

// clampExp keeps exp within the header's 48 bits; a time before 1970 is simply past.
func clampExp(exp int64) int64 {
	switch {
	case exp < 0:
		return 1
	case exp > maxExp:
		return maxExp
	}
	return exp
}

func (b slot) key() []byte { return b[headerSize : headerSize+b.klen()] }

func (b slot) value() []byte {
	from := headerSize + b.klen()
	to := from + b.vlen()
	return b[from:to:to]
}

// size is the item's length in its segment.
func (b slot) size() int { return itemSize(b.klen(), b.vlen()) }

func itemSize(klen, vlen int) int {
	return (headerSize + klen + vlen + itemAlign - 1) &^ (itemAlign - 1)
}

// fields are a header's values when an item is written.
type fields struct {
	cas    uint64
	exp    int64
	flags  uint32
	access uint32
	epoch  uint32
	bits   uint8
	heat   int
}

// write fills b with an item whose value is v and then w. Either may be the whole value that b already holds for this key.
func (b slot) write(f fields, key, v, w []byte) {
	le.PutUint64(b, f.cas)
	le.PutUint64(b[8:], uint64(clampExp(f.exp))|uint64(f.bits)<<48|uint64(len(key))<<56)
	le.PutUint32(b[16:], f.flags)
	le.PutUint32(b[20:], uint32(len(v)+len(w)))
	le.PutUint32(b[24:], f.access)
	le.PutUint32(b[28:], f.epoch&maxEpoch|uint32(f.heat)<<28)
	at := headerSize + copy(b[headerSize:], key)
	copy(b[at+len(v):], w) // before v, which may be about to overwrite it
	copy(b[at:], v)
}
