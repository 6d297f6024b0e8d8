// What all workers have in common, over reloads too: stores, gates and the like, each with those generations that use it.

package engine

import (
	"errors"
	"io"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/fetch"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// sharing is all that is shared in a proxy. The zero value is empty. All methods may be called concurrently.
type sharing struct {
	mu  sync.Mutex
	all map[sharedName]*shared
}

type sharedName struct {
	kind, name string
	generation uint64 // 0: of all
}

// shared is one thing. Generations count it.
type shared struct {
	v     any
	users int
}

// shares is what one generation uses.
type shares struct {
	of     *sharing
	number uint64
	names  map[sharedName]bool // of.mu guards it
}

func (s *shares) get(kind, name string, make func() (any, error)) (any, error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	at := sharedName{kind: kind, name: name}
	if len(name) > 0 && name[0] == 0 {
		at.generation = s.number
	}
	x := s.of.all[at]
	if x == nil {
		v, err := make()
		if err != nil {
			return nil, err
		}
		x = &shared{v: v}
		if s.of.all == nil {
			s.of.all = map[sharedName]*shared{}
		}
		s.of.all[at] = x
	}
	if !s.names[at] {
		if s.names == nil {
			s.names = map[sharedName]bool{}
		}
		s.names[at] = true
		x.users++
	}
	return x.v, nil
}

// release gives up what the generation uses, and closes what nobody uses any more.
func (s *shares) release() {
	s.of.mu.Lock()
	var gone []any
	for at := range s.names {
		if x := s.of.all[at]; x.users > 1 {
			x.users--
		} else {
			delete(s.of.all, at)
			gone = append(gone, x.v)
		}
	}
	s.names = nil
	s.of.mu.Unlock()
	for _, v := range gone {
		if c, ok := v.(io.Closer); ok {
			_ = c.Close()
		}
	}
}

// stores are those of scripts.
func (s *sharing) stores() (list []luaapi.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if st, ok := x.v.(luaapi.Store); ok {
			list = append(list, st)
		}
	}
	return list
}

// Share implements luaapi.Sharer.
func (w *worker) Share(kind, name string, make func() (any, error)) (any, error) {
	return w.shares.get(kind, name, make)
}

// OpenStore implements luaapi.Sharer.
func (w *worker) OpenStore(memory int64) (luaapi.Store, error) {
	switch {
	case w.p.dry:
		return scriptStore{w.p.opts.Local}, nil
	case w.p.opts.NewStore == nil:
		return nil, errors.New("this proxy has no stores for scripts")
	}
	st, err := w.p.opts.NewStore(memory)
	if err != nil {
		return nil, err
	}
	return scriptStore{st}, nil
}

// OpenFetcher implements luaapi.Sharer.
func (w *worker) OpenFetcher(s luaapi.FetchSpec) (luaapi.Target, error) {
	if w.p.opts.NewFetcher != nil {
		return w.p.opts.NewFetcher(s)
	}
	f := fetch.New(fetch.Options{Before: s.Before, After: s.After, Timeout: s.Timeout, Max: s.Max, Connections: s.Connections, Now: backend.Now, Dry: w.p.dry})
	if w.p.trace != nil {
		return &tracedPool{nil, f.Name(), w.p.trace}, nil
	}
	return f, nil
}

// scriptStore is a store that a script has. It always answers, whatever a request says of being quiet.
type scriptStore struct{ LocalStore }

// Exec implements luaapi.Store.
func (s scriptStore) Exec(r *mc.Request, dst []byte) []byte { return execLoud(s.LocalStore, r, dst) }

// Close implements io.Closer.
func (s scriptStore) Close() error {
	if c, ok := s.LocalStore.(interface{ Close() }); ok {
		c.Close()
	}
	return nil
}

// execLoud runs r on a store, which answers even where r asks for quiet; nothing if it is not for it.
func execLoud(st LocalStore, r *mc.Request, dst []byte) []byte {
	if r.Cmd >= mc.CmdEndStorage || r.Cmd == mc.CmdMN || r.Cmd == mc.CmdME {
		return dst
	}
	if !r.Quiet && !r.NoReply {
		return st.Exec(r, dst)
	}
	var loud mc.Request
	var parser mc.Parser
	wire := mc.AppendWire(nil, r)
	if _, _, err := parser.Next(wire, &mc.Rules{MaxValue: len(r.Value)}, &loud); err != nil || loud.Bad != mc.BadNone {
		return dst
	}
	return st.Exec(&loud, dst)
}
