// A ring gives what it was given, in order, and holds no more than it may.

package pipe

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 4 * least
		var r ring
		var held []byte
		next := byte(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			p := make([]byte, rapid.IntRange(0, 2*limit).Draw(t, "bytes"))
			if rapid.Bool().Draw(t, "put") {
				for i := range p {
					p[i] = next
					next += 3
				}
				n := r.put(p, limit)
				if want := min(len(p), limit-len(held)); n != want {
					t.Fatalf("put %d of %d beside %d, want %d", n, len(p), len(held), want)
				}
				next -= byte(3 * (len(p) - n))
				held = append(held, p[:n]...)
				continue
			}
			n := r.take(p)
			if n != min(len(p), len(held)) || !bytes.Equal(p[:n], held[:n]) {
				t.Fatalf("took %d of %d, or others", n, len(held))
			}
			held = held[n:]
		}
		if len(r.buf) > limit {
			t.Fatalf("has grown to %d", len(r.buf))
		}
	})
}
