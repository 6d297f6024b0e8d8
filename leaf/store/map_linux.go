// Bytes outside the garbage-collected heap, from the system: Linux.

//go:build !race

package store

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapBytes gives n zeroed bytes whose pages the system provides when they are first touched.
func mapBytes(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil && n >= 4<<20 {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a tenth off a random get
	}
	return b, err
}

func unmapBytes(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic("store: cannot unmap: " + err.Error()) // not a mapping of ours: memory is corrupt
	}
}

// dropPages gives the pages under b back; its bytes are undefined afterwards.
func dropPages(b []byte) {
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // or the kernel would fill the gap to a huge page again
	_ = unix.Madvise(b, unix.MADV_DONTNEED)
}

// offsetIn is where part begins within whole.
func offsetIn(whole, part []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole))))
}
