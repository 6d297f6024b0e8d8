// System calls on non-blocking sockets, without the poller's bookkeeping.

//go:build unix

package server

import "syscall"

// readFD reads once. EAGAIN: nothing is there.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// writeFD writes as much of p as fits. EAGAIN with fewer bytes written than there are: the rest must wait.
func writeFD(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := syscall.Write(fd, p[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}
