// Handing over: a leaf that leaves its pool waits until those who own its keys now have what it holds of them.

package leaf

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// handedOver is what is known of who has read what this leaf keeps for others.
type handedOver struct {
	mu    sync.Mutex
	to    map[string]uint64 // by heir, the epoch of the newest stream that it has read as far as it wanted
	items int64
}

// note takes down that a stream has ended.
func (h *handedOver) note(s *outgoing) {
	if s.q.Past == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items += s.items
	if !s.read {
		return
	}
	if h.to == nil {
		h.to = map[string]uint64{}
	}
	h.to[s.q.Past.Heir] = max(h.to[s.q.Past.Heir], s.q.Past.Epoch)
}

// HandOver is how far a leaf is that has been taken out of its pool.
type HandOver struct {
	Epoch uint64   // of the membership that does not count it; 0: it has heard of none
	Heirs int      // who own keys by that
	Left  []string // those of them that have not yet read what this leaf holds of theirs
	Items int64    // that heirs have been sent, by streams that have ended
}

// Done reports whether nobody is waited for.
func (h *HandOver) Done() bool { return h.Epoch > 0 && len(h.Left) == 0 }

// HandOver says how far it is now. While the pool warms, heirs read by themselves what is kept for them, what was read most first. Where
// it does not, there are none to wait for.
func (l *Leaf) HandOver() HandOver {
	h := HandOver{}
	l.handed.mu.Lock()
	defer l.handed.mu.Unlock()
	h.Items = l.handed.items
	line := l.members.lineage.Load()
	if len(line.ages) == 0 {
		return h
	}
	last := &line.ages[len(line.ages)-1]
	heirs := map[string]bool{}
	for _, p := range last.places {
		if p.me >= 0 {
			return h // it owns keys yet
		}
		for _, name := range p.names {
			heirs[name] = true
		}
	}
	if len(last.places) == 0 {
		return h // nobody has told yet who owns what
	}
	h.Epoch, h.Heirs = last.epoch, len(heirs)
	maps.DeleteFunc(heirs, func(name string, _ bool) bool { return !line.warms || l.handed.to[name] >= last.epoch })
	h.Left = slices.Sorted(maps.Keys(heirs))
	return h
}

// handOverEvery is how often AwaitHandOver looks.
const handOverEvery = 10 * time.Millisecond

// AwaitHandOver waits until that is done, or ctx ends, and says how far it has come. From it on nothing of what this leaf holds is missed, so
// far as heirs have room for it. It serves as before meanwhile.
func (l *Leaf) AwaitHandOver(ctx context.Context) HandOver {
	for {
		h := l.HandOver()
		if h.Done() || !pause(ctx, handOverEvery) {
			return h
		}
	}
}
