// mcp.discover: a pool whose members are found elsewhere than in the configuration.

package luaapi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// DiscoverSpec is what mcp.discover describes. Two equal ones are one pool, over reloads too.
type DiscoverSpec struct {
	PoolOptions
	Pool    string // its name in the topology
	From    string // "": the proxy's own topology; else "dns://host:port", "srv://name" or "file:path"
	Zone    string // "": members of every zone
	Backend BackendOptions
}

// newDiscovered is mcp.discover(name, opts).
func newDiscovered(a *API, L *lua.LState) int {
	spec := DiscoverSpec{Pool: L.CheckString(1), Backend: a.o.Settings.Backend}
	spec.IOThread = a.o.Settings.IOThread
	opts := L.OptTable(2, L.NewTable())
	zones, err := a.discoverOptions(opts, &spec)
	if err != nil {
		return raise(L, discoverError(err))
	}
	give := func() (lua.LValue, error) {
		p, err := a.o.Config.Discover(spec)
		if err != nil {
			return nil, err
		}
		return a.pool(p), nil
	}
	var found lua.LValue
	if zones == nil {
		if spec.Name == "" {
			spec.Name = zoneName(spec.Pool, spec.Zone)
		}
		found, err = give()
	} else {
		byZone := L.CreateTable(0, len(zones))
		name := cmp.Or(spec.Name, spec.Pool)
		for _, zone := range zones {
			spec.Zone, spec.Name = zone, zoneName(name, zone)
			if found, err = give(); err != nil {
				break
			}
			byZone.RawSetString(zone, found)
		}
		found = byZone
	}
	if err != nil {
		return raise(L, discoverError(err))
	}
	L.Push(found)
	return 1
}

// discoverError is an error as mcp.discover tells it, also one of what it shares with mcp.backend.
func discoverError(err error) string {
	return "mcp.discover: " + strings.TrimPrefix(strings.TrimPrefix(err.Error(), "mcp.discover: "), "mcp.backend: ")
}

// zoneName is what a pool of one zone is called: users.west.
func zoneName(pool, zone string) string {
	if zone == "" {
		return pool
	}
	return pool + "." + zone
}

// discoverFields are the options of mcp.discover alone.
var discoverFields = map[string]bool{"from": true, "zone": true, "zones": true}

// isBackendOption reports whether mcp.backend has this option, and it can be meant for any backend.
func isBackendOption(name string) bool {
	return numericOptions[name] != nil || switches[name] != nil || texts[name] != nil || name == "log"
}

// discoverOptions reads mcp.discover's second argument, and gives the zones of which each is to be a pool; nil: it is one pool. Options that
// there are not are an error, unlike those of mcp.pool: no configuration of another proxy has this function.
func (a *API) discoverOptions(t *lua.LTable, s *DiscoverSpec) (zones []string, err error) {
	backends := a.st.L.NewTable()
	t.ForEach(func(k, v lua.LValue) {
		name := k.String()
		switch {
		case isBackendOption(name):
			backends.RawSet(k, v)
		case !poolFields[name] && !discoverFields[name] && err == nil:
			err = fmt.Errorf("there is no option %q; there are %s, and those of mcp.backend", name, strings.Join(discoverNames(), ", "))
		}
	})
	if err == nil {
		err = poolOptions("mcp.discover", t, &s.PoolOptions)
	}
	if err == nil {
		err = a.backendOptions(backends, &s.Backend)
	}
	if err == nil {
		err = a.checkTLS([]BackendSpec{{Options: s.Backend}})
	}
	if err != nil {
		return nil, err
	}
	for name, field := range map[string]*string{"from": &s.From, "zone": &s.Zone} {
		switch v := t.RawGetString(name).(type) {
		case *lua.LNilType:
		case lua.LString:
			if *field = string(v); v == "" {
				return nil, fmt.Errorf("%s: it is empty", name)
			}
		default:
			return nil, fmt.Errorf("%s: want a string, got %s", name, v.Type())
		}
	}
	zones, err = zonesOf(t.RawGetString("zones"))
	if err == nil && zones != nil && s.Zone != "" {
		err = fmt.Errorf("want zone, for a pool of one zone, or zones, for a pool of each, not both")
	}
	return zones, err
}

func discoverNames() []string {
	return slices.Sorted(maps.Keys(merge(poolFields, discoverFields)))
}

func merge(a, b map[string]bool) map[string]bool {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

// zonesOf reads a list of zones; nil if there is none.
func zonesOf(v lua.LValue) (zones []string, err error) {
	list, ok := v.(*lua.LTable)
	switch {
	case v == lua.LNil:
		return nil, nil
	case !ok:
		return nil, fmt.Errorf("zones: want a list of zones, got %s", v.Type())
	case list.Len() == 0:
		return nil, fmt.Errorf("zones: want a list of zones, got none")
	}
	for i := 1; i <= list.Len(); i++ {
		zone, ok := list.RawGetInt(i).(lua.LString)
		if !ok || zone == "" {
			return nil, fmt.Errorf("zones[%d]: want the name of a zone, got %s", i, list.RawGetInt(i).Type())
		}
		if slices.Contains(zones, string(zone)) {
			return nil, fmt.Errorf("zones[%d]: %q is there twice", i, string(zone))
		}
		zones = append(zones, string(zone))
	}
	return zones, nil
}
