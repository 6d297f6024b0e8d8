// Queues: requests of one client for one key of which the first cannot be sent yet, or may have to be sent again.

package pools

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	stripes   = 64
	queuePoll = 20 * time.Millisecond
	maxHeld   = 10000   // requests that wait
	maxBytes  = 8 << 20 // of them
)

// queues are all queues of a pool, by client and key.
type queues struct {
	n    atomic.Int64 // how many there are
	seed maphash.Seed

	stripes [stripes]stripe
	held    atomic.Int64 // requests in all of them
	bytes   atomic.Int64 // that they take
	polls   atomic.Bool  // a timer is set
	free    sync.Pool
}

type stripe struct {
	mu    sync.Mutex
	first *queue
}

// queue is there while it holds something, while a move of its client and key is under way, or somebody is at it. Its stripe's mu guards it.
type queue struct {
	s    *stripe
	next *queue
	hash uint64
	lane uint32
	key  []byte

	waits  []*waiting // in the order in which they will be sent
	busy   bool       // somebody is at it, and sends what can be
	again  bool       // who is at it has to look once more
	flying bool       // a move of it is under way
}

// waiting is a request that is not sent yet, or not any more.
type waiting struct {
	req     mc.Request
	buf     []byte // where it lies; nil: it came back from a backend
	pe      *backend.Pending
	until   int64       // how long it waits, by backend.Now
	last    uint64      // the epoch by which it was refused; 0: it was not sent yet
	came    uint64      // how many refreshes had begun when it was refused
	follows atomic.Bool // it will be told when it is worth looking again
}

// find gives the queue, or nil. It wants s.mu locked.
func (s *stripe) find(hash uint64, lane uint32, key []byte) *queue {
	q := s.first
	for q != nil && (q.hash != hash || q.lane != lane || !bytes.Equal(q.key, key)) {
		q = q.next
	}
	return q
}

func (qs *queues) keyHash(key []byte) uint64 { return maphash.Bytes(qs.seed, key) }

// stripe gives where the queue is, or would be.
func (qs *queues) stripe(lane uint32, key []byte) (*stripe, uint64) {
	h := qs.keyHash(key) + uint64(lane)*0x9e3779b97f4a7c15
	return &qs.stripes[h%stripes], h
}

// open makes a queue. It wants s.mu locked.
func (qs *queues) open(s *stripe, hash uint64, lane uint32, key []byte) *queue {
	q, _ := qs.free.Get().(*queue)
	if q == nil {
		q = new(queue)
	}
	q.s, q.hash, q.lane, q.key = s, hash, lane, append(q.key[:0], key...)
	q.next, s.first = s.first, q
	qs.n.Add(1)
	return q
}

// shut forgets a queue that nobody has any more, if it is one. It wants q.s.mu locked.
func (qs *queues) shut(q *queue) {
	if q.busy || q.flying || len(q.waits) > 0 {
		return
	}
	at := &q.s.first
	for *at != q {
		at = &(*at).next
	}
	*at, q.next, q.waits = q.next, nil, nil
	qs.n.Add(-1)
	qs.free.Put(q)
}

