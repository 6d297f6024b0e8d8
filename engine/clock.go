// The proxy's clock: the machine's, or Options.Clock.

package engine

import (
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// now is monotonic nanoseconds.
func (p *Proxy) now() int64 {
	if c := p.opts.Clock; c != nil {
		return c.Now()
	}
	return backend.Now()
}

// wall is the time of day.
func (p *Proxy) wall() time.Time {
	if c := p.opts.Clock; c != nil {
		return c.Wall()
	}
	return time.Now()
}

// afterFunc is time.AfterFunc.
func (p *Proxy) afterFunc(d time.Duration, f func()) backend.Timer {
	if c := p.opts.Clock; c != nil {
		return c.AfterFunc(d, f)
	}
	return time.AfterFunc(d, f)
}

// spawn calls f in a goroutine of its own.
func (p *Proxy) spawn(f func()) {
	if c := p.opts.Clock; c != nil {
		c.Go(f)
		return
	}
	go f()
}

// pause waits until the session is woken, or until d has passed if it is not negative. It reports whether the session was woken.
func (s *session) pause(d time.Duration) bool {
	if c := s.p.opts.Clock; c != nil {
		return c.Wait(s.wakeup, d)
	}
	s.parked.Store(true)
	defer s.parked.Store(false)
	if d < 0 {
		<-s.wakeup
		return true
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-s.wakeup:
		s.timer.Stop()
		return true
	case <-s.timer.C:
		return false
	}
}
