// Pace: how much of its time work in the background takes.

package leaf

import "time"

// paceMost is the longest rest: of a longer time hardly all was work.
const paceMost = 100 * time.Millisecond

// Storing an item takes its reader several times as long as sending it takes a leaf, and what it takes in one go is what requests there, or of
// anybody on its machine, have to wait for. So items come in small helpings. A rest of less than a millisecond takes one: no timer is finer.
var (
	paceKeys = pace{work: 200 * time.Microsecond, rests: 4}
	paceItem = pace{work: 50 * time.Microsecond, rests: 16}
)

// pace says when to rest. It rests whether or not there are requests: those that a leaf cannot see, of other processes on its
// machine, matter as much. It belongs to one goroutine.
type pace struct {
	work  time.Duration // at least so long between two rests
	rests time.Duration // a rest is so many times the work before it
	since time.Time     // when work began
}

// rest says how long to rest now; 0: go on.
func (p *pace) rest(now time.Time) time.Duration {
	worked := now.Sub(p.since)
	if worked < p.work {
		return 0
	}
	return min(worked*p.rests, paceMost)
}

// resume says that work begins again.
func (p *pace) resume(now time.Time) { p.since = now }