// join puts r behind those that wait, if there are any or it is not free to go. Without a queue r is to be sent. The queue is mine if
// the caller has to run it; not ok: there is no room.
func (qs *queues) join(r *mc.Request, pe *backend.Pending, free bool, m *membership) (q *queue, mine, ok bool) {
	s, h := qs.stripe(pe.Lane, r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	q = s.find(h, pe.Lane, r.Key)
	if q == nil && free {
		return nil, false, true
	}
	if !qs.room() {
		return nil, false, false
	}
	if q == nil {
		q, mine = qs.open(s, h, pe.Lane, r.Key), true
		q.busy = true
	}
	qs.pushLocked(q, r, pe, m)
	return q, mine, true
}

// fly notes that a move is under way; was is its queue, if it has one. Where that is not so, and others wait in one, it has to wait behind them.
func (qs *queues) fly(was *queue, r *mc.Request, pe *backend.Pending, m *membership) (q *queue, ok bool) {
	s, h := qs.stripe(pe.Lane, r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was == nil {
		if q = s.find(h, pe.Lane, r.Key); q != nil {
			qs.pushLocked(q, r, pe, m)
			return q, false
		}
		was = qs.open(s, h, pe.Lane, r.Key)
	}
	was.flying = true
	return was, true
}

func (qs *queues) room() bool { return qs.held.Load() < maxHeld && qs.bytes.Load() < maxBytes }

func (qs *queues) pushLocked(q *queue, r *mc.Request, pe *backend.Pending, m *membership) {
	w := &waiting{pe: pe, buf: mc.AppendWire(nil, r), until: backend.Now() + int64(m.wait)}
	if read(w.buf, &w.req) {
		w.req.Client = r.Client
	} else { // no request that came through a pool is such
		w.req = mc.Request{}
	}
	q.waits = append(q.waits, w)
	qs.count(w, 1)
}

func (qs *queues) count(w *waiting, n int64) {
	qs.held.Add(n)
	qs.bytes.Add(n * int64(len(w.buf)))
}

// putBack puts a request that was refused before those that were sent later: who was refused by a newer membership was placed anew
// before, and has been sent earlier; those of one membership are refused in their order. move: it was a move in its queue.
func (qs *queues) putBack(a *backend.Again, came uint64, wait time.Duration, move bool) {
	r, pe := &a.Request, a.Pending
	s, h := qs.stripe(pe.Lane, r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.find(h, pe.Lane, r.Key)
	if q == nil {
		q = qs.open(s, h, pe.Lane, r.Key)
	}
	w := &waiting{req: *r, pe: pe, last: pe.Term.Epoch, came: came, until: backend.Now() + int64(refreshTime+wait)}
	at := slices.IndexFunc(q.waits, func(o *waiting) bool { return o.last < w.last })
	if at < 0 {
		at = len(q.waits)
	}
	q.waits = slices.Insert(q.waits, at, w)
	qs.count(w, 1)
	if move {
		q.flying = false
	}
}

// run sends of q what can be. q is the caller's (busy).
func (p *Pool) run(q *queue) {
	s := q.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for !q.flying && len(q.waits) > 0 {
		w := q.waits[0]
		q.again = false
		s.mu.Unlock()
		m, i, err := p.judge(q, w)
		s.mu.Lock()
		switch {
		case len(q.waits) == 0 || q.waits[0] != w: // another was put before it, or it has been given up
			continue
		case m != nil || err != nil:
			q.waits[0] = nil
			q.waits = q.waits[1:]
			p.queues.count(w, -1)
			s.mu.Unlock()
			p.sendWaiting(m, i, err, q, w)
			s.mu.Lock()
		case !q.again:
			q.busy = false
			p.poll()
			return
		}
	}
	q.busy = false
	p.queues.shut(q)
}

// sendWaiting sends the first of a queue, or fails it.
func (p *Pool) sendWaiting(m *membership, i int, err error, q *queue, w *waiting) {
	if err == nil {
		err = w.tries()
	}
	if err != nil {
		backend.Refuse(w.pe, err)
		return
	}
	w.pe.Late = true
	w.pe.Start = backend.Now() // backends count the time that they take
	p.sendAt(m, i, &w.req, w.pe, q)
}

// look has a queue looked at, if it is still there.
func (p *Pool) look(hash uint64, lane uint32, key string) {
	s := &p.queues.stripes[hash%stripes]
	s.mu.Lock()
	q := s.find(hash, lane, []byte(key))
	p.takeAndRun(q, s)
}

// landed says that the move of q has ended.
func (p *Pool) landed(q *queue) {
	q.s.mu.Lock()
	q.flying = false
	p.takeAndRun(q, q.s)
}

// takeAndRun runs q, unless somebody is at it, who then looks once more. It wants s.mu locked, and unlocks it.
func (p *Pool) takeAndRun(q *queue, s *stripe) {
	mine := q != nil && !q.busy
	if mine {
		q.busy = true
	} else if q != nil {
		q.again = true
	}
	s.mu.Unlock()
	if mine {
		p.run(q)
	}
}

// advance runs all queues in which something waits.
func (p *Pool) advance() {
	if p.queues.n.Load() == 0 {
		return
	}
	var list []*queue
	for i := range p.queues.stripes {
		s := &p.queues.stripes[i]
		s.mu.Lock()
		for q := s.first; q != nil; q = q.next {
			if q.busy {
				q.again = true
			} else if !q.flying && len(q.waits) > 0 {
				q.busy = true
				list = append(list, q)
			}
		}
		s.mu.Unlock()
	}
	for _, q := range list {
		p.run(q)
	}
}

// poll looks after what waits until nothing does.
func (p *Pool) poll() {
	if !p.queues.polls.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(queuePoll, func() {
		p.queues.polls.Store(false)
		m := p.m.Load()
		if m.term != nil && !m.open.Load() {
			p.greet(m)
		}
		p.settle(m)
		p.advance()
	})
}
