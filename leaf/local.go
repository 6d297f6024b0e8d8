// Local: the leaf's store and commands without NATS, which the proxy uses as its own local store.

package leaf

import (
	"hash/fnv"

	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// Local is a store with memcached's commands over it.
type Local struct {
	*command.Executor
	Store *store.Store
}

// NewLocal makes one. Of o it uses Memory, MaxItem, Now, Conns and Lanes.
func NewLocal(o Options) (*Local, error) {
	if o.MaxItem <= 0 {
		o.MaxItem = defaultMaxItem
	}
	var now func() int64
	if o.Now != nil {
		now = func() int64 { return o.Now().UnixMilli() }
	}
	st, err := store.Open(store.Options{Memory: o.Memory, MaxItem: o.MaxItem, Now: now, CASSpace: casSpace(o.Name)})
	if err != nil {
		return nil, err
	}
	ex, err := command.New(command.Options{Store: st, MaxItem: o.MaxItem, Now: now, Conns: o.Conns, Threads: o.Lanes, Stats: o.stats})
	if err != nil {
		st.Close()
		return nil, err
	}
	return &Local{Executor: ex, Store: st}, nil
}

// casSpace gives leaves of different names different CAS numbers, mostly.
func casSpace(name string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return uint8(h.Sum32() % store.CASSpaces)
}

// Close ends the store; its items are gone.
func (l *Local) Close() { l.Store.Close() }
