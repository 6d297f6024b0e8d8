// Health: when a backend is bad, and when to look again.

package backend

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// NoTolerance as a FailureLimit marks a backend bad at its first failure.
const NoTolerance = -1

// HealthOptions say when a backend is marked bad and how long it is left alone. The zero value is memcached's proxy's
// defaults: four failures in a row, then a probe every 3 s, no flap damping.
type HealthOptions struct {
	FailureLimit int           // failures in a row that are tolerated; one more marks it bad. 0: 3. NoTolerance: none.
	RetryMin     time.Duration // wait between going bad and the first probe. 0: 3 s.
	RetryMax     time.Duration // the wait doubles with each failed probe up to this. 0: it stays RetryMin.
	Jitter       float64       // every wait is up to this fraction longer, at random: many proxies do not probe in step.
	FlapTime     time.Duration // a connection lost younger than this has flapped. 0: flaps are not counted.
	FlapRamp     float64       // the wait's growth per flap once flapping. 0: 1.5. At least 1.1.
	FlapMax      time.Duration // the longest wait of a flapping backend. 0: 1 h.

	Now  func() time.Time // nil: time.Now
	Rand func() float64   // in [0, 1), for Jitter. nil: none is added.
}

// withDefaults fills what is zero.
func (o HealthOptions) withDefaults() HealthOptions {
	switch {
	case o.FailureLimit == 0:
		o.FailureLimit = 3
	case o.FailureLimit < 0:
		o.FailureLimit = 0
	}
	if o.RetryMin <= 0 {
		o.RetryMin = 3 * time.Second
	}
	o.RetryMax = max(o.RetryMax, o.RetryMin)
	if o.FlapRamp == 0 {
		o.FlapRamp = 1.5
	}
	o.FlapRamp = max(o.FlapRamp, 1.1)
	if o.FlapMax <= 0 {
		o.FlapMax = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = func() float64 { return 0 }
	}
	return o
}

// Health is the state machine of one connection to a backend. It has no goroutine and no timer: its owner reports what happens
// and asks when to probe. All methods may be called concurrently; Allow, and Success on a healthy backend, take no lock.
//
// A bad backend becomes good only by Greeted or Success. Greeted is weaker on purpose: a server that greets well and then
// lets every request time out stays suspect, so that its next timeout marks it bad again.
type Health struct {
	o HealthOptions

	bad   atomic.Bool
	dirty atomic.Bool // something is remembered that Success would clear

	mu       sync.Mutex
	failures int       // in a row
	timeouts int       // those of them that were timeouts
	flaps    int       // in a row
	met      bool      // connected since the last failure
	since    time.Time // last failure, or connection if later: from here a connection's age counts
	waits    int       // probes waited for since it went bad
	wait     time.Duration
	probe    time.Time // zero while good
	err      error     // the last failure's
}

// HealthState is a snapshot of a Health.
type HealthState struct {
	Bad      bool
	Flapping bool          // bad, or would be at the next failure, because of flaps
	Failures int           // in a row
	Flaps    int           // in a row
	Wait     time.Duration // what was added to the last failure's time to get NextProbe; 0 while good
	Probe    time.Time     // NextProbe
	Err      error         // the last failure; kept until the next one
}

// NewHealth gives a healthy Health.
func NewHealth(o HealthOptions) *Health {
	h := &Health{o: o.withDefaults()}
	h.since = h.o.Now()
	return h
}

// Allow reports whether requests may be sent: the backend is not marked bad.
func (h *Health) Allow() bool { return !h.bad.Load() }

// Success reports an answer to a request. Everything is forgiven, flaps excepted: those end by living long enough.
func (h *Health) Success() {
	if !h.dirty.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timeouts = 0
	h.goodLocked()
}

// Connected reports a connection that is made, before anything was said over it: from here its age counts. Owners that know no
// such moment leave it to Greeted.
func (h *Health) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metLocked()
}

func (h *Health) metLocked() {
	if !h.met {
		h.met, h.since = true, h.o.Now()
	}
}

// Greeted reports a connection that is up and has answered its greeting (version, hello). The backend is good again,
// but timeouts in a row stay counted until Success.
func (h *Health) Greeted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metLocked()
	// A passed probe leaves room for exactly one more timeout, not for a whole series.
	h.timeouts = min(h.timeouts, h.o.FailureLimit)
	h.goodLocked()
}

func (h *Health) goodLocked() {
	h.failures = h.timeouts
	h.wait, h.probe = 0, time.Time{}
	if h.timeouts == 0 {
		h.waits = 0 // else the back-off of a server that only greets goes on growing
	}
	h.bad.Store(false)
	h.dirty.Store(h.timeouts > 0)
}

// Failure reports a lost connection, a failed attempt or a timeout, and whether the backend just became bad by it. While it is
// bad, only a failure after NextProbe counts (a failed probe); the rest are stragglers of the same outage.
func (h *Health) Failure(err error) (justBad bool) {
	return h.Lost(err, !errors.Is(err, ErrProtocol)) // a broken protocol is not a flap
}

// Lost is Failure by an owner who knows whether a connection that is lost like this has flapped if it was young.
func (h *Health) Lost(err error, flap bool) (justBad bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.o.Now()
	h.err = err
	wasBad := h.bad.Load()
	if wasBad && now.Before(h.probe) {
		return false
	}
	h.failures++
	if errors.Is(err, ErrTimeout) {
		h.timeouts++
	}
	h.dirty.Store(true)
	h.flapLocked(now, flap)
	if h.failures <= h.o.FailureLimit && !h.flappingLocked() {
		return false
	}
	h.wait = h.waitLocked()
	h.waits++
	h.probe = now.Add(h.wait)
	h.bad.Store(true)
	return !wasBad
}

// flapLocked counts a connection that did not live long, if it is one to count.
func (h *Health) flapLocked(now time.Time, flap bool) {
	if flap && h.o.FlapTime > 0 && h.met {
		if now.Sub(h.since) > h.o.FlapTime {
			h.flaps = 0
		} else {
			h.flaps++
		}
	}
	h.met = false
	h.since = now
}

func (h *Health) flappingLocked() bool { return h.flaps > h.o.FailureLimit }

// waitLocked is how long to wait for the next probe.
func (h *Health) waitLocked() time.Duration {
	w, limit := float64(h.o.RetryMin), float64(h.o.RetryMax)
	if h.flappingLocked() {
		limit = float64(h.o.FlapMax)
		for i := 0; i < h.flaps && w < limit; i++ {
			w *= h.o.FlapRamp
		}
	} else {
		for i := 0; i < h.waits && w < limit; i++ {
			w *= 2
		}
	}
	w = min(w, limit)
	return time.Duration(w + w*h.o.Jitter*h.o.Rand())
}

// NextProbe is when a bad backend may be tried again; the zero time while it is good.
func (h *Health) NextProbe() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.probe
}

// State is a snapshot.
func (h *Health) State() HealthState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return HealthState{
		Bad:      h.bad.Load(),
		Flapping: h.flappingLocked(),
		Failures: h.failures,
		Flaps:    h.flaps,
		Wait:     h.wait,
		Probe:    h.probe,
		Err:      h.err,
	}
}
