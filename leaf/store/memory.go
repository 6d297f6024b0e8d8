// Where the bytes come from: one count against the limit, one region for segments, mappings for large items.

package store

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// memory hands out segment buffers and counts every byte that the store takes against its limit. Nothing is taken that
// would pass it. Buffers of segments come from one region of address space as large as the limit, reserved at Open and
// touched as it is needed, so what the region holds of the process's memory cannot pass the limit either. Safe for
// concurrent use; its lock is taken last.
type memory struct {
	limit   int64
	used    atomic.Int64
	segSize int
	region  []byte
	page    int64

	mu    sync.Mutex
	free  []uint32 // buffers given back, by number; the last ones still hold pages
	cold  int      // so many of free, from its start, were given back to the system
	fresh uint32   // buffers from here on were never used
	keep  int      // so many free buffers may hold pages
}

func openMemory(limit int64, segSize int) (*memory, error) {
	region, err := mapBytes(int(limit))
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %d bytes of address space: %w", limit, err)
	}
	m := &memory{limit: limit, segSize: segSize, region: region, page: int64(os.Getpagesize())}
	m.keep = int(limit/64)/segSize + 16
	return m, nil
}

// take counts n bytes; false, and nothing counted, if the limit would be passed.
func (m *memory) take(n int64) bool {
	for {
		u := m.used.Load()
		if u+n > m.limit {
			return false
		}
		if m.used.CompareAndSwap(u, u+n) {
			return true
		}
	}
}

func (m *memory) give(n int64) { m.used.Add(-n) }

// left is how much may still be taken.
func (m *memory) left() int64 { return m.limit - m.used.Load() }

// buffer gives a segment's buffer, or nil at the limit.
func (m *memory) buffer() []byte {
	if !m.take(int64(m.segSize)) {
		return nil
	}
	m.mu.Lock()
	n := m.fresh
	if last := len(m.free) - 1; last >= 0 {
		n = m.free[last]
		m.free = m.free[:last]
		m.cold = min(m.cold, last)
	} else {
		m.fresh++
	}
	m.mu.Unlock()
	from, to := int(n)*m.segSize, (int(n)+1)*m.segSize
	return m.region[from:to:to]
}

// release takes a segment's buffer back. Only a few free ones keep their pages: the limit may be needed for large items.
func (m *memory) release(buf []byte) {
	n := uint32(offsetIn(m.region, buf) / m.segSize)
	m.mu.Lock()
	m.free = append(m.free, n)
	if len(m.free)-m.cold > m.keep {
		from := int(m.free[m.cold]) * m.segSize
		dropPages(m.region[from : from+m.segSize])
		m.cold++
	}
	m.mu.Unlock()
	m.give(int64(m.segSize))
}

// large gives a mapping of its own for an item of n bytes; nil without an error at the limit.
func (m *memory) large(n int) ([]byte, error) {
	whole := m.rounded(n)
	if !m.take(whole) {
		return nil, nil
	}
	buf, err := mapBytes(int(whole))
	if err != nil {
		m.give(whole)
		return nil, fmt.Errorf("cannot map %d bytes: %w", whole, err)
	}
	return buf, nil
}

func (m *memory) releaseLarge(buf []byte) {
	unmapBytes(buf)
	m.give(int64(len(buf)))
}

func (m *memory) rounded(n int) int64 { return (int64(n) + m.page - 1) &^ (m.page - 1) }

func (m *memory) close() {
	unmapBytes(m.region)
	m.region = nil
}
