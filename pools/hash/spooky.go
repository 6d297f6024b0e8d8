// SpookyHash V2, which mcrouter's WeightedCh3 decides by.

package hash

import (
	"encoding/binary"
	"math/bits"
)

const (
	spookyConst = 0xdeadbeefdeadbeef
	spookyBlock = 12 * 8 // bytes
)

// The rotations of each step.
var (
	spookyMixBy      = [12]int{11, 32, 43, 31, 17, 28, 39, 57, 55, 54, 22, 46}
	spookyEndBy      = [12]int{44, 15, 34, 21, 38, 33, 10, 13, 38, 53, 42, 54}
	spookyShortMixBy = [12]int{50, 52, 30, 41, 54, 48, 38, 37, 62, 34, 5, 36}
	spookyShortEndBy = [11]int{15, 52, 26, 51, 28, 9, 47, 54, 32, 25, 63}
)

// spooky32 is SpookyHash V2 with 32 bits of seed and of result.
func spooky32(msg []byte, seed uint32) uint32 {
	if len(msg) < 2*spookyBlock {
		return spookyShort(msg, uint64(seed))
	}
	n := len(msg)
	var s [12]uint64
	for i := range s {
		s[i] = uint64(seed)
		if i%3 == 2 {
			s[i] = spookyConst
		}
	}
	for ; len(msg) >= spookyBlock; msg = msg[spookyBlock:] {
		for i := range 12 {
			s[i] += binary.LittleEndian.Uint64(msg[8*i:])
			s[(i+2)%12] ^= s[(i+10)%12]
			s[(i+11)%12] ^= s[i]
			s[i] = bits.RotateLeft64(s[i], spookyMixBy[i])
			s[(i+11)%12] += s[(i+1)%12]
		}
	}
	var last [spookyBlock]byte
	copy(last[:], msg)
	last[spookyBlock-1] = byte(n % spookyBlock)
	for i := range s {
		s[i] += binary.LittleEndian.Uint64(last[8*i:])
	}
	for range 3 {
		for i := range 12 {
			s[(i+11)%12] += s[(i+1)%12]
			s[(i+2)%12] ^= s[(i+11)%12]
			s[(i+1)%12] = bits.RotateLeft64(s[(i+1)%12], spookyEndBy[i])
		}
	}
	return uint32(s[0])
}

// spookyShort is the hash of less than 192 bytes.
func spookyShort(msg []byte, seed uint64) uint32 {
	n := len(msg)
	h := [4]uint64{seed, seed, spookyConst, spookyConst}
	mix := func() {
		for i, by := range spookyShortMixBy {
			h[(i+2)%4] = bits.RotateLeft64(h[(i+2)%4], by) + h[(i+3)%4]
			h[i%4] ^= h[(i+2)%4]
		}
	}
	for ; len(msg) >= 16; msg = msg[16:] {
		h[2] += binary.LittleEndian.Uint64(msg)
		h[3] += binary.LittleEndian.Uint64(msg[8:])
		mix()
		if len(msg) < 32 {
			msg = msg[16:]
			break
		}
		h[0] += binary.LittleEndian.Uint64(msg[16:])
		h[1] += binary.LittleEndian.Uint64(msg[24:])
		msg = msg[16:]
	}
	h[3] += uint64(n) << 56
	if len(msg) == 0 {
		h[2] += spookyConst
		h[3] += spookyConst
	} else {
		h[2] += tail64(msg)
		h[3] += tail64(msg[min(8, len(msg)):])
	}
	for i, by := range spookyShortEndBy {
		h[(i+3)%4] ^= h[(i+2)%4]
		h[(i+2)%4] = bits.RotateLeft64(h[(i+2)%4], by)
		h[(i+3)%4] += h[(i+2)%4]
	}
	return uint32(h[0])
}
