// The set of open sessions, and the limiter of what scripts can make us log.

package engine

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// sessionSet is every open session. The zero value is ready.
type sessionSet struct {
	mu  sync.Mutex
	all map[*session]struct{}
}

func (t *sessionSet) add(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[*session]struct{}{}
	}
	t.all[s] = struct{}{}
}

func (t *sessionSet) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, s)
}

// wake wakes every session, to look at whether its generation has been cut.
func (t *sessionSet) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.all {
		s.Wake()
	}
}

// maxLooks is how often pass looks at a session that is busy each time, a second in all. Sending does not block: it is at another thing by then.
const maxLooks = 200

// pass waits until every session that is sending now has sent what it is at. It gives up when stop is closed.
func (t *sessionSet) pass(stop <-chan struct{}) {
	t.mu.Lock()
	all := slices.Collect(maps.Keys(t.all))
	t.mu.Unlock()
	for range maxLooks {
		if all = slices.DeleteFunc(all, (*session).idle); len(all) == 0 {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Second / maxLooks):
		}
	}
}

// idle reports whether s sends nothing at this moment.
func (s *session) idle() bool {
	if s.parked.Load() {
		return true
	}
	if s.turn.TryLock() {
		s.turn.Unlock()
		return true
	}
	return false
}

// limiter lets a few events of a kind through each second. The zero value is ready.
type limiter struct {
	mu      sync.Mutex
	second  time.Time
	n       int
	dropped int
}

// maxPerSecond is how many script errors and script log lines are logged a second.
const maxPerSecond = 10

// allow is whether l lets an event through now. Tests of routes want all.
func (p *Proxy) allow(l *limiter) (ok bool, dropped int) {
	if p.offline {
		return true, 0
	}
	return l.allow(p.wall())
}

// allow reports whether this event may be logged, and how many were not since the last that was.
func (l *limiter) allow(now time.Time) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.second) >= time.Second {
		l.second, l.n = now, 0
	}
	if l.n >= maxPerSecond {
		l.dropped++
		return false, 0
	}
	l.n++
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}
