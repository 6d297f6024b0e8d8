// Terms: the membership by which a request was placed, as backends and leaves see it.

package backend

import "github.com/tidepool-proxy/tidepool/engine/mc"

// Term is one membership of a discovered pool, from its epoch on. It is immutable, and told apart by its address: a frame carries
// requests of one Term only.
type Term struct {
	Epoch uint64 // never 0
	Text  []byte // what a leaf is told before it gets the first frame: a frame.Membership as JSON

	// Again takes requests that a leaf has not executed because it knows a newer epoch; their Pendings are the callee's from then
	// on. It is called by a backend's reader and must not block.
	Again func([]Again)
}

// Number is the epoch; 0 for no Term.
func (t *Term) Number() uint64 {
	if t == nil {
		return 0
	}
	return t.Epoch
}

// Again is a request that was refused because it was placed by an old membership.
type Again struct {
	Request mc.Request // as it was sent: without q or noreply. Its bytes are the callee's
	Pending *Pending
}

// Fencer is a Backend whose server refuses what was placed by an older membership than it knows.
type Fencer interface {
	Backend
	// Fenced is the highest epoch that the server has told since it was started: nothing older will be executed there. 0: none.
	Fenced() uint64
}

// Follower is a Backend that can tell which requests are under way, of those that were placed by a Term.
type Follower interface {
	Backend
	// Follow reports whether a request of that Lane for that key, which the membership of that epoch has placed, is queued or in flight, or about to be
	// handed to its Term's Again. Then tell is called, in a goroutine of its own, when that may have changed; nil: nobody is told.
	Follow(lane uint32, key []byte, epoch uint64, tell func()) bool
	// Owes reports whether any request is that the membership of that epoch has placed.
	Owes(epoch uint64) bool
}
