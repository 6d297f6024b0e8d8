// The bytes under way in one direction.

package pipe

// ring holds bytes in the order in which they came. The zero value is empty.
type ring struct {
	buf     []byte
	head, n int // where the first byte is, and how many there are
}

// least is the size of a ring that holds anything.
const least = 16 << 10

// put appends as much of p as can be held if the ring is to have at most limit bytes, for which it grows.
func (r *ring) put(p []byte, limit int) (n int) {
	if len(p) > len(r.buf)-r.n {
		r.grow(min(r.n+len(p), limit))
	}
	for n < len(p) && r.n < len(r.buf) { // twice at most: up to the end of buf, and from its start
		from, to := r.head+r.n, len(r.buf)
		if from >= to {
			from, to = from-len(r.buf), r.head
		}
		m := copy(r.buf[from:to], p[n:])
		n, r.n = n+m, r.n+m
	}
	return n
}

// take moves what came first to p.
func (r *ring) take(p []byte) (n int) {
	for n < len(p) && r.n > 0 { // twice at most, as above
		m := copy(p[n:], r.buf[r.head:min(r.head+r.n, len(r.buf))])
		n, r.n, r.head = n+m, r.n-m, r.head+m
		if r.head == len(r.buf) {
			r.head = 0
		}
	}
	if r.n == 0 {
		r.head = 0 // the same, warm bytes are used again
	}
	return n
}

// grow makes room for want bytes in all.
func (r *ring) grow(want int) {
	size := max(len(r.buf), least)
	for size < want {
		size *= 2
	}
	if size == len(r.buf) {
		return
	}
	n, buf := r.n, make([]byte, size)
	r.take(buf)
	*r = ring{buf: buf, n: n}
}
