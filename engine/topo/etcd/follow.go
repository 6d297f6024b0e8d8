// Following etcd: one listing, one watch from its revision on, and all of it again when that may have missed something.

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
)

// run goes on until the source is closed.
func (s *Source) run() {
	stale := time.AfterFunc(s.o.StaleAfter, s.believeDisk)
	defer stale.Stop()
	if !s.connect() {
		return
	}
	wait := s.o.DialTimeout / 20
	for s.ctx.Err() == nil {
		began := s.o.Now()
		if err := s.follow(); s.ctx.Err() == nil {
			if errors.Is(err, errRewatch) {
				s.o.Log.Info("the watch of etcd is begun again", "reason", err)
			} else {
				s.lost(err)
			}
		}
		if s.o.Now().Sub(began) > maxBackoff {
			wait = s.o.DialTimeout / 20
		}
		if !s.pause(s.ctx, wait) {
			return
		}
		wait = min(wait*2, maxBackoff)
	}
}

// connect makes the client. It fails while a token is wanted and etcd is away, or refuses user and password.
func (s *Source) connect() bool {
	for wait := 100 * time.Millisecond; ; wait = min(wait*2, maxBackoff) {
		c, err := s.o.dial(s.ctx, s.secure)
		if err == nil {
			s.client.Store(c)
			close(s.dialled)
			return true
		}
		s.lost(fmt.Errorf("cannot reach etcd: %w", err))
		if !s.pause(s.ctx, wait) {
			return false
		}
	}
}

// scope is the range of keys that this process hears of: a proxy of everything, others of memberships.
func (s *Source) scope() (from, to string) {
	part := ""
	if s.me == nil {
		part = dirPools
	}
	from = s.key(part)
	return from, clientv3.GetPrefixRangeEnd(from)
}

// follow lists, watches, and returns why that is over.
func (s *Source) follow() error {
	rev, err := s.list(s.ctx)
	if err != nil {
		return err
	}
	return s.watchFrom(rev)
}

// watchFrom watches from a revision on, and returns why that is over.
func (s *Source) watchFrom(rev int64) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	c := s.client.Load()
	from, to := s.scope()
	// The client puts watches with the same metadata on one stream. This one is not to share that of the one before, which may hang.
	alone := metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "tidepool-watch", strconv.FormatUint(s.watches.Add(1), 10))
	begun := make(chan clientv3.WatchChan, 1)
	s.wg.Go(func() { begun <- c.Watch(alone, from, clientv3.WithRange(to), clientv3.WithRev(rev+1)) }) // it waits for etcd's word
	var events clientv3.WatchChan
	broken := make(chan struct{})
	s.wg.Go(func() {
		defer close(broken)
		c.ActiveConnection().WaitForStateChange(ctx, connectivity.Ready) // false: ctx is done
	})
	checked := make(chan error, 1)
	s.wg.Go(func() { checked <- s.check(ctx) })
	for {
		select {
		case events = <-begun:
		case r, ok := <-events:
			if err := r.Err(); err != nil {
				return fmt.Errorf("%w: etcd has ended it: %w", errRewatch, err)
			}
			if !ok {
				return fmt.Errorf("%w: etcd has ended it", errRewatch)
			}
			s.apply(&r)
		case err := <-checked:
			return err
		case <-broken:
			// The client would watch on where it was, and never notice that it is another etcd now: one that has forgotten everything.
			return errors.New("the connection to etcd is lost")
		}
	}
}

