// Deciding memberships: where a document does not fit the registrations, a better one is written by compare-and-swap.

package etcd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// How long a change that looks like etcd's own misfortune is held back before the vanished are asked again.
const (
	minHold = time.Second
	maxHold = 30 * time.Second
)

// perRank is how much later the next proxy acts, so that of many one writes and the others find it written.
const (
	perRank = 25 * time.Millisecond
	maxRank = 10
)

// dirtyLocked has the pool looked at soon.
func (s *Source) dirtyLocked(p *pool, now time.Time) {
	if s.me == nil {
		return
	}
	wait := gather + time.Duration(s.rankLocked(p.name))*perRank
	if p.doc.Epoch == 0 { // its first leaves come one after the other
		if len(s.mirror.leaves[p.name]) == 0 {
			p.first = time.Time{}
			return
		}
		if p.first.IsZero() {
			p.first = now
		}
		wait += max(min(s.o.quiet, s.o.longest-now.Sub(p.first)), 0)
		p.due = now.Add(wait)
		return
	}
	if at := now.Add(wait); p.due.IsZero() || p.due.After(at) {
		p.due = at
	}
}

// rankLocked is this proxy's place among those that would decide on the pool; each pool has another first.
func (s *Source) rankLocked(pool string) int {
	score := func(id string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(id + "/" + pool))
		return h.Sum64()
	}
	mine, rank := score(s.me.id), 0
	for id := range s.mirror.proxies {
		if id != s.me.id && score(id) < mine {
			rank++
		}
	}
	return min(rank, maxRank)
}

// decider looks at pools when they are due, each in a goroutine of its own: the vanished of one must not hold up another.
func (s *Source) decider() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now, next := s.o.Now(), time.Hour
		s.mu.Lock()
		for _, p := range s.pools {
			switch {
			case !s.listed || p.due.IsZero() || p.deciding:
			case !p.due.After(now):
				p.due, p.deciding = time.Time{}, true
				s.wg.Go(func() { s.look(p) })
			default:
				next = min(next, p.due.Sub(now))
			}
		}
		s.mu.Unlock()
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-s.decide:
		case <-s.ctx.Done():
			return
		}
	}
}

// look makes the pool's document fit.
func (s *Source) look(p *pool) {
	again := s.replace(p)
	s.mu.Lock()
	p.deciding = false
	if again > 0 {
		if at := s.o.Now().Add(again); p.due.IsZero() || p.due.After(at) {
			p.due = at
		}
	}
	s.mu.Unlock()
	kick(s.decide)
}

// replace writes the pool's next document if the one that is there does not fit, and says when to look again; 0: when something changes.
func (s *Source) replace(p *pool) (again time.Duration) {
	s.mu.Lock()
	d, rev, fits := p.doc, p.rev, p.fits
	regs, drained := maps.Clone(s.mirror.leaves[p.name]), maps.Clone(s.mirror.drained[p.name])
	seen := s.mirror.docs[p.name].Epoch
	behind := s.mirror.rev < rev
	s.mu.Unlock()
	if behind {
		return gather // the document is newer than the registrations that are known
	}
	if len(d.Members) == 0 && len(regs) == 0 {
		return 0 // a document may be there or have been tidied away
	}
	now := s.o.Now()
	absent, sooner := s.present(p, &d, regs, drained, now)
	vanished := slices.DeleteFunc(missing(&d, regs, drained), func(name string) bool { return slices.Contains(absent, name) })
	held, again := s.hold(p, &d, vanished, regs, now)
	if again == 0 || sooner > 0 && sooner < again {
		again = sooner
	}
	next, changed := plan(&d, regs, drained, held, now, &s.o)
	next.remembered(&d, absent)
	if !changed && fits {
		return again
	}
	next.Epoch, next.Replaces = nextEpoch(now, d.Epoch, seen), d.Epoch
	won, err := s.swap(p, &next, rev)
	switch {
	case err != nil:
		s.note(err)
		return cmp.Or(again, time.Second)
	case !won:
		return gather
	}
	s.o.Log.Info("pool has a new membership", "pool", p.name, "epoch", next.Epoch, "leaves", names(next.Members),
		"previous", names(next.Previous), "lost", next.Lost, "held", held, "unreachable", absent)
	return again
}

// swap writes the document if etcd still holds the one of that revision, and takes over what etcd holds then.
func (s *Source) swap(p *pool, next *document, rev int64) (won bool, err error) {
	b, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	c, ctx, cancel, err := s.call(s.ctx)
	if err != nil {
		return false, err
	}
	defer cancel()
	key := s.key(dirPools + p.name)
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).
		Then(clientv3.OpPut(key, string(b))).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return false, fmt.Errorf("cannot replace the membership of pool %q: %w", p.name, err)
	}
	if r.Succeeded {
		s.learn(p, docAt{document: *next, rev: r.Header.Revision})
		return true, nil
	}
	s.mu.Lock()
	s.status.Conflicts++
	s.mu.Unlock()
	if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		d, err := readDocument(p.name, kvs[0].Value)
		s.learn(p, docAt{document: d, rev: kvs[0].ModRevision, bad: err != nil})
	}
	return false, nil
}

// hold gives the members without a registration who stay all the same, and when to ask again. Straight after a listing all do,
// and be it one: an etcd that has forgotten its leases is there before the leaves have noticed, and who is lost has lost its items.
func (s *Source) hold(p *pool, d *document, vanished []string, regs map[string]topo.Member, now time.Time) (held []string, again time.Duration) {
	s.mu.Lock()
	grace := s.grace.Sub(now)
	s.mu.Unlock()
	switch {
	case grace > 0:
		held = vanished
	case s.o.Probe != nil && suspicious(d, vanished, regs, now, &s.o):
		var ms []topo.Member
		for _, name := range vanished {
			ms = append(ms, *find(d.Members, name))
		}
		held = s.answering(ms)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(held) == 0 {
		p.heldFor, p.backoff = "", 0
		return nil, 0
	}
	if which := strings.Join(held, " "); which != p.heldFor {
		s.status.Refused++
		s.o.Log.Warn("leaves are not registered any more: they stay as long as they answer", "pool", p.name, "leaves", held)
		p.heldFor, p.backoff = which, 0
	}
	if grace > 0 {
		return held, grace
	}
	p.backoff = min(max(p.backoff*2, minHold), maxHold)
	return held, p.backoff
}

// answering asks all of them at once, and gives the names of those who are there.
func (s *Source) answering(ms []topo.Member) (names []string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.ProbeTimeout)
	defer cancel()
	answers := make([]bool, len(ms))
	var wg sync.WaitGroup
	for i := range ms {
		wg.Go(func() { answers[i] = s.o.Probe(ctx, ms[i]) })
	}
	wg.Wait()
	for i := range ms {
		if answers[i] {
			names = append(names, ms[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// note keeps an error for Status, without taking etcd for gone. What comes again and again is said once.
func (s *Source) note(err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.suspect(err)
	s.mu.Lock()
	known := s.err != nil || s.status.LastError == err.Error()
	s.status.LastError = err.Error()
	s.mu.Unlock()
	if !known {
		s.o.Log.Warn("etcd has not done what it was asked", "error", err)
	}
}

func names(ms []topo.Member) []string {
	out := make([]string, len(ms))
	for i := range ms {
		out[i] = ms[i].Name
	}
	return out
}
