// Jump: consistent hashing by position in the list.

package hash

// Jump is the jump consistent hash over n places: growing the list by one moves 1/(n+1) of the keys, all to the new place.
// Names do not matter, order does.
type Jump struct{ n int64 }

// NewJump distributes over n places.
func NewJump(n int) Jump { return Jump{int64(n)} }

// Pick implements Dist.
func (d Jump) Pick(h uint64) int {
	b, j := int64(-1), int64(0)
	for j < d.n {
		b = j
		h = h*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(1<<31) / float64((h>>33)+1)))
	}
	return int(b)
}
