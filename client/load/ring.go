// What is in flight on a connection of the open loop.

package load

import "sync/atomic"

// most is how many requests of one connection may be unanswered in the open loop, a power of two. What is due beyond that is sent late,
// and its latency counts from when it was due all the same.
const most = 1024

// ring is a queue of requests in flight between one sender and one receiver, which a channel would wake at every request: here
// the receiver waits for answers only. The zero value is empty.
type ring struct {
	ops        []op
	head, tail atomic.Uint64 // taken and put so far
}

// slot is where the sender writes the next request before it puts it; nil: the ring is full.
func (q *ring) slot() *op {
	if q.ops == nil {
		q.ops = make([]op, most)
	}
	if q.tail.Load()-q.head.Load() == most {
		return nil
	}
	return &q.ops[q.tail.Load()%most]
}

// put lets the receiver see what was written to slot.
func (q *ring) put() { q.tail.Add(1) }

// front is the oldest request, nil if there is none; drop takes it out.
func (q *ring) front() *op {
	if q.empty() {
		return nil
	}
	return &q.ops[q.head.Load()%most]
}

func (q *ring) drop()       { q.head.Add(1) }
func (q *ring) empty() bool { return q.head.Load() == q.tail.Load() }
