// Package hash places keys: hash functions, distributions and key filters, bit-compatible with memcached's proxy, libmemcached,
// twemproxy and mcrouter.
//
// A key's way is filter, then hash, then distribution: index = dist.Pick(hash(filter.Apply(key), seed)); mcrouter's distributions
// are KeyDists, which hash the key themselves. Package pools calls it for every request. What testdata holds was made with the
// other systems' own code; each file says how. Everything here is immutable once made, may be used concurrently, and allocates nothing per key. Keys
// are only read, and only during the call; Filter.Apply returns a part of its argument.
package hash

import (
	"crypto/md5"
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// Func hashes a key.
type Func func(key []byte, seed uint64) uint64

// Dist maps a key's hash to an index into the list that it was made from.
type Dist interface {
	// Pick gives the index, or -1 if the list is empty.
	Pick(h uint64) int
}

// XXH3 is the default key hash: XXH3, 64 bits, with seed.
func XXH3(key []byte, seed uint64) uint64 {
	if seed == 0 {
		return xxh3.Hash(key)
	}
	return xxh3.HashSeed(key, seed)
}

// MD5 is the key hash of ketama: the first four bytes of the digest, little-endian. It ignores seed.
func MD5(key []byte, _ uint64) uint64 {
	d := md5.Sum(key)
	return uint64(binary.LittleEndian.Uint32(d[:4]))
}

// Seed turns a seed string into the number that XXH3 takes.
func Seed(s string) uint64 { return xxh3.HashString(s) }
