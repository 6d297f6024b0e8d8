// The topology of a test: who the members of discovered pools are.

package routetest

import (
	"context"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// topology says who the members of a pool are, wherever the configuration would have them asked for: a backend that is called as the pool is, unless
// members has been called.
type topology struct {
	members  map[string][]topo.Member
	watchers map[string][]*func(topo.Snapshot) // by pool
}

var _ topo.Source = (*topology)(nil)

func newTopology() *topology {
	return &topology{members: map[string][]topo.Member{}, watchers: map[string][]*func(topo.Snapshot){}}
}

// Watch implements topo.Source.
func (t *topology) Watch(ref string, f func(topo.Snapshot)) (stop func()) {
	pool := ref[strings.LastIndexByte(ref, '#')+1:]
	t.watchers[pool] = append(t.watchers[pool], &f)
	f(t.of(pool))
	return func() {
		t.watchers[pool] = slices.DeleteFunc(t.watchers[pool], func(g *func(topo.Snapshot)) bool { return g == &f })
	}
}

func (t *topology) of(pool string) topo.Snapshot {
	ms, ok := t.members[pool]
	if !ok {
		ms = []topo.Member{{Name: pool, Addr: pool + ":11211"}}
	}
	return topo.Snapshot{Pool: pool, Members: ms}
}

// Refresh implements topo.Source.
func (t *topology) Refresh(_ context.Context, ref string) (topo.Snapshot, error) {
	return t.of(ref), nil
}

// Applied implements topo.Source.
func (t *topology) Applied(string, uint64) {}

// Settled implements topo.Source.
func (t *topology) Settled(string, uint64) bool { return true }

// Status implements topo.Source.
func (t *topology) Status() topo.Status { return topo.Status{Source: "test", Connected: true} }

// Close implements topo.Source.
func (t *topology) Close() error { return nil }

// luaMembers is members(pool, list): from now on these are the members of a discovered pool. Each is a name, or a table of name, zone and weight.
func luaMembers(f *file, L *lua.LState) int {
	w := f.here(L, "members")
	pool, list := L.CheckString(1), L.CheckTable(2)
	ms := []topo.Member{}
	for i := 1; i <= list.Len(); i++ {
		var m topo.Member
		switch v := list.RawGetInt(i).(type) {
		case lua.LString:
			m.Name = string(v)
		case *lua.LTable:
			m.Name = lua.LVAsString(v.RawGetString("name"))
			m.Zone = lua.LVAsString(v.RawGetString("zone"))
			m.Weight = float64(lua.LVAsNumber(v.RawGetString("weight")))
		}
		m.Addr = m.Name + ":11211"
		if err := m.Validate(); err != nil {
			L.RaiseError("members: [%d]: %v", i, err)
		}
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b topo.Member) int { return strings.Compare(a.Name, b.Name) })
	w.topology.members[pool] = ms
	for _, tell := range slices.Clone(w.topology.watchers[pool]) {
		(*tell)(w.topology.of(pool))
	}
	return 0
}
