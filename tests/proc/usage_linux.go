// What a process has used, from /proc.

package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is USER_HZ: 100 a second on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the user and system time used so far, exact to 10 ms.
func (p *Process) CPU() (sum time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", p.PID(), err)
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name may hold spaces
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseInt(string(f[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", p.PID(), err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// RSS is the memory that the process has resident, in bytes.
func (p *Process) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("cannot read the memory of process %d: %w", p.PID(), err)
	}
	n, err := strconv.ParseInt(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read the memory of process %d: %w", p.PID(), err)
	}
	return n * int64(os.Getpagesize()), nil
}
