// Retries: requests that a leaf has refused because it knows a newer membership.

package pools

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	maxTries    = 3               // times a request is placed anew, each by a newer membership
	refreshTime = 3 * time.Second // etcd may have to be told first that this proxy is there, for which it is given two
)

// outdated is what waits for a newer membership.
type outdated struct {
	mu     sync.Mutex
	list   []backend.Again
	asking bool
}

// again takes what a leaf has refused. It is called by backends' readers.
func (p *Pool) again(list []backend.Again) {
	o := &p.outdated
	for i := range list {
		a := &list[i]
		if a.Pending.Mode > modeMoved { // of a move's own, which goes on without
			backend.Refuse(a.Pending, backend.ErrOutdated)
			list[i] = backend.Again{}
		} else if v := moveOf(a.Pending.Waiter); v != nil {
			v.abandon(a.Pending)
		}
	}
	o.mu.Lock()
	for i := range list {
		if list[i].Pending != nil {
			o.list = append(o.list, list[i])
		}
	}
	o.mu.Unlock()
	p.retryAll()
}

// retryAll places anew what can be, and has a newer membership asked for if something cannot.
func (p *Pool) retryAll() {
	o := &p.outdated
	m := p.m.Load()
	o.mu.Lock()
	var ready, wait []backend.Again
	for _, a := range o.list {
		if m.term == nil || m.epoch > a.Pending.Term.Epoch {
			ready = append(ready, a)
		} else {
			wait = append(wait, a)
		}
	}
	o.list = wait
	ask := len(wait) > 0 && !o.asking
	if ask && m.refresh == nil {
		o.list = nil
	} else {
		wait, o.asking = nil, o.asking || ask
	}
	o.mu.Unlock()
	refuse(wait)
	for i := range ready {
		pe := ready[i].Pending
		if pe.Tries++; pe.Tries > maxTries {
			backend.Refuse(pe, backend.ErrOutdated)
			continue
		}
		pe.Term, pe.Mode = nil, 0
		p.Send(&ready[i].Request, pe)
	}
	if ask && m.refresh != nil {
		go p.refresh(m)
	}
}

func refuse(list []backend.Again) {
	for i := range list {
		backend.Refuse(list[i].Pending, backend.ErrOutdated)
	}
}

// refresh asks for a newer membership than m. What still waits then has waited in vain.
func (p *Pool) refresh(m *membership) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTime)
	defer cancel()
	err := m.refresh(ctx)
	p.retryAll() // while asking is true nobody else asks
	o := &p.outdated
	o.mu.Lock()
	list := o.list
	o.list, o.asking = nil, false
	o.mu.Unlock()
	if err != nil {
		err = errors.Join(backend.ErrOutdated, err)
	} else {
		err = backend.ErrOutdated
	}
	for i := range list {
		backend.Refuse(list[i].Pending, err)
	}
}
