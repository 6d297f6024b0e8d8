// CPU times are known on Linux only.

//go:build !linux

package load

import (
	"errors"
	"time"
)

var errLinux = errors.New("cannot read CPU times of processes: that is done on Linux only")

func cpuTimes(pids []int) (time.Duration, error) {
	if len(pids) > 0 {
		return 0, errLinux
	}
	return 0, nil
}

func ownTime() (time.Duration, error)         { return 0, errLinux }
func machineTimes() (busy, all time.Duration) { return 0, 0 }
