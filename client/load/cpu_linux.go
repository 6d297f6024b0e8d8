// CPU time of processes and of the machine, on Linux.

package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTimes is the user and system time that the processes have used so far, in all.
func cpuTimes(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		t, err := cpuTime(pid)
		if err != nil {
			return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
		}
		sum += t
	}
	return sum, nil
}

// cpuTime is one process's. The kernel has a clock for each, to the nanosecond; /proc, for where that cannot be read, counts in
// hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: user and system
	var t unix.Timespec
	if pid > 0 && pid < 1<<28 && unix.ClockGettime(int32(^pid<<3|scheduled), &t) == nil { // as clock_getcpuclockid(3) makes it
		return time.Duration(t.Nano()), nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name may hold spaces; utime and stime are the 12th and 13th after it
	return ticks(fields[11:13])
}

// ticks adds numbers of /proc up, in USER_HZ, which is 100 on every architecture that Go runs on.
func ticks(fields [][]byte) (sum time.Duration, err error) {
	for _, f := range fields {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * time.Second / 100
	}
	return sum, nil
}

// ownTime is the CPU time of this process.
func ownTime() (time.Duration, error) { return cpuTime(os.Getpid()) }

// machineTimes are how long all processors together have worked, and how long they have been there for work, since the machine's start.
// Zeroes: that is not known.
func machineTimes() (busy, all time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line) // cpu user nice system idle iowait irq softirq steal ...
	if len(f) < 8 || string(f[0]) != "cpu" {
		return 0, 0
	}
	worked, err := ticks([][]byte{f[1], f[2], f[3], f[6], f[7]})
	if err != nil {
		return 0, 0
	}
	waited, err := ticks(f[4:6])
	if err != nil {
		return 0, 0
	}
	return worked, worked + waited
}
