// Elsewhere nobody says what another process has used.

//go:build !linux

package proc

import (
	"errors"
	"time"
)

var errNoUsage = errors.New("the use of another process can be read on Linux only")

// CPU is the user and system time used so far.
func (p *Process) CPU() (time.Duration, error) { return 0, errNoUsage }

// RSS is the memory that the process has resident, in bytes.
func (p *Process) RSS() (int64, error) { return 0, errNoUsage }
