package backend

import (
	"testing"
)

func TestBlocks(t *testing.T) {
	for _, size := range []int{0, 1, Large, Large + 1, 1 << 20, 4 << 20, 5 << 20, 100 << 20} {
		b := NewBlock(size)
		if len(b.B) < size || len(b.B) < Large {
			t.Errorf("%d bytes asked for, %d given", size, len(b.B))
		}
		b.Release()
	}
}

// A Pending that had a large answer goes back with the small buffer that it had before, and not with the large one.
func TestOwn(t *testing.T) {
	for _, b := range []*Block{NewBlock(Large), nil} {
		p := new(Pending)
		p.Buf = append(p.Buf, "END\r\n"...)
		small := &p.Buf[0]
		large := make([]byte, Large)
		if b != nil {
			large = b.B[:Large]
		}
		p.Own(b, large)
		if &p.Buf[0] != &large[0] {
			t.Error("the answer is not where it was")
		}
		p.Release()
		if p.block != nil || p.small != nil || cap(p.Buf) == 0 || &p.Buf[:1][0] != small {
			t.Errorf("after Release: %+v", p)
		}
	}
}
