// Pace: how much of its time work in the background takes.

package leaf

import "time"

const (
	paceWork = 200 * time.Microsecond // at least so long between two rests: no timer is finer than what a rest of it takes
	paceRest = 16                     // a rest is so many times the work before it
	paceKeys = 4                      // a rest is so many times the work before it
	paceItem = 16                     // the same where items are sent: storing one takes its reader several times as long
	paceMost = 100 * time.Millisecond // the longest rest: of a longer time hardly all was work
)

// pace says when to rest. It rests whether or not there are requests: those that a leaf cannot see, of other processes on its
// machine, matter as much. It belongs to one goroutine.
type pace struct {
	rests time.Duration // paceKeys or paceItem
	since time.Time     // when work began
}

// rest says how long to rest now; 0: go on.
func (p *pace) rest(now time.Time) time.Duration {
	worked := now.Sub(p.since)
	if worked < paceWork {
		return 0
	}
	return min(worked*p.rests, paceMost)
}

// resume says that work begins again.
func (p *pace) resume(now time.Time) { p.since = now }
