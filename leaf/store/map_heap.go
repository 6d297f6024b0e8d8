// Bytes from Go's heap: elsewhere, where only the accounting bounds memory, and under the race detector, which sees only the heap.

//go:build !linux || race

package store

import "unsafe"

func mapBytes(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapBytes([]byte) {}

func dropPages([]byte) {}

// offsetIn is where part begins within whole.
func offsetIn(whole, part []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole))))
}
