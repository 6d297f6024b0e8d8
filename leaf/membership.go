// Memberships: the epoch that this leaf goes by, and how it gets to a newer one.

package leaf

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// membership is what a leaf knows of its pool. A leaf belongs to one pool at most.
//
// Requests of an older epoch than the leaf's are not executed. That must hold for those under way, too: whoever raises the epoch
// (raise) first has all newer frames refused, then waits for every lane to end the frame that it is at, and only then is anything
// of the new epoch executed, and the epoch told to proxies: who has heard it knows that nothing older will happen here.
type membership struct {
	refuse atomic.Uint64 // older epochs are refused
	fenced atomic.Uint64 // and nothing of them is under way any more; this is what proxies are told

	pool    atomic.Pointer[string] // nil: not told yet
	lineage atomic.Pointer[lineage]

	mu   sync.Mutex // who changes any of this holds it, but for pool. Whoever executes a frame must not take it
	warm warming

	stopPull context.CancelFunc // nil: there is none
	ended    bool               // nothing is pulled any more: the leaf stops
}

// start takes the epoch that is known at the start.
func (ms *membership) start(epoch uint64) {
	ms.refuse.Store(epoch)
	ms.fenced.Store(epoch)
	l := &lineage{}
	if epoch > 0 {
		l.ages = []age{{epoch: epoch}}
	}
	ms.lineage.Store(l)
}

// outdated: what goes by this epoch is refused.
func (ms *membership) outdated(epoch uint64) bool { return epoch != 0 && epoch < ms.refuse.Load() }

// Epoch is the membership epoch that the leaf goes by; 0: it has heard of none.
func (l *Leaf) Epoch() uint64 { return l.members.fenced.Load() }

// SetEpoch raises the membership epoch as a proxy's frames do: those that name an older one are refused, those without one (0) are not.
// For who hears of memberships from elsewhere, such as etcd. What was stored before is not read until a proxy tells how the new membership
// places keys: a leaf that was cut off from all proxies, and went out of its pool and came back meanwhile, serves nothing of what it had. It
// returns when nothing older is under way.
func (l *Leaf) SetEpoch(epoch uint64) { l.raise(epoch, nil) }

// parseMembership reads what a proxy tells; nil if it is of no use.
func (l *Leaf) parseMembership(body []byte) *frame.Membership {
	var m frame.Membership
	if err := json.Unmarshal(body, &m); err != nil || m.Epoch == 0 || m.Epoch > frame.MaxEpoch {
		l.o.Log.Warn("leaf: membership that cannot be read", "leaf", l.o.Name, "epoch", m.Epoch, "err", err)
		return nil
	}
	return &m
}

// learn takes note of what a proxy tells. It reports false for another pool than this leaf's.
func (l *Leaf) learn(m *frame.Membership) bool {
	ms := &l.members
	if !ms.pool.CompareAndSwap(nil, &m.Pool) && *ms.pool.Load() != m.Pool {
		l.o.Log.Warn("leaf: a leaf belongs to one pool, and is sent another's requests", "leaf", l.o.Name, "pool", *ms.pool.Load(), "other", m.Pool)
		return false
	}
	l.raise(m.Epoch, m)
	return true
}

// raise makes epoch the leaf's, if it is newer; m is what is known of it, nil: nothing. What comes to be known later is added.
func (l *Leaf) raise(epoch uint64, m *frame.Membership) {
	ms := &l.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	switch {
	case epoch <= ms.fenced.Load():
		l.complete(m)
	default:
		ms.refuse.Store(epoch)
		for _, ln := range l.lanes {
			ln.exec.Lock() // what it is at has ended, and the next is refused
			//lint:ignore SA2001 that it was free once is all that is wanted
			ln.exec.Unlock()
		}
		l.turn(epoch, m)
		ms.fenced.Store(epoch)
		l.o.Log.Info("leaf: newer membership", "leaf", l.o.Name, "epoch", epoch)
	}
}

// places gives how m places keys; nil if that is not known.
func (l *Leaf) places(m *frame.Membership) *placement {
	if m == nil {
		return nil
	}
	p, err := newPlacement(m, l.o.Name)
	if err != nil {
		l.o.Log.Warn("leaf: cannot tell which items are kept when owners change", "leaf", l.o.Name, "pool", m.Pool, "err", err)
		return nil
	}
	return p
}

