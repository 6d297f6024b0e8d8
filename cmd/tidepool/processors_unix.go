//go:build unix

// Processor time of this process, and the time it waits for it.

package main

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// processorTime is what the process has used, in user and in system mode.
func processorTime() (time.Duration, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}

// processorWait is how long the threads of this process have been ready to run and not running. Linux tells, if it was built to; see
// schedstat in its Documentation/scheduler/sched-stats.rst.
func processorWait() (time.Duration, bool) {
	const tasks = "/proc/self/task/"
	dir, err := os.Open(tasks)
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, false
	}
	var sum time.Duration
	for _, name := range names {
		b, _ := os.ReadFile(tasks + name + "/schedstat") // run time, wait time, time slices; nothing if the thread has ended
		if f := bytes.Fields(b); len(f) == 3 {
			ns, _ := strconv.ParseInt(string(f[1]), 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum, true
}
