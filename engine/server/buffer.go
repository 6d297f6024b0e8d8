// Read buffers: pooled size classes, and the limit on all of them together.

package server

import (
	"sync"
	"sync/atomic"
)

// bufferSizes are the size classes. The larger ones have a little more than a power of two so that an item of that
// size fits with its command line.
var bufferSizes = [...]int{16 << 10, 64 << 10, 256 << 10, 1<<20 + 16<<10, 4<<20 + 16<<10, 16<<20 + 16<<10, 64<<20 + 16<<10}

// buffer is a read buffer; it belongs to one connection at a time.
type buffer struct {
	b     []byte
	class int // index into bufferSizes; len(bufferSizes) when larger than any
}

// bufferPools hands out buffers and counts the bytes of those that are out and larger than the smallest class. The
// smallest is not counted: a connection holds one only while it has work, and MaxConns bounds them.
type bufferPools struct {
	pools  [len(bufferSizes)]sync.Pool
	limit  int64
	used   atomic.Int64
	others func() int64 // what else is held; nil: nothing
}

// get gives a buffer of at least size bytes, or nil if that would exceed the limit.
func (p *bufferPools) get(size int) *buffer {
	class := 0
	for class < len(bufferSizes) && bufferSizes[class] < size {
		class++
	}
	if class > 0 {
		if class < len(bufferSizes) {
			size = bufferSizes[class]
		}
		if !p.reserve(size) {
			return nil
		}
	}
	if class == len(bufferSizes) {
		return &buffer{b: make([]byte, size), class: class}
	}
	if b, ok := p.pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, bufferSizes[class]), class: class}
}

// forget stops counting b, which may be nil, and leaves it to the garbage collector.
func (p *bufferPools) forget(b *buffer) {
	if b != nil && b.class > 0 {
		p.release(len(b.b))
	}
}

// put takes a buffer back.
func (p *bufferPools) put(b *buffer) {
	p.forget(b)
	if b.class < len(bufferSizes) {
		p.pools[b.class].Put(b)
	}
}

// reserve counts n more bytes as buffered, unless that would exceed the limit.
func (p *bufferPools) reserve(n int) bool {
	if p.used.Add(int64(n)) > p.limit {
		p.used.Add(int64(-n))
		return false
	}
	return true
}

// full reports whether there is hardly any room left, with what others hold. Those look at that; who writes an answer that is not theirs, or reads
// a request, does not: a client that is served as fast as it asks is not to be cut because others are full.
func (p *bufferPools) full() bool {
	n := p.used.Load()
	if p.others != nil {
		n += p.others()
	}
	return n >= p.limit-p.limit/8
}

func (p *bufferPools) release(n int) { p.used.Add(int64(-n)) }
