// Stores: leaves' own, kept for the whole run and emptied for each test.

package routetest

import (
	"fmt"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// storeBytes is the memory of a store; the kernel gives it as it is used.
const storeBytes = 16 << 20

// maxItem is the largest value that a proxy may be told to take. A backend takes 1 MiB, and answers what is larger with an error, as leaves and memcached do.
const maxItem = 64 << 20

// memory is a leaf's store and its commands. It implements engine.LocalStore.
type memory struct {
	store *store.Store
	exec  *command.Executor
	req   mc.Request
}

// stores are all that there are.
type stores struct {
	clock *clock
	all   []*memory
	taken int
}

// take gives an empty store, until reset.
func (s *stores) take() *memory {
	if s.taken == len(s.all) {
		m, err := s.open()
		if err != nil {
			panic(fmt.Sprintf("routetest: %v", err)) // there is no memory for it
		}
		s.all = append(s.all, m)
	}
	m := s.all[s.taken]
	s.taken++
	return m
}

func (s *stores) open() (*memory, error) {
	m := &memory{}
	var err error
	if m.store, err = store.Open(store.Options{Memory: storeBytes, Now: s.clock.millis, FirstCAS: 1}); err != nil {
		return nil, err
	}
	if m.exec, err = command.New(command.Options{Store: m.store, Now: s.clock.millis}); err != nil {
		m.store.Close()
		return nil, err
	}
	return m, nil
}

// reset takes all stores back and empties them.
func (s *stores) reset() {
	for _, m := range s.all[:s.taken] {
		m.store.Renew()
	}
	s.taken = 0
}

func (s *stores) close() {
	for _, m := range s.all {
		m.store.Close()
	}
	s.all, s.taken = nil, 0
}

// Exec implements engine.LocalStore.
func (m *memory) Exec(r *mc.Request, dst []byte) []byte { return m.exec.Exec(r, dst) }

// serve runs a request as it travels and appends the answer, which there always is.
func (m *memory) serve(wire, dst []byte) []byte {
	var parser mc.Parser
	if n, _, err := parser.Next(wire, &mc.Rules{MaxValue: maxItem}, &m.req); err != nil || n != len(wire) {
		return append(dst, "SERVER_ERROR the test's backend cannot read this\r\n"...)
	}
	return m.exec.Exec(&m.req, dst)
}

// ask is serve for requests of ours.
func (m *memory) ask(format string, args ...any) string {
	return string(m.serve(fmt.Appendf(nil, format, args...), nil))
}
