// A key under a lease, held for as long as the process lives.

package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// holder keeps one key under a lease of its own: written anew when its value changes, when the lease is lost, when etcd has forgotten it.
type holder struct {
	s     *Source
	key   string
	value func() (b []byte, version uint64) // what is to be written; version counts its changes
	wrote func(version uint64, rev int64)   // told after each write, and with 0, 0 when the lease is lost; not at once with itself
	taken func()                            // told when the key is another's, who wrote it later. nil: there is none
	pace  time.Duration                     // between two writes

	changed chan struct{} // the value has
	verify  chan struct{} // the key may be gone
	done    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
}

// newHolder completes a holder. Nothing happens before start.
func (s *Source) newHolder(h *holder) *holder {
	h.s, h.changed, h.verify, h.done = s, make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	h.ctx, h.cancel = context.WithCancel(s.ctx)
	return h
}

func (h *holder) start() {
	h.s.mu.Lock()
	h.s.held[h] = struct{}{}
	h.s.mu.Unlock()
	h.s.wg.Go(func() {
		defer close(h.done)
		h.run(h.ctx)
	})
}

// close gives the key up and waits until it is.
func (h *holder) close() {
	h.cancel()
	<-h.done
	h.s.mu.Lock()
	delete(h.s.held, h)
	h.s.mu.Unlock()
}

// run takes one lease after the other.
func (h *holder) run(ctx context.Context) {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; {
		id, err := h.grant(ctx)
		if err == nil {
			wait = 100 * time.Millisecond
			err = h.keep(ctx, id)
			h.wrote(0, 0)
			if ctx.Err() != nil {
				h.revoke(id)
				return
			}
			h.s.mu.Lock()
			h.s.status.Leases++
			h.s.mu.Unlock()
			h.s.o.Log.Warn("a registration in etcd is lost: another is made", "key", h.key, "error", err)
			continue
		}
		if ctx.Err() == nil {
			h.s.lost(fmt.Errorf("cannot register %s: %w", h.key, err))
		}
		if !h.s.pause(ctx, wait) {
			return
		}
		wait = min(wait*2, maxBackoff)
	}
}

func (h *holder) grant(ctx context.Context) (clientv3.LeaseID, error) {
	c, ctx, cancel, err := h.s.call(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	r, err := c.Grant(ctx, int64(h.s.o.LeaseTTL/time.Second))
	if err != nil {
		return 0, err
	}
	return r.ID, nil
}

// revoke takes the key back at once. Where etcd is away the lease ends by itself.
func (h *holder) revoke(id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), h.s.o.DialTimeout/2)
	defer cancel()
	_, _ = h.s.client.Load().Revoke(ctx, id)
}

// keep writes the key and renews the lease, until that is lost or ctx is done.
//
// The client renews over one stream, which may hang on an endpoint that has been cut off; so where no answer comes for half the lease's time the
// lease is renewed by requests of their own, which try one endpoint after the other.
func (h *holder) keep(ctx context.Context, id clientv3.LeaseID) error {
	c, ttl := h.s.client.Load(), h.s.o.LeaseTTL
	var renewals <-chan *clientv3.LeaseKeepAliveResponse
	stop := func() {}
	defer func() { stop() }()
	renew := func() (err error) { // by the client, anew
		stop()
		var one context.Context
		one, stop = context.WithCancel(ctx)
		renewals, err = c.KeepAlive(one, id)
		return err
	}
	if err := renew(); err != nil {
		return err
	}
	tick := time.NewTicker(ttl / 8)
	defer tick.Stop()
	verify := time.NewTicker(ttl * 2)
	defer verify.Stop()
	renewed, wrote, last := time.Now(), uint64(0), time.Time{}
	for {
		if b, version := h.value(); version != wrote && time.Since(last) >= h.pace {
			last = time.Now()
			switch rev, err := h.put(ctx, id, b, wrote == 0); {
			case err == nil:
				wrote = version
				h.wrote(version, rev)
			case errors.Is(err, errTaken):
				if wrote = version; !h.there(ctx, id) { // it was deleted
					wrote = 0
				} else if h.taken != nil {
					h.taken()
				}
			case errors.Is(err, rpctypes.ErrLeaseNotFound):
				return err
			default:
				h.s.note(err)
			}
		}
		var soon <-chan time.Time
		if _, version := h.value(); version != wrote {
			soon = time.After(max(h.pace-time.Since(last), ttl/20, 50*time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-renewals:
			if ok {
				renewed = time.Now()
				continue
			}
			if err := h.rescue(ctx, id, &renewed); err != nil {
				return err
			}
			if err := renew(); err != nil {
				return err
			}
		case <-tick.C:
			if time.Since(renewed) > ttl/2 {
				if err := h.rescue(ctx, id, &renewed); err != nil {
					return err
				}
			}
		case <-verify.C:
			if !h.there(ctx, id) {
				wrote = 0
			}
		case <-h.verify:
			if !h.there(ctx, id) {
				wrote = 0
			}
		case <-h.changed:
		case <-soon:
		}
	}
}

// rescue renews the lease by requests of their own. An error: the lease is lost.
func (h *holder) rescue(ctx context.Context, id clientv3.LeaseID, renewed *time.Time) error {
	h.s.suspect(context.DeadlineExceeded) // no answer has come for long
	for {
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, h.s.o.LeaseTTL/8)
		_, err := h.s.client.Load().KeepAliveOnce(one, id)
		cancel()
		if err == nil {
			*renewed = began
			return nil
		}
		h.s.suspect(err)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound) || ctx.Err() != nil:
			return err
		case time.Since(*renewed) > h.s.o.LeaseTTL:
			return fmt.Errorf("the lease has run out: %w", err)
		}
		if !h.s.pause(ctx, h.s.o.LeaseTTL/50) { // it may have failed at once
			return ctx.Err()
		}
	}
}

// errTaken is put's error where the key is not this lease's any more.
var errTaken = errors.New("another process has the key")

// put writes the key. Who comes first under its lease takes it from whoever has it, and keeps it until another comes so: what the former has to say
// after that must not stand for the newcomer.
func (h *holder) put(ctx context.Context, id clientv3.LeaseID, b []byte, first bool) (rev int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.s.o.DialTimeout)
	defer cancel()
	txn := h.s.client.Load().Txn(ctx)
	if !first {
		txn = txn.If(clientv3.Compare(clientv3.LeaseValue(h.key), "=", id))
	}
	r, err := txn.Then(clientv3.OpPut(h.key, string(b), clientv3.WithLease(id))).Commit()
	if err == nil && !r.Succeeded {
		err = errTaken
	}
	if err != nil {
		return 0, fmt.Errorf("cannot write %s: %w", h.key, err)
	}
	return r.Header.Revision, nil
}

// there reports whether etcd still has the key. One that somebody else has written since is left alone: two that take each other's place in turn
// would do so for ever.
func (h *holder) there(ctx context.Context, id clientv3.LeaseID) bool {
	ctx, cancel := context.WithTimeout(ctx, h.s.o.DialTimeout)
	defer cancel()
	r, err := h.s.client.Load().Get(ctx, h.key, clientv3.WithKeysOnly())
	if err != nil {
		return true // nobody knows
	}
	if len(r.Kvs) > 0 && r.Kvs[0].Lease != int64(id) {
		h.s.o.Log.Error("another process has registered itself under the same name", "key", h.key)
	}
	return len(r.Kvs) > 0
}
