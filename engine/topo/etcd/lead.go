// Leaders: what must happen once.

package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// Lead runs f whenever this process is the leader of that name among those that call Lead, until ctx is done or f has returned without its
// context being done. f's context ends when the leadership does, some tenths of a second before etcd gives it to another if clocks run alike; f
// must return promptly then. What f has begun elsewhere is not undone: where two must never act at once, what they act on has to refuse the older.
func (s *Source) Lead(ctx context.Context, name string, f func(ctx context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for wait := 100 * time.Millisecond; ; wait = min(wait*2, maxBackoff) {
		done, err := s.leadOnce(ctx, name, f)
		if done || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.note(fmt.Errorf("cannot lead %q: %w", name, err))
		} else {
			wait = 100 * time.Millisecond
		}
		if !s.pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// leadOnce stands for election and, elected, runs f. done: f has come to an end by itself.
func (s *Source) leadOnce(ctx context.Context, name string, f func(ctx context.Context)) (done bool, err error) {
	c, err := s.etcd(ctx)
	if err != nil {
		return false, err
	}
	// The session's own context must end after this function's: it is to be closed, not left to expire.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	grant := time.AfterFunc(s.o.DialTimeout, end)
	session, err := concurrency.NewSession(c.until(life), concurrency.WithTTL(int(s.leadTTL()/time.Second)), concurrency.WithContext(life))
	if !grant.Stop() || err != nil {
		return false, fmt.Errorf("cannot take a lease: %w", err)
	}
	defer func() {
		stop := time.AfterFunc(s.o.DialTimeout, end)
		defer stop.Stop()
		_ = session.Close()
	}()
	standing, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(session.Ctx(), cancel)()
	defer context.AfterFunc(standing, func() { time.AfterFunc(s.o.DialTimeout, end) })() // Campaign gives its place back before it returns
	election := concurrency.NewElection(session, s.key(dirLeader+name))
	if err := election.Campaign(standing, s.whoami()); err != nil {
		return false, err
	}
	leading, lost := context.WithCancel(standing)
	defer lost()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer lost()
		s.watchLease(leading, c, session.Lease())
	}()
	f(leading)
	done = leading.Err() == nil
	lost()
	<-watched
	return done, nil
}

// until is the client with a life of its own: an election gives its place back by the client's context, which would not end while etcd is gone.
func (c *clients) until(life context.Context) *clientv3.Client {
	mine := clientv3.NewCtxClient(life)
	mine.KV, mine.Lease, mine.Watcher = c.KV, c.Lease, c.Watcher
	return mine
}

// leadTTL is how long a leader that vanished keeps the others waiting. etcd tells what is left of a lease in whole seconds: less could not be
// told from nothing.
func (s *Source) leadTTL() time.Duration { return max(s.o.LeaseTTL, 3*time.Second) }

// watchLease returns when the lease is about to run out. What the client thinks of a lease is no proof: it counts from when an answer came,
// etcd from when it was asked.
func (s *Source) watchLease(ctx context.Context, c *clients, id clientv3.LeaseID) {
	ttl := s.leadTTL()
	safe := time.Now().Add(ttl - ttl/5)
	for s.pause(ctx, ttl/8) {
		asked := time.Now()
		call, cancel := context.WithDeadline(ctx, minTime(safe, asked.Add(ttl/4)))
		r, err := c.TimeToLive(call, id)
		cancel()
		switch {
		case err == nil && r.TTL <= 0:
			return
		case err == nil:
			safe = asked.Add(time.Duration(r.TTL)*time.Second - ttl/20) // r.TTL is rounded down
		}
		if !time.Now().Before(safe) {
			return
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (s *Source) whoami() string {
	if s.me != nil {
		return s.me.id
	}
	return "-"
}

// tidyEvery is how often the leader looks for leftovers.
const tidyEvery = time.Minute

// tidier forgets pools that nobody needs, in one process of all.
func (s *Source) tidier() {
	_ = s.Lead(s.ctx, "tidy", func(ctx context.Context) {
		for s.pause(ctx, tidyEvery) {
			s.tidy(ctx)
		}
	})
}

// tidy deletes documents of pools that have had no leaf for TidyAfter and that no proxy uses. What leaves and proxies leave behind goes with
// their leases.
func (s *Source) tidy(ctx context.Context) {
	s.mu.Lock()
	now := s.o.Now()
	old := map[string]int64{}
	for name, d := range s.mirror.docs {
		if len(d.Members) == 0 && len(s.mirror.leaves[name]) == 0 && !d.bad && now.Sub(d.Since) > s.o.TidyAfter {
			old[name] = d.rev
		}
	}
	for _, p := range s.mirror.proxies {
		for name := range p.Applied {
			delete(old, name)
		}
	}
	s.mu.Unlock()
	for name, rev := range old {
		key := s.key(dirPools + name)
		call, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
		_, err := s.client.Load().Txn(call).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).Then(clientv3.OpDelete(key)).Commit()
		cancel()
		if err != nil {
			s.note(fmt.Errorf("cannot forget pool %q: %w", name, err))
			continue
		}
		s.o.Log.Info("a pool without leaves is forgotten", "pool", name)
	}
}
