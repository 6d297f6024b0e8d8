// Ring: consistent hashing by host and port, in the four ways in which memcached's proxy names points.

package hash

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"
)

// DefaultBuckets is how many points a server has on a ring unless told otherwise.
const DefaultBuckets = 160

// maxPoints keeps a slip in obuckets from eating the memory.
const maxPoints = 1 << 24

// Server is one server on a ring.
type Server struct{ Host, Port string }

// Ring is a sorted list of points; a key belongs to the first point at or after the low 32 bits of its hash.
type Ring struct {
	points  []uint32
	servers []int32 // the owner of the point at the same index
}

// Errors of NewRing, in memcached's proxy's words.
var (
	ErrMode    = errors.New("ring_hash: bad omode argument")
	ErrBuckets = errors.New("ring_hash: option argument must be a positive integer")
)

// NewRing makes a ring. mode is "default" (or ""), "ketama" (as libketama), "twemproxy" (as twemproxy and libmemcached: the port
// is left out when it is 11211) or "evcache". buckets is the number of points per server, 0 for DefaultBuckets; the modes other
// than default make four at a time, so a remainder is dropped.
func NewRing(servers []Server, mode string, buckets int) (*Ring, error) {
	if buckets < 0 {
		return nil, ErrBuckets
	}
	if buckets == 0 {
		buckets = DefaultBuckets
	}
	var md5Name func(s Server) string
	switch mode {
	case "", "default":
	case "ketama":
		md5Name = func(s Server) string { return s.Host + ":" + s.Port }
	case "twemproxy":
		md5Name = func(s Server) string {
			if s.Port == "11211" {
				return s.Host
			}
			return s.Host + ":" + s.Port
		}
	case "evcache":
		md5Name = func(s Server) string { return s.Host + "/" + s.Host + ":" + s.Port }
	default:
		return nil, ErrMode
	}
	if md5Name != nil && buckets < 4 {
		return nil, fmt.Errorf("ring_hash: omode %q makes four points at a time, obuckets is %d", mode, buckets)
	}
	if len(servers) > 0 && buckets > maxPoints/len(servers) {
		return nil, fmt.Errorf("ring_hash: obuckets %d with %d servers makes more than %d points", buckets, len(servers), maxPoints)
	}
	var ps []point
	for i, s := range servers {
		if md5Name != nil {
			ps = appendMD5(ps, md5Name(s), buckets/4, int32(i))
		} else {
			ps = appendXXH3(ps, s.Host+":"+s.Port, buckets, int32(i))
		}
	}
	return newRing(ps), nil
}

// point is a place on the ring under construction.
type point struct {
	at     uint32
	server int32
}

// appendXXH3 adds n points named NAME-0 and on.
func appendXXH3(ps []point, name string, n int, server int32) []point {
	for k := range n {
		ps = append(ps, point{uint32(xxh3.HashString(name + "-" + strconv.Itoa(k))), server})
	}
	return ps
}

// appendMD5 adds 4n points, four from the digest of each of NAME-0 and on.
func appendMD5(ps []point, name string, n int, server int32) []point {
	for k := range n {
		d := md5.Sum([]byte(name + "-" + strconv.Itoa(k)))
		for i := 0; i < len(d); i += 4 {
			ps = append(ps, point{binary.LittleEndian.Uint32(d[i:]), server})
		}
	}
	return ps
}

func newRing(ps []point) *Ring {
	// Stable: where two servers share a point, the one named first has it (upstream leaves it to qsort).
	slices.SortStableFunc(ps, func(a, b point) int {
		if a.at < b.at {
			return -1
		}
		if a.at > b.at {
			return 1
		}
		return 0
	})
	r := &Ring{points: make([]uint32, len(ps)), servers: make([]int32, len(ps))}
	for i, p := range ps {
		r.points[i], r.servers[i] = p.at, p.server
	}
	return r
}

// Pick implements Dist.
func (r *Ring) Pick(h uint64) int {
	if len(r.points) == 0 {
		return -1
	}
	i, _ := slices.BinarySearch(r.points, uint32(h))
	if i == len(r.points) {
		i = 0
	}
	return int(r.servers[i])
}
