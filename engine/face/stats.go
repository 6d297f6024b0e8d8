// What a face counts.

package face

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// numOps counts the operations and, last, what is none.
const numOps = int(opNone) + 1

// counters are of what is rare.
type counters struct {
	refused atomic.Uint64 // too much was under way
	lost    atomic.Uint64 // answers that NATS did not take
	panics  atomic.Uint64

	mu     sync.Mutex
	second time.Time
	quiet  int // NATS errors that were not logged since the last that was
}

// trouble lets one NATS error a second through to the log.
func (c *counters) trouble(now time.Time) (since int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet++
	if now.Sub(c.second) < time.Second {
		return 0, false
	}
	c.second = now
	since, c.quiet = c.quiet, 0
	return since, true
}

func newRequests() *stat.Counters { return stat.NewCounters(numOps * int(numStatuses)) }

// count counts a request.
func (f *Face) count(stripe uint32, o op, s status) {
	f.requests.Add(stripe, int(o)*int(numStatuses)+int(s), 1)
}

// Stats is a snapshot. Counters grow from Start on.
type Stats struct {
	Connected bool
	InFlight  int64 // requests that are not answered yet
	Bytes     int64 // that they hold
	Refused   uint64
	Lost      uint64 // answers that NATS did not take
	Dropped   uint64 // requests that NATS dropped because they were not received as fast as they came
	Panics    uint64
	Requests  []Count // those that are not 0
}

// Count is how many requests for one operation went so.
type Count struct {
	Op     string // "none": an operation that there is not
	Status string
	N      uint64
}

// Stats gathers a snapshot.
func (f *Face) Stats() Stats {
	s := Stats{
		Connected: f.Connected(), InFlight: f.inFlight.Load(), Bytes: f.bytes.Load(),
		Refused: f.counted.refused.Load(), Lost: f.counted.lost.Load(), Panics: f.counted.panics.Load(),
	}
	if n, err := f.sub.Dropped(); err == nil {
		s.Dropped = uint64(n)
	}
	for o := range numOps {
		name := "none"
		if o < int(opNone) {
			name = wire.Ops[o]
		}
		for i, st := range wire.Statuses {
			if n := f.requests.Value(o*int(numStatuses) + i); n > 0 {
				s.Requests = append(s.Requests, Count{name, st, n})
			}
		}
	}
	return s
}
