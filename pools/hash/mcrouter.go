// mcrouter's places: Ch3, Crc32 and WeightedCh3, each with a salt.

package hash

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
)

// KeyDist places keys that it hashes itself.
type KeyDist interface {
	// PickKey gives the index of key, or -1 if the list is empty.
	PickKey(key []byte) int
}

// The largest pool that Ch3 knows, and how often it tries.
const (
	furcShift = 23
	furcTries = 32
)

// murmur64Seed was found by mcrouter's authors to spread best.
const murmur64Seed = 4193360111

// saltBuffer has room for every memcached key and a salt of usual length.
type saltBuffer [512]byte

// join gives key with salt after it.
func (b *saltBuffer) join(key []byte, salt string) []byte {
	if salt == "" {
		return key
	}
	return append(append(b[:0], key...), salt...)
}

// Ch3 is mcrouter's Ch3, its default: a decision tree over the bits of the key's hash. Growing the pool by one moves 1/(n+1) of the
// keys.
type Ch3 struct {
	n    uint32
	salt string
}

// NewCh3 distributes over n places.
func NewCh3(n int, salt string) (Ch3, error) {
	if n > 1<<furcShift {
		return Ch3{}, fmt.Errorf("ch3: %d backends, want at most %d", n, 1<<furcShift)
	}
	return Ch3{uint32(n), salt}, nil
}

// PickKey implements KeyDist.
func (d Ch3) PickKey(key []byte) int {
	if d.n == 0 {
		return -1
	}
	var buf saltBuffer
	return int(furc(buf.join(key, d.salt), d.n))
}

// MCRouterCRC32 is mcrouter's Crc32: the remainder of 31 bits of the CRC-32 by the number of servers.
type MCRouterCRC32 struct {
	n    uint32
	salt []byte
}

// NewMCRouterCRC32 distributes over n places.
func NewMCRouterCRC32(n int, salt string) MCRouterCRC32 {
	return MCRouterCRC32{uint32(n), []byte(salt)}
}

// PickKey implements KeyDist.
func (d MCRouterCRC32) PickKey(key []byte) int {
	if d.n == 0 {
		return -1
	}
	sum := crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, d.salt)
	return int((sum & 0x7fffffff) % d.n)
}

// WeightedCh3 is mcrouter's WeightedCh3: Ch3, but a server of weight w keeps only that share of its keys, and the others are placed
// again. The last of 32 tries is final.
type WeightedCh3 struct {
	keep []uint32 // a key stays if its second hash is below
	salt string
}

// NewWeightedCh3 makes a WeightedCh3; each weight is from 0 to 1.
func NewWeightedCh3(weights []float64, salt string) (*WeightedCh3, error) {
	if len(weights) > 1<<furcShift {
		return nil, fmt.Errorf("weighted_ch3: %d backends, want at most %d", len(weights), 1<<furcShift)
	}
	d := &WeightedCh3{keep: make([]uint32, len(weights)), salt: salt}
	for i, w := range weights {
		if !(w >= 0 && w <= 1) {
			return nil, fmt.Errorf("weighted_ch3: weights[%d] is %v, want a number from 0 to 1", i+1, w)
		}
		d.keep[i] = uint32(w * math.MaxUint32)
	}
	return d, nil
}

// PickKey implements KeyDist.
func (d *WeightedCh3) PickKey(key []byte) int {
	const seed = 0xface2014
	n := uint32(len(d.keep))
	if n == 0 {
		return -1
	}
	var buf saltBuffer
	try := buf.join(key, d.salt)
	for salt := 0; ; salt++ {
		i := furc(try, n)
		if spooky32(try, seed) < d.keep[i] || salt == furcTries-1 {
			return int(i)
		}
		if salt == 0 {
			try = append(buf[:0], try...)
			try = append(try, '0')
			continue
		}
		if salt >= 10 { // the number's digits, lowest first
			if salt == 10 {
				try = append(try, 0)
			}
			try[len(try)-2], try[len(try)-1] = '0'+byte(salt%10), '0'+byte(salt/10)
			continue
		}
		try[len(try)-1] = '0' + byte(salt)
	}
}

// furc walks down a tree whose leaves are the servers: a bit of the stream for each level says whether the key lies in the upper
// half, and if so, further bits say where; a place past the end is tried again.
func furc(key []byte, n uint32) uint32 {
	if n <= 1 {
		return 0
	}
	s := bitStream{first: murmur64(key)}
	s.word = s.first
	level := uint32(bits.Len32(n - 1))
	at := level
	for range furcTries {
		for s.bit(at) == 0 {
			if level--; level == 0 {
				return 0
			}
			at = level
		}
		at += furcShift
		place := uint32(1)
		for range level - 1 {
			place = place<<1 | s.bit(at)
			at += furcShift
		}
		if place < n {
			return place
		}
	}
	return 0
}

// bitStream is an endless stream of bits: the words are the key's hash, the hash of that, and on.
type bitStream struct {
	first uint64
	word  uint64 // number ord
	ord   uint32
}

func (s *bitStream) bit(i uint32) uint32 {
	ord := i >> 6
	if ord < s.ord {
		s.word, s.ord = s.first, 0
	}
	for ; s.ord < ord; s.ord++ {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], s.word)
		s.word = murmur64(b[:])
	}
	return uint32(s.word>>(i&63)) & 1
}

// murmur64 is MurmurHash64A with mcrouter's seed.
func murmur64(key []byte) uint64 {
	const m = 0xc6a4a7935bd1e995
	h := murmur64Seed ^ uint64(len(key))*m
	for ; len(key) >= 8; key = key[8:] {
		k := binary.LittleEndian.Uint64(key) * m
		h = (h ^ (k^k>>47)*m) * m
	}
	if len(key) > 0 {
		h = (h ^ tail64(key)) * m
	}
	h = (h ^ h>>47) * m
	return h ^ h>>47
}

// tail64 is the first eight bytes of b as a little-endian number; missing ones are 0.
func tail64(b []byte) (n uint64) {
	for i := min(len(b), 8) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}