// list reads everything anew.
func (s *Source) list(ctx context.Context) (rev int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
	defer cancel()
	from, to := s.scope()
	r, err := s.client.Load().Get(ctx, from, clientv3.WithRange(to))
	if err != nil {
		return 0, fmt.Errorf("cannot list %s: %w", from, err)
	}
	m := newMirror()
	m.rev = r.Header.Revision
	for _, kv := range r.Kvs {
		if _, err := m.set(s.short(kv.Key), kv); err != nil {
			s.o.Log.Warn("etcd holds something strange", "error", err)
		}
	}
	s.mu.Lock()
	now := s.o.Now()
	if s.listed {
		s.status.Rewatches++
	}
	s.mirror, s.listed, s.listedAt, s.grace = m, true, now, now.Add(s.o.LeaseTTL+time.Second)
	s.heardLocked()
	for name := range m.docs {
		s.poolLocked(name)
	}
	for name := range m.leaves {
		s.poolLocked(name)
	}
	for name, p := range s.pools {
		s.adoptLocked(p, m.docs[name])
		s.dirtyLocked(p, now)
	}
	for h := range s.held {
		kick(h.verify)
	}
	s.mu.Unlock()
	s.tellAll()
	s.tellConfig()
	kick(s.decide)
	return m.rev, nil
}

// apply takes over what the watch tells.
func (s *Source) apply(r *clientv3.WatchResponse) {
	s.mu.Lock()
	touched := map[*pool]struct{}{}
	config, ours := false, false
	now := s.o.Now()
	for _, e := range r.Events {
		key, pool := s.short(e.Kv.Key), ""
		if e.Type == clientv3.EventTypePut {
			var err error
			if pool, err = s.mirror.set(key, e.Kv); err != nil {
				s.o.Log.Warn("etcd holds something strange", "error", err)
			}
		} else {
			pool = s.mirror.drop(key, e.Kv.ModRevision)
		}
		s.mirror.rev = max(s.mirror.rev, e.Kv.ModRevision)
		config = config || key == s.o.Config
		ours = ours || s.me != nil && key == dirProxies+s.me.id
		if pool != "" {
			touched[s.poolLocked(pool)] = struct{}{}
		}
		if strings.HasPrefix(key, dirProxies) { // one proxy less, or another word, may make it unanimous
			for _, p := range s.mirror.proxies {
				for pool := range p.Unreachable {
					touched[s.poolLocked(pool)] = struct{}{}
				}
			}
		}
	}
	for p := range touched {
		s.adoptLocked(p, s.mirror.docs[p.name])
		s.dirtyLocked(p, now)
	}
	s.status.LastNews = now
	s.mu.Unlock()
	if ours { // pools may have waited for it, if etcd's answer to the write came first: see reporter.announced
		s.tellAll()
	} else {
		for p := range touched {
			s.tell(p)
		}
	}
	if config {
		s.tellConfig()
	}
	if len(touched) > 0 {
		kick(s.decide)
	}
}

// errRewatch: etcd is there, but the watch is of no use any more.
var errRewatch = errors.New("the watch is over")

// check asks etcd, every CheckEvery, whether the watch has told everything. It returns when that must begin again.
func (s *Source) check(ctx context.Context) error {
	c := s.client.Load()
	from, to := s.scope()
	behind := int64(0) // the revision at which the watch was found behind
	wait := s.o.CheckEvery
	for s.pause(ctx, wait) {
		s.mu.Lock()
		rev := s.mirror.rev
		s.mu.Unlock()
		wait = s.o.CheckEvery
		call, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
		r, err := c.Get(call, from, clientv3.WithRange(to), clientv3.WithMinModRev(rev+1), clientv3.WithKeysOnly())
		cancel()
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			s.lost(fmt.Errorf("cannot ask etcd for news: %w", err)) // the watch may go on: it is not given up for that
			continue
		}
		s.mu.Lock()
		s.heardLocked()
		keys, at := int64(len(s.mirror.keys)), s.mirror.rev
		s.mu.Unlock()
		switch {
		case r.Header.Revision < rev:
			return fmt.Errorf("%w: etcd is at revision %d, and was at %d before", errRewatch, r.Header.Revision, rev)
		case len(r.Kvs) == 0 && r.Count == keys, at > rev: // nothing is missing, or the watch has gone on meanwhile
			behind = 0
		case behind == rev:
			return fmt.Errorf("%w: it has not told what has happened since revision %d", errRewatch, rev)
		default:
			behind, wait = rev, s.o.CheckEvery/4
		}
	}
	return ctx.Err()
}
