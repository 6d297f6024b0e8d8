// Values that prove where they come from.

package load

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// appendKey appends the name of key number i.
func appendKey(dst []byte, prefix string, i int) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, "key:"...)
	return strconv.AppendInt(dst, int64(i), 10)
}

// period is how many bytes a value repeats.
const period = 16

// seed is a number that follows from a key and a version, and from which their value follows.
func seed(key []byte, version uint64) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h ^ version*0x9e3779b97f4a7c15
}

// appendValue appends the value of size bytes of a key at a version, whose seed it wants, too: the key, a space, the version in
// hexadecimal, a space, and bytes that follow from both, again and again.
func appendValue(dst, key []byte, version, seed uint64, size int) []byte {
	end := len(dst) + size
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, version, 16)
	dst = append(dst, ' ')
	from := len(dst)
	fill := fill(seed)
	dst = append(dst, fill[:min(period, end-from)]...)
	for len(dst) < end { // whole periods, doubled
		dst = append(dst, dst[from:min(len(dst), from+end-len(dst))]...)
	}
	return dst
}

// fill is the block that a value repeats: printable, so that a person can read a dump.
func fill(seed uint64) (b [period]byte) {
	h := seed
	for i := range 2 {
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
		// A letter from a to p for every other half byte.
		binary.LittleEndian.PutUint64(b[i*8:], h&0x0f0f0f0f0f0f0f0f+0x6161616161616161)
	}
	return b
}

// checkValue gives the version that a value of key has, and whether it is such a value at all.
func checkValue(value, key []byte, sizes *Sizes) (version uint64, ok bool) {
	rest, ok := bytes.CutPrefix(value, key)
	if !ok || len(rest) < 3 || rest[0] != ' ' {
		return 0, false
	}
	end := bytes.IndexByte(rest[1:], ' ')
	if end < 1 || end > 16 {
		return 0, false
	}
	for _, c := range rest[1 : 1+end] {
		switch {
		case c >= '0' && c <= '9':
			version = version<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			version = version<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	seed := seed(key, version)
	if len(value) != sizes.of(seed) {
		return version, false
	}
	fill := fill(seed)
	rest = rest[end+2:]
	n := min(len(rest), period)
	// The first period is right, and every byte is the one a period before it.
	return version, bytes.Equal(rest[:n], fill[:n]) && bytes.Equal(rest[n:], rest[:len(rest)-n])
}
