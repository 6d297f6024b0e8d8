// The clock that a proxy may be given in place of the machine's.

package backend

import "time"

// Clock is time for everything between a client's request and its answer, and for what scripts see of it. Where one is wanted nil is the
// machine's; tests of routes have one on which nothing takes any time but what they say (engine/routetest). All methods may be called
// concurrently.
type Clock interface {
	// Now is what the function Now is: monotonic nanoseconds, of Pending.Start and End and of deadlines.
	Now() int64
	// Wall is the time of day.
	Wall() time.Time
	// AfterFunc calls f after d, in a goroutine of its own.
	AfterFunc(d time.Duration, f func()) Timer
	// Go calls f in a goroutine of its own, in which Wait may be called.
	Go(f func())
	// Wait waits until something comes from c, or until d has passed if it is not negative. It reports whether something came.
	Wait(c <-chan struct{}, d time.Duration) bool
}

// Timer is what AfterFunc gives. *time.Timer is one.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}
