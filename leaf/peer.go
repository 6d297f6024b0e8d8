// Peers: what the leaf knows of each proxy, above all how much of what it was sent it has not yet taken.

package leaf

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peerIdle is how long a proxy may be silent before it is forgotten. A living one says hello every second.
const peerIdle = 30 * time.Second

// peer is one proxy's backend connection, known by its reply subject. Its fields, but for by, are safe for concurrent use.
//
// What it was sent but has not acknowledged must stay below its window: NATS drops silently what a reader leaves
// unread for long. When the window is full, the peer's frames are parked, unexecuted, on their lanes.
type peer struct {
	reply   string
	acked   atomic.Uint64 // bytes of answers that the proxy says it has received
	window  atomic.Int64
	pending atomic.Int64 // bytes of its requests that wait here
	told    atomic.Int64 // and of memberships
	seen    atomic.Int64 // when it was last heard of, Unix milliseconds
	name    atomic.Pointer[string]
	sendsTo atomic.Uint64 // our instance, if its last hello said that it sends us requests
	noticed atomic.Bool   // it has said since we drain that it sends us nothing
	parked  []atomic.Bool // per lane: has frames that wait for room
	by      []whose       // per lane, and its goroutine's: by whose membership what comes next goes

	mu   sync.Mutex    // keeps sent and what NATS was given in step
	sent atomic.Uint64 // bytes of answers; written under mu
}

// whose membership a proxy has told.
type whose uint8

const (
	unknownPool whose = iota // none yet, or it was forgotten: it does not tell again
	thisPool                 // this leaf's pool's
	otherPool
)

// send gives one answer message to NATS, which copies it.
func (p *peer) send(l *Leaf, msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent.Load()
	p.sent.Store(sent + uint64(len(msg))) // before it is: what is acknowledged at once counts
	err := l.publish(p.reply, msg)
	if err != nil {
		p.sent.Store(sent)
	}
	return err
}

// ack notes that the proxy has received this many bytes of answers, all in all. Acknowledgements may overtake each other.
func (p *peer) ack(n uint64) {
	for {
		old := p.acked.Load()
		if n <= old || n > p.sent.Load() {
			return
		}
		if p.acked.CompareAndSwap(old, n) {
			return
		}
	}
}

// room reports whether another answer of up to item bytes may be made, with unsent bytes made but not yet sent. Items
// larger than the window still pass, one at a time.
func (p *peer) room(unsent, item int) bool {
	out := int64(p.sent.Load()-p.acked.Load()) + int64(unsent)
	w := p.window.Load()
	return out <= w/4 || out+int64(item) <= w
}

// peers are all proxies known to a leaf.
type peers struct {
	mu   sync.RWMutex
	m    map[string]*peer // by reply subject
	max  int
	lane int   // lanes of the leaf
	win  int64 // the window of a proxy that has not said its own
}

func newPeers(max, lanes, window int) *peers {
	return &peers{m: map[string]*peer{}, max: max, lane: lanes, win: int64(window)}
}

func (ps *peers) len() int {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return len(ps.m)
}

// get finds the peer of a reply subject or makes it; nil if there are too many.
func (ps *peers) get(reply []byte, now time.Time) *peer {
	ps.mu.RLock()
	p := ps.m[string(reply)]
	ps.mu.RUnlock()
	if p == nil {
		if p = ps.add(string(reply)); p == nil {
			return nil
		}
	}
	p.seen.Store(now.UnixMilli())
	return p
}

func (ps *peers) add(reply string) *peer {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.m[reply]; p != nil {
		return p
	}
	if len(ps.m) >= ps.max {
		return nil
	}
	p := &peer{reply: reply, parked: make([]atomic.Bool, ps.lane), by: make([]whose, ps.lane)}
	p.window.Store(ps.win)
	ps.m[reply] = p
	return p
}

// all lists the peers known now.
func (ps *peers) all() []*peer {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	list := make([]*peer, 0, len(ps.m))
	for _, p := range ps.m {
		list = append(list, p)
	}
	return list
}

// forget drops peers that have been silent for long and have nothing waiting.
func (ps *peers) forget(now time.Time) {
	limit := now.Add(-peerIdle).UnixMilli()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for reply, p := range ps.m {
		if p.seen.Load() < limit && p.pending.Load() == 0 {
			delete(ps.m, reply)
		}
	}
}

// lately is how long ago a proxy that is there has said hello at most: it does so every second.
const lately = 5 * time.Second

// names lists who said hello lately, each once.
func (ps *peers) names(now time.Time) []string {
	all := map[string]bool{}
	ps.eachLately(now, func(name string, _ *peer) { all[name] = true })
	return slices.Sorted(maps.Keys(all))
}

// sending gives who said hello lately, and whether it said on each of its connections that it sends requests to this instance.
func (ps *peers) sending(now time.Time, instance uint64) map[string]bool {
	all := map[string]bool{}
	ps.eachLately(now, func(name string, p *peer) {
		before, seen := all[name]
		all[name] = (before || !seen) && p.sendsTo.Load() == instance
	})
	return all
}

func (ps *peers) eachLately(now time.Time, f func(name string, p *peer)) {
	from := now.Add(-lately).UnixMilli()
	for _, p := range ps.all() {
		if name := p.name.Load(); name != nil && p.seen.Load() >= from {
			f(*name, p)
		}
	}
}
