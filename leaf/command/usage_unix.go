//go:build unix

// Processor time of this process, for stats.

package command

import (
	"fmt"
	"syscall"
)

// appendUsage appends rusage_user and rusage_system.
func appendUsage(dst []byte) []byte {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return dst
	}
	dst = fmt.Appendf(dst, "STAT rusage_user %d.%06d\r\n", u.Utime.Sec, u.Utime.Usec)
	return fmt.Appendf(dst, "STAT rusage_system %d.%06d\r\n", u.Stime.Sec, u.Stime.Usec)
}