// turn divides the items: those stored from here on belong to the age of epoch.
func (l *Leaf) turn(epoch uint64, m *frame.Membership) {
	ms := &l.members
	a, after := age{epoch: epoch}, uint64(0)
	p := l.places(m)
	if p != nil {
		a.places, after = []*placement{p}, m.After
	}
	l.warmUntil(m)
	if l.local == nil {
		return
	}
	l.local.Store.Divide(func(number uint32) store.Keeper {
		a.from = number
		next := ms.lineage.Load().with(a, after, l.warms())
		ms.lineage.Store(next)
		return next.kept
	})
	l.warm(epoch)
	l.beginPull(m, p)
}

// complete adds what m says of an epoch that this leaf went by before it was told.
func (l *Leaf) complete(m *frame.Membership) {
	ms := &l.members
	if m == nil || l.local == nil {
		return
	}
	p := l.places(m)
	if p == nil {
		return
	}
	old := ms.lineage.Load()
	i := old.find(m.Epoch)
	if i < 0 {
		return
	}
	present := i == len(old.ages)-1
	for _, have := range old.ages[i].places {
		if have.rule == p.rule && slices.Equal(have.names, p.names) {
			return // the others tell it, too
		}
		if present {
			l.o.Log.Warn("leaf: pools place this leaf's keys in different ways", "leaf", l.o.Name, "pool", m.Pool)
		}
	}
	if present {
		l.warmUntil(m)
	}
	next := old.knowing(i, p, m.After, l.warms())
	ms.lineage.Store(next)
	l.local.Store.Rejudge(next.kept)
	switch {
	case !present:
	case !l.warms():
		ms.warm.since.Store(0)
		l.local.Store.Warmed()
	case len(next.ages[i].places) == 1:
		l.beginPull(m, p)
	}
}

// warming is the time in which previous owners are asked. Guarded by membership.mu, but for since.
type warming struct {
	until time.Time     // the zero time: there is none
	since atomic.Uint64 // from which epoch on every write that has come is known; 0: nobody is asked
}

// grace is how long a leaf goes on warming when it should be over by its own clock. Proxies have others.
const grace = 5 * time.Second

// warmUntil notes what m says of how long the pool warms. Of an epoch of which nothing is known yet it is taken to.
func (l *Leaf) warmUntil(m *frame.Membership) {
	until := &l.members.warm.until
	switch {
	case m == nil:
		*until = l.o.Now().Add(grace)
	case m.WarmUntil == 0:
		*until = time.Time{}
	default:
		*until = time.UnixMilli(m.WarmUntil).Add(grace)
	}
}

// warms reports whether the pool warms.
func (l *Leaf) warms() bool { return l.o.Now().Before(l.members.warm.until) }

// warm begins, goes on or ends noting what is written, as the pool warms or does not. A leaf that was started when the epoch had been
// decided may have had a predecessor that knew of writes which it does not: until the next epoch it asks nobody. (An epoch is the time
// of its decision.)
func (l *Leaf) warm(epoch uint64) {
	since := &l.members.warm.since
	if !l.warms() || l.began.UnixMilli() >= epochTime(epoch) {
		since.Store(0)
		l.local.Store.Warmed()
		return
	}
	began, err := l.local.Store.Warm()
	switch {
	case err != nil: // not tried again before the next epoch: a delete that came meanwhile would not be known, and what it took brought back
		since.Store(0)
		l.o.Log.Warn("leaf: previous owners are not asked for items", "leaf", l.o.Name, "err", err)
	case began:
		since.Store(epoch)
	}
}

// endPull ends what is pulled, when the leaf stops.
func (ms *membership) endPull() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.ended = true
	if ms.stopPull != nil {
		ms.stopPull()
	}
}

// cool ends the warming when its time is over. The janitor calls it.
func (l *Leaf) cool(now time.Time) {
	ms := &l.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.warm.until.IsZero() || now.Before(ms.warm.until) || l.local == nil {
		return
	}
	ms.warm.until = time.Time{}
	ms.warm.since.Store(0)
	l.local.Store.Warmed()
	next := *ms.lineage.Load()
	next.warms = false
	ms.lineage.Store(&next)
	l.local.Store.Rejudge(next.kept)
}
