// A Source: what it consists of, how it begins and ends, how it is.

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// Source follows etcd. It is a topo.Source.
type Source struct {
	o      Options
	secure *tls.Config

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	client  atomic.Pointer[clients]
	dialled chan struct{} // closed once there is a client
	watches atomic.Uint64 // how many there have been

	mu       sync.Mutex
	mirror   *mirror
	listed   bool      // mirror is what etcd held, once
	listedAt time.Time // the last time
	grace    time.Time // until then leaves may not have noticed yet that etcd has forgotten them
	pools    map[string]*pool
	status   topo.Status
	err      error // why etcd is not there; nil: it is
	mayStale bool  // etcd was waited for: what is on disk is told
	held     map[*holder]struct{}
	configs  map[*configWatcher]struct{}
	kept     Config // the configuration that was loaded last, by this process or, from disk, by one before it
	keeps    uint64 // counts changes of kept

	configMu sync.Mutex // one call of watchers of the configuration at a time

	decide chan struct{} // pools may not fit
	save   chan struct{} // there is something for the disk
	doubt  chan struct{} // an endpoint may be silent
	me     *reporter     // nil: this process is no proxy
}

var _ topo.Source = (*Source)(nil)

// New starts to follow etcd. It waits for nothing: an error means options that cannot be.
func New(o Options) (*Source, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	secure, err := o.tls()
	if err != nil {
		return nil, err
	}
	s := &Source{
		o: o, secure: secure, dialled: make(chan struct{}),
		mirror: newMirror(), pools: map[string]*pool{}, held: map[*holder]struct{}{}, configs: map[*configWatcher]struct{}{},
		decide: make(chan struct{}, 1), save: make(chan struct{}, 1), doubt: make(chan struct{}, 1),
	}
	s.status.Source = fmt.Sprintf("etcd %s %s", strings.Join(o.Endpoints, ","), o.Prefix)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.loadState(); err != nil {
		return nil, err
	}
	if o.Proxy != nil {
		s.me = newReporter(s)
	}
	s.wg.Go(s.run)
	s.wg.Go(s.saver)
	s.wg.Go(s.endpoints)
	if o.Proxy != nil {
		s.me.h.start()
		s.wg.Go(s.decider)
		s.wg.Go(s.tidier)
	}
	return s, nil
}

// Close ends everything: registrations are taken back. Watchers are not called any more.
func (s *Source) Close() error {
	s.cancel()
	s.wg.Wait()
	s.forget()
	if c := s.client.Load(); c != nil {
		if err := c.Close(); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("cannot close the connection to etcd: %w", err)
		}
	}
	return nil
}

// forget drops all watchers, also those that are being told.
func (s *Source) forget() {
	s.mu.Lock()
	pools := slices.Collect(maps.Values(s.pools))
	s.mu.Unlock()
	for _, p := range pools {
		p.tellMu.Lock()
		s.mu.Lock()
		clear(p.watchers)
		s.mu.Unlock()
		p.tellMu.Unlock()
	}
}

// Status tells how the source is.
func (s *Source) Status() topo.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Connected = s.listed && s.err == nil
	return st
}

// etcd gives the client, once there is one.
func (s *Source) etcd(ctx context.Context) (*clients, error) {
	select {
	case <-s.dialled:
		return s.client.Load(), nil
	default:
	}
	select {
	case <-s.dialled:
		return s.client.Load(), nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err != nil {
			return nil, fmt.Errorf("cannot reach etcd: %w", s.err)
		}
		return nil, fmt.Errorf("cannot reach etcd: %w", ctx.Err())
	case <-s.ctx.Done():
		return nil, errClosed
	}
}

var errClosed = errors.New("the etcd source is closed")

// call gives a context for one request, and the client.
func (s *Source) call(ctx context.Context) (*clients, context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
	c, err := s.etcd(ctx)
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return c, ctx, cancel, nil
}

// key gives the whole key of a part.
func (s *Source) key(part string) string { return s.o.Prefix + "/" + part }

// short is key's reverse.
func (s *Source) short(key []byte) string { return strings.TrimPrefix(string(key), s.o.Prefix+"/") }

// lost notes that etcd is not there; said once until it is back. s.mu is not held.
func (s *Source) lost(err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.suspect(err)
	s.mu.Lock()
	first := s.err == nil
	s.err, s.status.LastError = err, err.Error()
	s.mu.Unlock()
	if first {
		s.o.Log.Warn("etcd is not there: what was known serves on", "error", err)
	}
}

// heardLocked notes that etcd has answered.
func (s *Source) heardLocked() {
	if s.err != nil {
		s.o.Log.Info("etcd is there again")
		s.status.LastError = ""
	}
	s.err, s.status.LastNews = nil, s.o.Now()
}

// pause waits for about d; false: the source is being closed.
func (s *Source) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(time.Duration(float64(d) * (0.5 + 0.5*s.o.Rand())))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
