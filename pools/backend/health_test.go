package backend

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

var errLost = fmt.Errorf("%w: reset", ErrDisconnected)
var errSlow = fmt.Errorf("%w: 3s", ErrTimeout)
var errRubbish = fmt.Errorf("%w: garbage", ErrProtocol)

// clock is a time that only moves when told to.
type clock struct{ t time.Time }

func newClock() *clock                   { return &clock{time.Unix(1000, 0)} }
func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func TestHealthLimit(t *testing.T) {
	f := func(limit, failures int, wantBad bool) {
		t.Helper()
		c := newClock()
		h := NewHealth(HealthOptions{FailureLimit: limit, Now: c.now})
		told := 0
		for range failures {
			if h.Failure(errLost) {
				told++
			}
		}
		if h.Allow() == wantBad {
			t.Errorf("limit %d, %d failures: Allow %v", limit, failures, h.Allow())
		}
		if want := map[bool]int{true: 1}[wantBad]; told != want {
			t.Errorf("limit %d, %d failures: told %d times that it became bad, want %d", limit, failures, told, want)
		}
	}
	f(0, 3, false)
	f(0, 4, true)
	f(0, 9, true)
	f(1, 1, false)
	f(1, 2, true)
	f(NoTolerance, 0, false)
	f(NoTolerance, 1, true)
}

func TestHealthForgives(t *testing.T) {
	f := func(name string, forgive func(*Health), failure error, wantBad bool) {
		t.Helper()
		h := NewHealth(HealthOptions{Now: newClock().now})
		for range 3 {
			h.Failure(failure)
		}
		forgive(h)
		h.Failure(failure)
		if h.Allow() == wantBad {
			t.Errorf("%s after %v: Allow %v after one more failure", name, failure, h.Allow())
		}
	}
	f("nothing", func(*Health) {}, errLost, true)
	f("Success", (*Health).Success, errLost, false)
	f("Success", (*Health).Success, errSlow, false)
	f("Greeted", (*Health).Greeted, errLost, false)
	f("Greeted", (*Health).Greeted, errSlow, true) // it greets, and then lets requests time out
}

// A server that greets but never answers goes bad, passes its probe, and one timeout later is bad again, with a growing wait.
func TestHealthGreetsOnly(t *testing.T) {
	c := newClock()
	h := NewHealth(HealthOptions{FailureLimit: 1, RetryMin: time.Second, RetryMax: 5 * time.Second, Now: c.now})
	h.Failure(errSlow)
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		if !h.Failure(errSlow) {
			t.Fatalf("round %d: one timeout did not make it bad again: %+v", i, h.State())
		}
		if got := h.State().Wait; got != want*time.Second {
			t.Fatalf("round %d: wait %v, want %vs", i, got, int(want))
		}
		c.advance(h.State().Wait)
		h.Greeted()
		if !h.Allow() || !h.NextProbe().IsZero() {
			t.Fatalf("round %d: not good after a passed probe: %+v", i, h.State())
		}
	}
	h.Success()
	if h.Failure(errSlow) {
		t.Error("an answer did not forgive the timeouts")
	}
}

func TestHealthBackOff(t *testing.T) {
	c := newClock()
	rnd := 0.0
	h := NewHealth(HealthOptions{
		FailureLimit: NoTolerance, RetryMin: time.Second, RetryMax: 10 * time.Second, Jitter: 0.5,
		Now: c.now, Rand: func() float64 { return rnd },
	})
	f := func(r float64, want time.Duration) {
		t.Helper()
		rnd = r
		h.Failure(errLost)
		if got := h.NextProbe().Sub(c.t); got != want {
			t.Errorf("probe in %v, want %v", got, want)
		}
		c.advance(want)
	}
	f(0, time.Second)
	f(0.5, 2500*time.Millisecond)
	f(0, 4*time.Second)
	f(0, 8*time.Second)
	f(0, 10*time.Second)
	f(1, 15*time.Second)
	h.Greeted()
	f(0, time.Second)
}

// What comes in late from the outage that made it bad is not another failed probe.
func TestHealthStragglers(t *testing.T) {
	c := newClock()
	h := NewHealth(HealthOptions{FailureLimit: NoTolerance, RetryMin: time.Second, RetryMax: time.Minute, Now: c.now})
	h.Failure(errLost)
	before := h.State()
	for range 20 {
		c.advance(time.Millisecond)
		if h.Failure(errSlow) {
			t.Error("a straggler made it bad again")
		}
	}
	after := h.State()
	if after.Failures != before.Failures || !after.Probe.Equal(before.Probe) {
		t.Errorf("stragglers counted: %+v, before %+v", after, before)
	}
	if !errors.Is(after.Err, ErrTimeout) {
		t.Errorf("last error %v, want the straggler's", after.Err)
	}
}

func TestHealthFlaps(t *testing.T) {
	c := newClock()
	h := NewHealth(HealthOptions{FailureLimit: 2, RetryMin: time.Second, FlapTime: 10 * time.Second, FlapMax: 5 * time.Second, Now: c.now})
	live := func(d time.Duration, err error) bool {
		h.Greeted()
		h.Success()
		c.advance(d)
		return h.Failure(err)
	}
	f := func(d time.Duration, err error, wantFlaps int, wantWait time.Duration) {
		t.Helper()
		justBad := live(d, err)
		s := h.State()
		if justBad != (wantWait > 0) || s.Flaps != wantFlaps || s.Wait != wantWait || s.Flapping != (wantWait > 0) {
			t.Errorf("lived %v: just bad %v, %+v; want %d flaps and a wait of %v", d, justBad, s, wantFlaps, wantWait)
		}
		c.advance(s.Wait)
	}
	f(time.Second, errLost, 1, 0)
	f(time.Second, errSlow, 2, 0)
	f(time.Second, errRubbish, 2, 0)        // not the network's doing
	f(11*time.Second, errLost, 0, 0)        // lived long enough
	f(9*time.Second, errLost, 1, 0)         //
	f(10*time.Second, errLost, 2, 0)        //
	f(0, errLost, 3, 3375*time.Millisecond) // 1 s * 1.5^3
	f(0, errLost, 4, 5*time.Second)         // 5.06, over the limit
	f(11*time.Second, errLost, 0, 0)

	h.Failure(errLost) // a failed attempt is no flap: it never was up
	if got := h.State().Flaps; got != 0 {
		t.Errorf("a failed attempt counted as a flap: %d", got)
	}

	// A connection is as old as itself, not as its greeting; and whoever knows better says what a flap is.
	g := func(beforeGreeting, after time.Duration, flap bool, wantFlaps int) {
		t.Helper()
		h.Connected()
		c.advance(beforeGreeting)
		h.Greeted()
		c.advance(after)
		h.Lost(errLost, flap)
		if got := h.State().Flaps; got != wantFlaps {
			t.Errorf("%v, greeted, %v, a flap: %v: %d flaps, want %d", beforeGreeting, after, flap, got, wantFlaps)
		}
	}
	g(time.Second, time.Second, true, 1)
	g(time.Second, time.Second, false, 1)
	g(6*time.Second, 6*time.Second, true, 0)
	h.Connected() // lost before it has greeted
	if h.Lost(errLost, true); h.State().Flaps != 1 {
		t.Errorf("%+v", h.State())
	}
}

func TestHealthNoAllocation(t *testing.T) {
	h := NewHealth(HealthOptions{})
	if n := testing.AllocsPerRun(100, func() {
		if h.Allow() {
			h.Success()
		}
	}); n != 0 {
		t.Errorf("Allow and Success allocate %v times", n)
	}
}
