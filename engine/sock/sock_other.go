// Other systems: only Linux promises that its system calls may be made directly.

//go:build unix && !linux

package sock

import "syscall"

func read(fd int, p []byte) (int, error)  { return syscall.Read(fd, p) }
func write(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
func unsent(int) int                      { return 0 }
