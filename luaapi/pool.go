// Pools as scripts see them: made in the configuration stage, called in routes.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// newPool is mcp.pool(backends, opts).
func newPool(a *API, L *lua.LState) int {
	list := L.CheckTable(1)
	spec := PoolSpec{}
	for i := 1; i <= list.Len(); i++ {
		ud, _ := list.RawGetInt(i).(*lua.LUserData)
		var be BackendSpec
		ok := false
		if ud != nil {
			be, ok = ud.Value.(BackendSpec)
		}
		if !ok {
			return raise(L, fmt.Sprintf("mcp.pool: backends[%d]: want a backend, got %s", i, list.RawGetInt(i).Type()))
		}
		spec.Backends = append(spec.Backends, be)
	}
	if opts, ok := L.Get(2).(*lua.LTable); ok {
		if err := poolOptions(opts, &spec); err != nil {
			return raise(L, err.Error())
		}
	}
	p, err := a.o.Config.NewPool(spec)
	if err != nil {
		return raise(L, err.Error())
	}
	L.Push(a.pool(p))
	return 1
}

// pool wraps a target for scripts.
func (a *API) pool(p Target) *lua.LUserData {
	ud := a.st.L.NewUserData()
	ud.Value, ud.Metatable = p, a.poolMT
	return ud
}

// toTarget is the pool in v, if it is one.
func toTarget(v lua.LValue) (Target, bool) {
	ud, ok := v.(*lua.LUserData)
	if !ok {
		return nil, false
	}
	t, ok := ud.Value.(Target)
	return t, ok
}

// poolOptions reads mcp.pool's second argument. Fields that it does not know are ignored, as in memcached's proxy.
func poolOptions(t *lua.LTable, s *PoolSpec) error {
	for name, field := range map[string]*string{
		"name": &s.Name, "seed": &s.Seed, "filter": &s.Filter, "filter_conf": &s.FilterConf,
		"omode": &s.OMode, "beprefix": &s.Prefix,
	} {
		switch v := t.RawGetString(name).(type) {
		case *lua.LNilType:
		case lua.LString:
			*field = string(v)
		default:
			return fmt.Errorf("mcp.pool: %s: want a string, got %s", name, v.Type())
		}
	}
	switch v := t.RawGetString("obuckets").(type) {
	case *lua.LNilType:
	case lua.LNumber:
		if v < 1 {
			return fmt.Errorf("ring_hash: option argument must be a positive integer")
		}
		s.OBuckets = int(v)
	default:
		return fmt.Errorf("ring_hash: option argument must be a positive integer")
	}
	if v := t.RawGetString("dist"); v != lua.LNil {
		dist, ok := v.(*lua.LTable)
		if !ok {
			return fmt.Errorf("mcp.pool: dist: want a distribution such as mcp.dist_jump_hash, got %s", v.Type())
		}
		if s.Dist, ok = marker(dist.RawGetString("new")); !ok {
			return fmt.Errorf("key distribution object missing 'new' function")
		}
	}
	if v := t.RawGetString("hash"); v != lua.LNil {
		var ok bool
		if s.Hash, ok = marker(v); !ok {
			return fmt.Errorf("mcp.pool: hash: want a hash such as mcp.hash_xxhash, got %s", v.Type())
		}
	}
	return nil
}

// marker is the name behind an opaque constant.
func marker(v lua.LValue) (string, bool) {
	ud, ok := v.(*lua.LUserData)
	if !ok {
		return "", false
	}
	name, ok := ud.Value.(string)
	return name, ok
}
