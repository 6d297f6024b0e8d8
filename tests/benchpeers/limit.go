// How many files a process may open.

package main

import (
	"fmt"
	"syscall"
)

// allowFiles raises the limit of open files, for this process and those that it starts, to n at least.
func allowFiles(n int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	l.Cur, l.Max = max(l.Cur, uint64(n)), max(l.Max, uint64(n))
	// Set even where it is high enough: what Go itself has raised at its start, it takes back for those whom it starts.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot raise the limit of open files to %d (ulimit -n, as root): %w", n, err)
	}
	return nil
}
