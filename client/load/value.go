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

// appendValue appends the value of size bytes of a key at a version: the key, a space, the version in hexadecimal, a space, and bytes
// that follow from both.
func appendValue(dst, key []byte, version uint64, size int) []byte {
	from := len(dst)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, version, 16)
	dst = append(dst, ' ')
	fill := fill(key, version)
	for len(dst)-from < size {
		dst = append(dst, fill[:min(len(fill), size-(len(dst)-from))]...)
	}
	return dst
}

// fill is the block that a value repeats: printable, so that a person can read a dump.
func fill(key []byte, version uint64) (b [16]byte) {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= version * 0x9e3779b97f4a7c15
	for i := range 2 {
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
		binary.LittleEndian.PutUint64(b[i*8:], h)
	}
	for i := range b {
		b[i] = 'a' + b[i]&15
	}
	return b
}

// checkValue gives the version that a value of key has, and whether it is such a value at all.
func checkValue(value, key []byte, size int) (version uint64, ok bool) {
	rest, ok := bytes.CutPrefix(value, key)
	if !ok || len(value) != size || len(rest) < 3 || rest[0] != ' ' {
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
	fill := fill(key, version)
	for rest = rest[end+2:]; len(rest) > 0; {
		n := min(len(rest), len(fill))
		if !bytes.Equal(rest[:n], fill[:n]) {
			return version, false
		}
		rest = rest[n:]
	}
	return version, true
}
