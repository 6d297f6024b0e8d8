// The intake: messages that have come and are not taken yet, who takes them, and how many may be under way.

package face

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
)

const (
	maxHands  = 1024 // of which all wait for slow backends before messages do
	keepHands = 16   // how many may rest; others end
	msgCost   = 256  // bytes that a message counts for besides its payload
)

// intake is the queue between NATS's goroutine and the hands.
type intake struct {
	mu     sync.Mutex
	queue  []*nats.Msg
	head   int     // queue[head:] is not taken
	idle   []*hand // rest, the newest last
	number int     // hands there are
	taking bool    // a hand has been told and has not taken yet: it will take this, too
	stop   bool    // hands end

	hands    sync.WaitGroup
	inFlight atomic.Int64
	bytes    atomic.Int64
	closing  atomic.Bool
	empty    chan struct{} // told when nothing is in flight any more while closing; has room for one
}

// receive is NATS's callback: it never waits for a backend.
func (f *Face) receive(m *nats.Msg) {
	n, bytes := f.inFlight.Add(1), f.bytes.Add(cost(m))
	if n > int64(f.o.MaxInFlight) || bytes > f.o.MaxBytes {
		f.busy(m)
		return
	}
	f.mu.Lock()
	f.queue = append(f.queue, m)
	h, fresh := f.callLocked()
	f.mu.Unlock()
	f.call(h, fresh)
}

func cost(m *nats.Msg) int64 { return int64(len(m.Data)) + msgCost }

// callLocked chooses who takes what waits, if somebody is to be told. fresh: one is to be made.
func (f *Face) callLocked() (h *hand, fresh bool) {
	if f.taking || f.stop || f.head == len(f.queue) {
		return nil, false
	}
	if n := len(f.idle); n > 0 {
		h = f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.taking = true
		return h, false
	}
	if f.number < maxHands {
		f.number++
		f.hands.Add(1)
		f.taking = true
		return nil, true
	}
	return nil, false // all are busy: the first that is not looks for itself
}

// call tells a hand, or makes one.
func (f *Face) call(h *hand, fresh bool) {
	switch {
	case fresh:
		h = f.newHand()
		go h.run()
	case h != nil:
		h.wake <- struct{}{}
	}
}

// take moves up to a batch of messages to the hand that was told, and tells the next if that is not all.
func (f *Face) take(to []*nats.Msg) []*nats.Msg {
	f.mu.Lock()
	f.taking = false
	for size := 0; f.head < len(f.queue) && len(to) < maxBatch && size < maxTake; f.head++ {
		m := f.queue[f.head]
		f.queue[f.head] = nil
		size += len(m.Data)
		to = append(to, m)
	}
	if f.head == len(f.queue) {
		f.queue, f.head = f.queue[:0], 0
	} else if f.head > len(f.queue)/2 && f.head > 1024 {
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
	h, fresh := f.callLocked()
	f.mu.Unlock()
	f.call(h, fresh)
	return to
}

// next is what a hand does that has served its batch.
type next int

const (
	again next = iota // there is more
	rest              // wait to be told
	leave             // end
)

func (f *Face) after(h *hand) next {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stop:
		f.number--
		return leave
	case f.head < len(f.queue) && !f.taking:
		f.taking = true
		return again
	case len(f.idle) >= keepHands:
		f.number--
		return leave
	}
	f.idle = append(f.idle, h)
	return rest
}

// dismiss ends the hands; those that are at work end when it is done. What nobody has taken is given up.
func (f *Face) dismiss() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = true
	for _, h := range f.idle {
		close(h.wake)
		f.number--
	}
	f.idle = nil
	for _, m := range f.queue[f.head:] {
		f.counted.lost.Add(1)
		f.done(m)
	}
	f.queue, f.head = nil, 0
}

// done counts a message out.
func (f *Face) done(m *nats.Msg) {
	f.bytes.Add(-cost(m))
	if f.inFlight.Add(-1) == 0 && f.closing.Load() {
		select {
		case f.empty <- struct{}{}:
		default:
		}
	}
}

// busy refuses a message because too much is under way.
func (f *Face) busy(m *nats.Msg) {
	f.counted.refused.Add(1)
	if m.Reply != "" {
		var r reply
		r.fail(m.Reply, wire.CodeBusy, "SERVER_ERROR too many requests are under way")
		_ = f.send(&r)
	}
	f.done(m)
}
