// The proxy's own store, and what those who watch are told of it.

package main

import (
	"time"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// openLocal makes a store with memcached's commands over it, which tell hub what they do. Both go by so's clock.
func openLocal(so store.Options, co command.Options, hub *watch.Hub) (*leaf.Local, error) {
	now := so.Now
	if now == nil {
		now = func() int64 { return time.Now().UnixMilli() }
	}
	so.Evicted = func(it store.Item) { command.TellEvicted(hub, now(), it) }
	st, err := store.Open(so)
	if err != nil {
		return nil, err
	}
	co.Store, co.MaxItem, co.Now, co.Watch = st, so.MaxItem, now, hub
	ex, err := command.New(co)
	if err != nil {
		st.Close()
		return nil, err
	}
	return &leaf.Local{Executor: ex, Store: st}, nil
}

// newStore makes a store for a script.
func (f *proxyFlags) newStore(memory int64) (engine.LocalStore, error) {
	so, co := f.store, f.commands
	so.Memory, so.MaxItem = memory, int(min(f.maxItem, memory/4))
	so.NoEvict, so.NoCAS = false, false // what a memcached is to be like is not meant for it
	return openLocal(so, co, watch.New(watch.Options{}))
}
