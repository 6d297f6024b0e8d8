// The key hashes of libmemcached and twemproxy, and the names of all.

package hash

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
)

// named are the hashes by the names that libmemcached and twemproxy give them. All but xxhash give 32 bits and ignore the seed.
var named = map[string]Func{
	"xxhash":        XXH3, // memcached's proxy's
	"xxh3":          XXH3,
	"md5":           MD5,
	"one_at_a_time": OneAtATime,
	"crc16":         CRC16,
	"crc32":         CRC32,
	"crc32a":        CRC32A,
	"fnv1_64":       FNV1x64,
	"fnv1a_64":      FNV1Ax64,
	"fnv1_32":       FNV1x32,
	"fnv1a_32":      FNV1Ax32,
	"hsieh":         Hsieh,
	"murmur":        Murmur,
	"murmur3":       Murmur3,
	"murmur3_seed0": Murmur3Seed0,
	"jenkins":       Jenkins,
}

// ByName gives a key hash: "xxhash", "md5", or one of libmemcached's or twemproxy's by its name there.
func ByName(name string) (f Func, ok bool) {
	f, ok = named[name]
	return f, ok
}

// Names are the names that ByName knows, sorted.
func Names() []string {
	var names []string
	for name := range named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// signed is what a char above 127 becomes in the C of both systems where char is signed, as on x86-64: keys outside ASCII are hashed
// so. (Their own builds for ARM, where char is not signed, place such keys elsewhere.)
func signed(c byte) uint32 { return uint32(int32(int8(c))) }

// OneAtATime is Bob Jenkins's one-at-a-time hash, libmemcached's default.
func OneAtATime(key []byte, _ uint64) uint64 {
	var h uint32
	for _, c := range key {
		h += signed(c)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	return uint64(h)
}

// CRC16 is twemproxy's crc16: CRC-16/XMODEM, but what is shifted out above bit 15 stays.
func CRC16(key []byte, _ uint64) uint64 {
	var crc uint32
	for _, c := range key {
		crc = crc<<8 ^ uint32(crc16Table[byte(crc>>8)^c])
	}
	return uint64(crc)
}

var crc16Table = func() (t [256]uint16) {
	const poly = 0x1021
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ poly
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()

// CRC32 is libmemcached's crc (twemproxy's crc32): 15 bits of the middle of the CRC-32.
func CRC32(key []byte, _ uint64) uint64 { return uint64(crc32.ChecksumIEEE(key)>>16) & 0x7fff }

// CRC32A is twemproxy's crc32a: the whole CRC-32.
func CRC32A(key []byte, _ uint64) uint64 { return uint64(crc32.ChecksumIEEE(key)) }

const (
	fnvOffset64 = 0xcbf29ce484222325
	fnvPrime64  = 0x100000001b3
	fnvOffset32 = 2166136261
	fnvPrime32  = 16777619
)

// FNV1x64 is fnv1_64: the low half of 64 bits of FNV-1.
func FNV1x64(key []byte, _ uint64) uint64 {
	h := uint64(fnvOffset64)
	for _, c := range key {
		h = h*fnvPrime64 ^ uint64(int64(int8(c)))
	}
	return uint64(uint32(h))
}

// FNV1Ax64 is fnv1a_64, twemproxy's default: FNV-1a with the constants of 64 bits, in 32 bits.
func FNV1Ax64(key []byte, _ uint64) uint64 {
	h := uint32(fnvOffset64 & 0xffffffff)
	for _, c := range key {
		h = (h ^ signed(c)) * (fnvPrime64 & 0xffffffff)
	}
	return uint64(h)
}

// FNV1x32 is fnv1_32.
func FNV1x32(key []byte, _ uint64) uint64 {
	h := uint32(fnvOffset32)
	for _, c := range key {
		h = h*fnvPrime32 ^ signed(c)
	}
	return uint64(h)
}

// FNV1Ax32 is fnv1a_32.
func FNV1Ax32(key []byte, _ uint64) uint64 {
	h := uint32(fnvOffset32)
	for _, c := range key {
		h = (h ^ signed(c)) * fnvPrime32
	}
	return uint64(h)
}

// Hsieh is Paul Hsieh's SuperFastHash, from 0 instead of from the length.
func Hsieh(key []byte, _ uint64) uint64 {
	var h uint32
	for ; len(key) >= 4; key = key[4:] {
		h += uint32(binary.LittleEndian.Uint16(key))
		h = h<<16 ^ uint32(binary.LittleEndian.Uint16(key[2:]))<<11 ^ h
		h += h >> 11
	}
	switch len(key) {
	case 3:
		h += uint32(binary.LittleEndian.Uint16(key))
		h ^= h << 16
		h ^= signed(key[2]) << 18
		h += h >> 11
	case 2:
		h += uint32(binary.LittleEndian.Uint16(key))
		h ^= h << 11
		h += h >> 17
	case 1:
		h += uint32(key[0])
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	h += h >> 6
	return uint64(h)
}

// murmurSeed is what both systems seed the murmur hashes with.
func murmurSeed(key []byte) uint32 { return 0xdeadbeef * uint32(len(key)) }

// Murmur is MurmurHash2.
func Murmur(key []byte, _ uint64) uint64 {
	const m = 0x5bd1e995
	h := murmurSeed(key) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(key) > 0 {
		h = (h ^ tail(key)) * m
	}
	h = (h ^ h>>13) * m
	return uint64(h ^ h>>15)
}

// Murmur3 is libmemcached's murmur3: MurmurHash3 for x86, 32 bits, with a seed of its own.
func Murmur3(key []byte, _ uint64) uint64 { return murmur3(key, murmurSeed(key)) }

// Murmur3Seed0 is MurmurHash3 for x86, 32 bits, with the seed 0: memcached 1.6.13's proxy placed keys by its remainder.
func Murmur3Seed0(key []byte, _ uint64) uint64 { return murmur3(key, 0) }

func murmur3(key []byte, h uint32) uint64 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	n := len(key)
	for ; len(key) >= 4; key = key[4:] {
		h ^= bits.RotateLeft32(binary.LittleEndian.Uint32(key)*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	h ^= bits.RotateLeft32(tail(key)*c1, 15) * c2
	h ^= uint32(n)
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return uint64(h ^ h>>16)
}

// Jenkins is Bob Jenkins's lookup3 with the initial value 13.
func Jenkins(key []byte, _ uint64) uint64 {
	a := 0xdeadbeef + uint32(len(key)) + 13
	b, c := a, a
	if len(key) == 0 {
		return uint64(c)
	}
	for ; len(key) > 12; key = key[12:] {
		a += binary.LittleEndian.Uint32(key)
		b += binary.LittleEndian.Uint32(key[4:])
		c += binary.LittleEndian.Uint32(key[8:])
		a, b, c = jenkinsMix(a, b, c)
	}
	a += tail(key)
	b += tail(key[min(4, len(key)):])
	c += tail(key[min(8, len(key)):])
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return uint64(c)
}

func jenkinsMix(a, b, c uint32) (uint32, uint32, uint32) {
	a, c = (a-c)^bits.RotateLeft32(c, 4), c+b
	b, a = (b-a)^bits.RotateLeft32(a, 6), a+c
	c, b = (c-b)^bits.RotateLeft32(b, 8), b+a
	a, c = (a-c)^bits.RotateLeft32(c, 16), c+b
	b, a = (b-a)^bits.RotateLeft32(a, 19), a+c
	c, b = (c-b)^bits.RotateLeft32(b, 4), b+a
	return a, b, c
}

// tail is the first four bytes of b as a little-endian number; missing ones are 0.
func tail(b []byte) (n uint32) {
	for i := min(len(b), 4) - 1; i >= 0; i-- {
		n = n<<8 | uint32(b[i])
	}
	return n
}
