// The system calls, made without the scheduler's bookkeeping. They are those for sockets: read and write do the same, and look first
// whether what they have is a file.

package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func read(fd int, p []byte) (int, error)  { return call(syscall.SYS_RECVFROM, fd, p) }
func write(fd int, p []byte) (int, error) { return call(syscall.SYS_SENDTO, fd, p) }

func unsent(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// call is a recvfrom or sendto of a p that is not empty.
func call(trap uintptr, fd int, p []byte) (int, error) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	n, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
