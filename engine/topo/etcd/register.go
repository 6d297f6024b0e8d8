// A leaf's registration.

package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// Registration is a leaf's place in a pool. It outlives etcd's absence, restart and loss of memory; Close takes it back.
type Registration struct {
	pool string
	h    *holder

	mu      sync.Mutex
	m       topo.Member
	version uint64        // of m
	written uint64        // the version that etcd has; 0: none
	taken   bool          // another leaf has the name
	news    chan struct{} // closed and replaced when one of these changes
}

// Register makes a leaf a member of a pool, now or as soon as etcd is there. The error is about what cannot be.
func (s *Source) Register(pool string, m topo.Member) (*Registration, error) {
	if err := topo.ValidPool(pool); err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	r := &Registration{pool: pool, m: m, version: 1, news: make(chan struct{})}
	r.h = s.newHolder(&holder{key: s.key(dirLeaves + pool + "/" + m.Name), value: r.value, wrote: r.wrote, taken: r.lost})
	r.h.start()
	return r, nil
}

func (r *Registration) value() ([]byte, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, _ := json.Marshal(&r.m)
	return b, r.version
}

func (r *Registration) wrote(version uint64, _ int64) { r.note(version, false) }

func (r *Registration) lost() { r.note(0, true) }

func (r *Registration) note(written uint64, taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written, r.taken = written, taken
	close(r.news)
	r.news = make(chan struct{})
}

// SetState says how far the leaf is.
func (r *Registration) SetState(state topo.State) error {
	return r.Update(func(m *topo.Member) { m.State = state })
}

// Update changes what the leaf says of itself; its name stays.
func (r *Registration) Update(f func(*topo.Member)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.m
	f(&m)
	m.Name = r.m.Name
	if err := m.Validate(); err != nil {
		return err
	}
	if m != r.m {
		r.m = m
		r.version++
		kick(r.h.changed)
	}
	return nil
}

// Member is what the leaf says of itself.
func (r *Registration) Member() topo.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m
}

// Await waits until etcd has what the leaf says of itself now. It is an error if another leaf has registered itself under the name since: this one's word is
// not wanted then.
func (r *Registration) Await(ctx context.Context) error {
	for {
		r.mu.Lock()
		done, taken, news := r.written == r.version, r.taken, r.news
		r.mu.Unlock()
		switch {
		case done:
			return nil
		case taken:
			return fmt.Errorf("leaf %q is not registered in pool %q: %w", r.m.Name, r.pool, errTaken)
		}
		select {
		case <-news:
		case <-r.h.done:
			return errClosed
		case <-ctx.Done():
			return fmt.Errorf("leaf %q is not registered in pool %q: %w", r.m.Name, r.pool, ctx.Err())
		}
	}
}

// Close takes the registration back: proxies see it go at once.
func (r *Registration) Close() error {
	r.h.close()
	return nil
}
