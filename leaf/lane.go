// Lanes: each executes the frames of one subject in the order in which they came.

package leaf

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// chunk is how many requests are cut before the first of them is executed: a frame of so many or fewer that turns out
// malformed is refused whole.
const chunk = 64

// overhead is what a waiting frame costs besides its body, in bytes.
const overhead = 256

// lane is one subject's queue and the goroutine that works on it.
//
// Who brings a frame (arrive) only stamps, checks and queues it, so that a frame's time counts from its arrival
// and nothing piles up before, where it would be dropped silently. The lane's goroutine (run) executes. A frame
// whose proxy has a full window is parked with what is left of it, and its proxy's later frames behind it; other proxies'
// frames go on.
type lane struct {
	l *Leaf
	n int

	partsMu sync.Mutex // guards parts: arrive adds, the janitor expires
	parts   frame.Assembler

	mu    sync.Mutex
	queue []work

	wake chan struct{} // holds one token when queue is not empty
	exec sync.Mutex    // held while a frame is executed; whoever raises the epoch waits for it

	// What follows belongs to run.
	parked map[*peer][]work
	spare  []work
	reqs   [chunk]mc.Request
	modes  [chunk]uint8
	ends   [chunk]int // where each of reqs ends in the body
	dst    []byte     // the answer under way: room for a header, then the body
}

// work is a frame, or what is left of it.
type work struct {
	peer    *peer
	id      uint64
	body    []byte // requests not executed yet
	size    int    // bytes charged to the peer, of memberships if it is one
	expires time.Time
	parts   uint16 // of the answer, sent so far
	begun   bool   // something of it was executed
	epoch   uint64 // of the membership that it goes by; 0: of none
	resume  bool   // not a frame: the peer may have room again
	told    bool   // not a frame: body is the membership that those that follow go by
}

func newLane(l *Leaf, n int) *lane {
	return &lane{
		l: l, n: n,
		parts:  frame.Assembler{Limits: frame.Limits{Bytes: int64(l.o.MaxPending)}},
		wake:   make(chan struct{}, 1),
		parked: map[*peer][]work{},
		dst:    make([]byte, frame.Size, 64<<10),
	}
}

// message is the subscription's callback, for what is not taken off before (see direct.go).
func (ln *lane) message(m *nats.Msg) { ln.arrive([]byte(m.Reply), m.Data, false) }

// arrive takes in what came for the lane; lent: reply and data are the caller's again when it returns.
func (ln *lane) arrive(reply, data []byte, lent bool) {
	l := ln.l
	l.count.frames.Add(1)
	l.count.bytesIn.Add(uint64(len(data)))
	if len(reply) == 0 {
		l.count.dropped.Add(1)
		return
	}
	var h frame.Header
	body, err := h.Parse(data)
	if why := l.check(&h, err); why != 0 {
		l.refuse(string(reply), h.ID, why)
		return
	}
	now := l.o.Now()
	p := l.peers.get(reply, now)
	if p == nil {
		l.refuse(string(reply), h.ID, frame.ReasonOverloaded)
		return
	}
	l.acked(p, h.Acked)
	switch h.Flags {
	case frame.FlagAck:
		return
	case frame.FlagTold:
		if why := ln.acceptTold(p, h, body, lent); why != 0 {
			l.refuse(p.reply, h.ID, why)
		}
		return
	}
	if why := ln.accept(p, h, body, now, lent); why != 0 {
		l.refuse(p.reply, h.ID, why)
	}
}

// check gives the reason to refuse a frame with this header; 0: none.
func (l *Leaf) check(h *frame.Header, err error) frame.Reason {
	switch {
	case errors.Is(err, frame.ErrVersion):
		return frame.ReasonVersion
	case err != nil, h.Flags&frame.FlagAnswer != 0:
		return frame.ReasonFormat
	case h.Instance != l.instance:
		return frame.ReasonInstance
	}
	return 0 // a frame of an old epoch is refused in its turn: proxies place anew in the order of refusals
}

