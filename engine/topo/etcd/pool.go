// A pool's membership as it is told to watchers.

package etcd

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// pool is what is known of one pool. Source.mu guards it, but for what is said otherwise.
type pool struct {
	name     string
	doc      document // the newest that was heard of or is on disk: no later one has a lower epoch
	stale    bool     // doc is from disk
	rev      int64    // ModRevision of the document in etcd; 0: there is none
	fits     bool     // the document in etcd is doc
	watchers map[*watcher]struct{}

	tellMu sync.Mutex // one call of watchers at a time; it guards what they have been told, too

	refreshMu  sync.Mutex // one refresh at a time; it guards those two
	refreshed  time.Time  // when the last refresh began
	refreshErr error      // how it ended

	due      time.Time // when it is looked at next; zero: never
	first    time.Time // when its first leaf was seen, while it has no document
	deciding bool
	heldFor  string        // who was held the last time
	backoff  time.Duration // until they are looked at again

	absentFor time.Duration // until those who are registered and not there are asked again
}

type watcher struct {
	f     func(topo.Snapshot)
	told  bool
	epoch uint64
	stale bool
}

// poolLocked gives the pool of that name.
func (s *Source) poolLocked(name string) *pool {
	p := s.pools[name]
	if p == nil {
		p = &pool{name: name, watchers: map[*watcher]struct{}{}}
		p.doc.Pool = name
		s.pools[name] = p
	}
	return p
}

// adoptLocked takes over the document that etcd holds for the pool; the zero one: none.
func (s *Source) adoptLocked(p *pool, d docAt) {
	p.rev = d.rev
	p.fits = d.rev > 0 && !d.bad && d.Epoch >= p.doc.Epoch && d.Epoch > 0
	if !p.fits {
		return // it is gone, spoilt or older than what was told: whoever decides writes a newer one
	}
	if d.Epoch > p.doc.Epoch || p.stale {
		p.doc, p.stale = d.document, false
		kick(s.save)
	}
	for name := range s.mirror.drained[p.name] {
		if find(p.doc.Members, name) == nil {
			delete(s.mirror.drained[p.name], name)
		}
	}
}

// visibleLocked gives what watchers of the pool may be told.
func (s *Source) visibleLocked(p *pool) (topo.Snapshot, bool) {
	switch {
	case !s.listed && (!s.mayStale || p.doc.Epoch == 0):
		return topo.Snapshot{}, false
	case s.listed && s.me != nil && !s.me.announced(p.name):
		return topo.Snapshot{}, false
	}
	snap := p.doc.Snapshot
	snap.Stale = p.stale
	return snap, true
}

// tell calls the pool's watchers with what is new to them. No lock is held.
func (s *Source) tell(p *pool) {
	p.tellMu.Lock()
	defer p.tellMu.Unlock()
	s.mu.Lock()
	snap, ok := s.visibleLocked(p)
	var to []*watcher
	for w := range p.watchers {
		if ok && (!w.told || w.epoch < snap.Epoch || w.stale && !snap.Stale) {
			to = append(to, w)
		}
	}
	if len(to) > 0 {
		s.status.Changes++
	}
	s.mu.Unlock()
	for _, w := range to {
		if s.ctx.Err() != nil {
			return
		}
		w.told, w.epoch, w.stale = true, snap.Epoch, snap.Stale
		w.f(snap)
	}
}

func (s *Source) tellAll() {
	s.mu.Lock()
	pools := make([]*pool, 0, len(s.pools))
	for _, p := range s.pools {
		pools = append(pools, p)
	}
	s.mu.Unlock()
	for _, p := range pools {
		s.tell(p)
	}
}

// Watch calls f with the pool's membership as soon as it is known, and whenever it has changed. f must not call Refresh, Close or stop.
func (s *Source) Watch(name string, f func(topo.Snapshot)) (stop func()) {
	w := &watcher{f: f}
	s.mu.Lock()
	p := s.poolLocked(name)
	s.mu.Unlock()
	p.tellMu.Lock() // until this is done the last of the others does not stop
	s.mu.Lock()
	p.watchers[w] = struct{}{}
	s.mu.Unlock()
	if s.me != nil {
		s.me.use(name)
	}
	p.tellMu.Unlock()
	s.tell(p)
	return func() {
		p.tellMu.Lock()
		defer p.tellMu.Unlock()
		s.mu.Lock()
		delete(p.watchers, w)
		none := len(p.watchers) == 0
		s.mu.Unlock()
		if none && s.me != nil {
			s.me.unuse(name)
		}
	}
}

// Refresh asks etcd for the pool's membership now. Callers that come while one asks are served by the next.
func (s *Source) Refresh(ctx context.Context, name string) (topo.Snapshot, error) {
	came := time.Now()
	s.mu.Lock()
	p := s.poolLocked(name)
	s.mu.Unlock()
	p.refreshMu.Lock()
	defer p.refreshMu.Unlock()
	if !p.refreshed.After(came) {
		p.refreshed = time.Now()
		if p.refreshErr = s.refresh(ctx, p); p.refreshErr == nil {
			s.awaitTold(ctx, p)
		}
	}
	snap := s.snapshot(p)
	if p.refreshErr != nil {
		return snap, fmt.Errorf("cannot refresh pool %q: %w", name, p.refreshErr)
	}
	if snap.Epoch == 0 {
		return snap, fmt.Errorf("%w: %q", topo.ErrUnknownPool, name)
	}
	return snap, nil
}

// awaitTold returns when the watchers have been told what is known: after the loss of this proxy's lease they are not before etcd has its word again.
func (s *Source) awaitTold(ctx context.Context, p *pool) {
	for {
		s.mu.Lock()
		_, visible := s.visibleLocked(p)
		visible = visible || len(p.watchers) == 0
		s.mu.Unlock()
		if visible {
			s.tell(p)
			return
		}
		if !s.pause(ctx, 10*time.Millisecond) || s.ctx.Err() != nil {
			return
		}
	}
}

func (s *Source) refresh(ctx context.Context, p *pool) error {
	c, ctx, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	r, err := c.Get(ctx, s.key(dirPools+p.name))
	if err != nil {
		return err
	}
	if len(r.Kvs) == 0 {
		return nil // if it was there, the watch will say that it is gone
	}
	d, err := readDocument(p.name, r.Kvs[0].Value)
	s.learn(p, docAt{document: d, rev: r.Kvs[0].ModRevision, bad: err != nil})
	return err
}

// learn takes over a document that was heard of by another way than the watch.
func (s *Source) learn(p *pool, d docAt) {
	s.mu.Lock()
	if d.rev > s.mirror.docs[p.name].rev {
		s.mirror.docs[p.name] = d
		s.mirror.keys[dirPools+p.name] = struct{}{}
		s.adoptLocked(p, d)
		s.dirtyLocked(p, s.o.Now())
	}
	s.mu.Unlock()
	s.tell(p)
	kick(s.decide)
}

func (s *Source) snapshot(p *pool) topo.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := p.doc.Snapshot
	snap.Stale = p.stale
	return snap
}
