// CPU time of other processes, on Linux.

package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticks a second in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// cpuTimes is the user and system time that the processes have used so far, in all.
func cpuTimes(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
		}
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name may hold spaces; utime and stime are the 12th and 13th after it
		for _, i := range []int{11, 12} {
			n, err := strconv.ParseInt(string(fields[i]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
			}
			sum += time.Duration(n) * time.Second / ticks
		}
	}
	return sum, nil
}
