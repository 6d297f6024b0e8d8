// Large answers: buffers that go from a backend's reader to the request, and back to a pool.

package backend

import "sync"

// Large is the length in bytes from which an answer is handed over with the buffer that it was read into, not copied.
const Large = 64 << 10

// blockSizes are the size classes. Items are a little less than a power of two, with the line before them.
var blockSizes = [...]int{Large, 256 << 10, 1<<20 + 16<<10, 4<<20 + 16<<10}

var blocks [len(blockSizes)]sync.Pool

// Block is a buffer of one of a few sizes. It belongs to one goroutine at a time.
type Block struct {
	B     []byte // of its full length
	class int    // in blockSizes; len(blockSizes) if it is larger than all: not pooled
}

// NewBlock gives a block of at least size bytes, with whatever was in it.
func NewBlock(size int) *Block {
	class := 0
	for class < len(blockSizes) && blockSizes[class] < size {
		class++
	}
	if class == len(blockSizes) {
		return &Block{make([]byte, size), class}
	}
	if b, ok := blocks[class].Get().(*Block); ok {
		return b
	}
	return &Block{make([]byte, blockSizes[class]), class}
}

// Release gives b back. Nothing may use its bytes afterwards.
func (b *Block) Release() {
	if b.class < len(blockSizes) {
		blocks[b.class].Put(b)
	}
}

// Holds is how many bytes of memory p's answer takes: a large one lies in a buffer of a size class.
func (p *Pending) Holds() int {
	if p.block != nil && p.block.class < len(blockSizes) {
		return len(p.block.B)
	}
	return len(p.Buf)
}

// Own makes buf, which lies in b, p's answer; b is p's from now on. A b of nil: buf is left to the garbage collector. Resp is the caller's to set.
func (p *Pending) Own(b *Block, buf []byte) {
	p.small, p.block, p.Buf = p.Buf[:0], b, buf
}
