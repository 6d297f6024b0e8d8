// Waking up on time, on Linux.

package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm sleeps to the microsecond. Go's own timers wake an idle process up to a millisecond late, because its poller waits in whole
// milliseconds: requests would be sent in bursts. A timer of the kernel's, waited for like a socket, is on time. One goroutine uses it.
type alarm struct {
	file *os.File
	fd   int
	buf  [8]byte // how often it went off
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &alarm{file: os.NewFile(uintptr(fd), "timer"), fd: fd}, nil
}

func (a *alarm) sleep(d time.Duration) error {
	t := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(a.fd, 0, &t, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	_, err := a.file.Read(a.buf[:])
	return err
}

func (a *alarm) close() { a.file.Close() }
