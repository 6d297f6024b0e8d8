// The demoter: the one goroutine that moves segments from the window into ristretto and frees what it evicts.

package store

import (
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// list collects segments for the demoter. Its lock is taken last.
type list struct {
	mu   sync.Mutex
	segs []*segment
}

func (l *list) push(g *segment) {
	l.mu.Lock()
	l.segs = append(l.segs, g)
	l.mu.Unlock()
}

func (l *list) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.segs)
}

// pop takes the first, or gives nil.
func (l *list) pop() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segs) == 0 {
		return nil
	}
	g := l.segs[0]
	l.segs[0] = nil
	l.segs = l.segs[1:]
	return g
}

// take moves everything into buf.
func (l *list) take(buf []*segment) []*segment {
	l.mu.Lock()
	buf = append(buf[:0], l.segs...)
	clear(l.segs)
	l.segs = l.segs[:0]
	l.mu.Unlock()
	return buf
}

// maxHoles is how many segments with holes may wait for memory to be short.
const maxHoles = 1024

// openMain makes ristretto for about n segments.
func (s *Store) openMain(n int) error {
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *segment]{
		NumCounters:        int64(n * countersPerSegment),
		MaxCost:            s.o.Memory,
		BufferItems:        64,
		IgnoreInternalCost: true, // counted in fixedBytes
		OnEvict: func(i *ristretto.Item[*segment]) {
			if i.Value != nil { // nil: we had deleted it, and ristretto had not noticed
				s.victims.push(i.Value)
			}
		},
		OnReject: func(i *ristretto.Item[*segment]) { s.refused.push(i.Value) },
	})
	if err != nil {
		return err
	}
	s.cache = cache
	return nil
}

// nudge wakes the demoter if there is work. It never blocks.
func (s *Store) nudge() {
	if s.window.bytes.Load() <= s.windowTarget && s.mem.left() >= s.reserve && s.holes.len() <= maxHoles {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// demoter runs until Close.
func (s *Store) demoter() {
	defer close(s.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
			s.settle()
		case <-tick.C:
			s.sweep()
			s.settle()
		case f := <-s.ask:
			f()
		}
	}
}

// settle works until the window is within its share and the reserve is free, or nothing helps, or the store closes.
func (s *Store) settle() {
	for s.round() {
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

// batch is how many segments are set in ristretto at once, or their bytes if they are large items.
const batch = 16

// round does one round of settle's work; false when there is nothing more to do.
func (s *Store) round() bool {
	s.dropForgotten()
	short := s.mem.left() < s.reserve
	if s.o.NoEvict { // what ristretto is not given it cannot evict
		return (short || s.holes.len() > maxHoles) && s.compact()
	}
	demote := short || s.leaves(s.window.head(), false)
	if !demote && s.holes.len() <= maxHoles {
		return false
	}
	// What ristretto may hold: the limit less everything else, once the window is back within its share.
	excess := max(0, s.window.bytes.Load()-s.windowTarget)
	others := s.mem.used.Load() - s.mainBytes.Load() - excess
	most := s.o.Memory - s.reserve - others
	// Before it has to evict anything, what is dead is to go.
	if (!demote || most-s.mainBytes.Load() < batch*int64(s.mem.segSize)) && s.compact() {
		return true
	}
	if !demote {
		return false
	}
	s.cache.UpdateMaxCost(max(1, most))
	moved := s.demote(short)
	freed := s.reclaimAll(&s.victims, evicting) + s.reclaimAll(&s.refused, rejecting)
	return moved+freed > 0 || short && s.force()
}

// leaves says that g, the window's head, is to leave it: it is not new, and what stays is still the window's share or memory is short.
func (s *Store) leaves(g *segment, short bool) bool {
	return g != nil && !s.isNew(g) && (short || s.window.bytes.Load()-g.cost() >= s.windowTarget)
}

// isNew says that so little was written since g was filled that none of it may go: what was acknowledged is readable.
func (s *Store) isNew(g *segment) bool { return s.sealed.Load()-g.sealed < s.newest }

// demote moves the oldest segments of the window into ristretto and waits until ristretto has judged them.
func (s *Store) demote(short bool) (moved int) {
	for bytes := int64(0); moved < batch && bytes < batch*int64(s.mem.segSize); moved++ {
		g := s.window.head()
		if !s.leaves(g, short && moved == 0) {
			break
		}
		if s.leaveWindow(g) {
			for !s.cache.Set(g.id, g, g.cost()) { // refused only when its buffer is full
				s.cache.Wait()
			}
		}
		bytes += g.cost()
	}
	if moved > 0 {
		s.cache.Wait()
	}
	return moved
}

// leaveWindow takes g out of the window; true if ristretto shall have it.
func (s *Store) leaveWindow(g *segment) bool {
	sh := g.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if g.state != inWindow {
		return false
	}
	if g.worthCompacting() {
		sh.reclaim(g, compacting)
		return false
	}
	s.window.remove(g)
	g.state = inMain
	s.mainBytes.Add(g.cost())
	return true
}

// reclaimAll reclaims what ristretto gave up.
func (s *Store) reclaimAll(l *list, w why) (n int) {
	s.batch = l.take(s.batch)
	for _, g := range s.batch {
		g.shard.mu.Lock()
		if g.state == inMain {
			g.gone = true
			g.shard.reclaim(g, w)
			n++
		}
		g.shard.mu.Unlock()
	}
	return n
}

// compact rewrites some segments of which much is dead; false if there were none. Those that it has not come to yet a
// writer in want of memory may take.
func (s *Store) compact() bool {
	n := 0
	for n < batch {
		g := s.holes.pop()
		if g == nil {
			break
		}
		g.shard.mu.Lock()
		if g.state != dead {
			g.shard.reclaim(g, compacting)
			n++
		}
		g.shard.mu.Unlock()
	}
	return n > 0
}

// force evicts the oldest segment of one shard after the other, where ristretto has nothing that it could evict.
func (s *Store) force() bool {
	for range s.shards {
		s.turn = (s.turn + 1) % len(s.shards)
		sh := &s.shards[s.turn]
		sh.mu.Lock()
		ok := sh.reclaimOldest(false)
		sh.mu.Unlock()
		if ok {
			return true
		}
	}
	return false
}

// forget notes that ristretto holds a segment that is dead.
func (s *Store) forget(g *segment) {
	if !g.gone {
		s.forgotten.push(g)
	}
}

// dropForgotten deletes such segments from ristretto.
func (s *Store) dropForgotten() {
	s.batch = s.forgotten.take(s.batch)
	for _, g := range s.batch {
		s.cache.Del(g.id)
	}
	if len(s.batch) > 0 {
		s.cache.Wait()
	}
}
