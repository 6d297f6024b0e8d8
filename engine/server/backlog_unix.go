//go:build unix

// The length of a listener's queue of clients that have not been accepted.

package server

import "syscall"

// setBacklog calls listen again, which changes nothing but that length.
func setBacklog(fd, n int) error { return syscall.Listen(fd, n) }
