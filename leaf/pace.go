// Pace: how much of its time work in the background takes while requests come.

package leaf

import "time"

const (
	paceWork = time.Millisecond // at most so long, about, between two rests
	paceRest = 3                // a rest is so many times the work before it: a quarter of a processor
)

// pace says when to rest. It belongs to one goroutine.
type pace struct {
	since time.Time // when work began
	busy  uint64    // what counted requests then
}

func newPace(now time.Time) pace { return pace{since: now} }

// rest says how long to rest now; 0: go on. busy is any number that grows with requests.
func (p *pace) rest(now time.Time, busy uint64) time.Duration {
	worked := now.Sub(p.since)
	if worked < paceWork {
		return 0
	}
	was := p.busy
	p.since, p.busy = now, busy
	if busy == was {
		return 0
	}
	return min(worked, 20*paceWork) * paceRest // a long time was not all ours
}

// resume says that work begins again.
func (p *pace) resume(now time.Time) { p.since = now }