// accept queues a frame, or puts a part of one to the others.
func (ln *lane) accept(p *peer, h frame.Header, body []byte, now time.Time, lent bool) frame.Reason {
	// Every part says how much time is left, and the last one to come is the one that counts.
	left := time.Duration(h.Millis) * time.Millisecond
	if h.Parts > 1 {
		if lent {
			body, lent = bytes.Clone(body), false
		}
		ln.partsMu.Lock()
		_, whole, done, err := ln.parts.Add(p.reply, h, body, now.Sub(ln.l.began).Nanoseconds())
		ln.partsMu.Unlock()
		switch {
		case errors.Is(err, frame.ErrFull):
			return frame.ReasonOverloaded
		case errors.Is(err, frame.ErrTooLarge):
			return frame.ReasonTooLarge
		case err != nil:
			return frame.ReasonFormat
		case !done:
			return 0
		}
		body = whole
	}
	w := work{peer: p, id: h.ID, body: body, size: len(body) + overhead, expires: now.Add(left), epoch: h.Epoch}
	if !ln.l.charge(p, w.size) {
		return frame.ReasonOverloaded
	}
	if lent {
		w.body = bytes.Clone(body)
	}
	ln.push(w)
	return 0
}

// acceptTold queues a membership.
func (ln *lane) acceptTold(p *peer, h frame.Header, body []byte, lent bool) frame.Reason {
	w := work{peer: p, id: h.ID, body: body, size: len(body) + overhead, told: true}
	if !ln.l.chargeTold(p, w.size) {
		return frame.ReasonOverloaded
	}
	if lent {
		w.body = bytes.Clone(body)
	}
	ln.push(w)
	return 0
}

func (ln *lane) push(w work) {
	ln.mu.Lock()
	ln.queue = append(ln.queue, w)
	ln.mu.Unlock()
	select {
	case ln.wake <- struct{}{}:
	default:
	}
}

// run executes frames until quit is closed.
func (ln *lane) run(quit <-chan struct{}) {
	for {
		select {
		case <-ln.wake:
		case <-quit:
			return
		}
		for batch := ln.take(); len(batch) > 0; batch = ln.take() {
			for i := range batch {
				ln.handle(&batch[i])
				batch[i] = work{}
			}
		}
	}
}

// take gives everything queued. The slice is valid until the next call.
func (ln *lane) take() []work {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	batch := ln.queue
	ln.queue, ln.spare = ln.spare[:0], batch
	return batch
}

func (ln *lane) handle(w *work) {
	switch {
	case w.resume:
		ln.unpark(w.peer)
		return
	case w.told:
		ln.hear(w)
		return
	case ln.strange(w):
		ln.l.refuse(w.peer.reply, w.id, frame.ReasonEpoch)
		ln.l.uncharge(w.peer, w.size)
		return
	}
	if _, waits := ln.parked[w.peer]; waits || !ln.execute(w) {
		ln.park(*w)
	}
}

// strange reports whether a frame goes by another pool's membership. Of a proxy of whose nothing is known that shows in an epoch that is newer than the
// leaf's: before it goes by that, who belongs to the leaf's pool tells how that places keys.
func (ln *lane) strange(w *work) bool {
	if w.epoch == 0 {
		return false
	}
	switch w.peer.by[ln.n] {
	case otherPool:
		return true
	case unknownPool:
		ms := &ln.l.members
		return ms.pool.Load() != nil && w.epoch > ms.fenced.Load()
	}
	return false
}

// hear takes note of a membership.
func (ln *lane) hear(w *work) {
	if m := ln.l.parseMembership(w.body); m != nil {
		w.peer.by[ln.n] = otherPool
		if ln.l.learn(m) {
			w.peer.by[ln.n] = thisPool
		}
	} else {
		ln.l.refuse(w.peer.reply, w.id, frame.ReasonFormat)
	}
	ln.l.unchargeTold(w.peer, w.size)
}

// park keeps w until its proxy has taken more of what it was sent.
func (ln *lane) park(w work) {
	ln.l.count.parked.Add(1)
	ln.parked[w.peer] = append(ln.parked[w.peer], w)
	ln.await(w.peer)
}

// await asks to be told of room; if it came meanwhile, tells itself.
func (ln *lane) await(p *peer) {
	p.parked[ln.n].Store(true)
	if p.room(0, ln.l.o.MaxItem) {
		ln.l.resume(p)
	}
}

// unpark goes on with a proxy's parked frames as far as there is room.
func (ln *lane) unpark(p *peer) {
	list := ln.parked[p]
	for len(list) > 0 && ln.execute(&list[0]) {
		list[0] = work{}
		list = list[1:]
	}
	if len(list) == 0 {
		delete(ln.parked, p)
		return
	}
	ln.parked[p] = list
	ln.await(p)
}
