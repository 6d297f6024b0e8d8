// Waking up on time, on Linux.

package load

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm sleeps to within some microseconds. Go's own timers wake an idle process up to a millisecond late, because its poller waits in
// whole milliseconds: requests would be sent in bursts. The last stretch is slept in the kernel, without telling Go's scheduler:
// to hand the processor over and to take it back costs several times what is sent in between. So it wants a processor of
// its own, among those that Go thinks there are; where there is only one, Go's timers must do. One goroutine uses it.
type alarm struct{ coarse bool }

// stretch is how long a processor may be held without doing anything: the collector waits for it.
const stretch = 2 * time.Millisecond

func newAlarm() *alarm {
	if runtime.GOMAXPROCS(0) == 1 {
		return &alarm{coarse: true}
	}
	runtime.LockOSThread()
	setSlack(1)
	return new(alarm)
}

// setSlack says how late, in nanoseconds, the kernel may wake this thread; 0: its default, 50 µs. Where it cannot be said it is that.
func setSlack(ns uintptr) { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, ns, 0, 0, 0) }

// sleep returns at about the time, or earlier: the caller looks at the clock.
func (a *alarm) sleep(d time.Duration) {
	if a.coarse {
		time.Sleep(d)
		return
	}
	if d > stretch {
		time.Sleep(d - stretch)
		return
	}
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

func (a *alarm) close() {
	if !a.coarse {
		setSlack(0)
		runtime.UnlockOSThread()
	}
}
