// Pools as scripts see them: made in the configuration stage, called in routes.

package luaapi

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// newPool is mcp.pool(backends, opts).
func newPool(a *API, L *lua.LState) int {
	list := L.CheckTable(1)
	if err := onlyListed(list); err != nil {
		return raise(L, err.Error())
	}
	var spec PoolSpec
	spec.IOThread = a.o.Settings.IOThread
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
	if opts := L.OptTable(2, nil); opts != nil {
		if err := poolOptions("mcp.pool", opts, &spec.PoolOptions); err != nil {
			return raise(L, err.Error())
		}
		a.tellUnknown(opts)
		a.tellUseless(&spec.PoolOptions)
	}
	if err := a.checkTLS(spec.Backends); err != nil {
		return raise(L, err.Error())
	}
	p, err := a.o.Config.NewPool(spec)
	if err != nil {
		return raise(L, err.Error())
	}
	L.Push(a.pool(p))
	return 1
}

// onlyListed wants no backend outside the list that a pool is made of: it would get no keys, and nobody would know.
func onlyListed(list *lua.LTable) (err error) {
	n := 0 // Len may count holes
	for list.RawGetInt(n+1) != lua.LNil {
		n++
	}
	list.ForEach(func(k, v lua.LValue) {
		if i, ok := k.(lua.LNumber); ok && 1 <= i && i <= lua.LNumber(n) || err != nil {
			return
		}
		ud, _ := v.(*lua.LUserData)
		isBackend := false
		if ud != nil {
			_, isBackend = ud.Value.(BackendSpec)
		}
		if n == 0 || isBackend {
			err = fmt.Errorf("mcp.pool: backends: want a list without holes, got a field %s", shown(k))
		}
	})
	return err
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

// poolFields are the options of mcp.pool.
var poolFields = map[string]bool{
	"name": true, "seed": true, "filter": true, "filter_conf": true, "omode": true, "obuckets": true, "beprefix": true, "hash_tag": true,
	"salt": true, "iothread": true, "dist": true, "hash": true,
}

// tellUnknown logs the options of mcp.pool that mean nothing: as in memcached's proxy they are no error, but one that was meant to
// say where keys go must not be lost without a word.
func (a *API) tellUnknown(opts *lua.LTable) {
	opts.ForEach(func(k, _ lua.LValue) {
		if !poolFields[k.String()] {
			a.o.Logger.Log(fmt.Sprintf("mcp.pool: unknown option %q is ignored", k.String()))
		}
	})
}

// tellUseless logs the options that mean nothing beside the others, which memcached's proxy takes without a word: omode = "ketama" alone does not
// place keys by ketama.
func (a *API) tellUseless(o *PoolOptions) {
	for _, d := range []struct {
		useless     bool
		name, wants string
	}{
		{o.OMode != "" && o.Dist != "ring", "omode", "dist = mcp.dist_ring_hash"},
		{o.OBuckets != 0 && o.Dist != "ring", "obuckets", "dist = mcp.dist_ring_hash"},
		{o.FilterConf != "" && o.Filter == "", "filter_conf", "a filter"},
	} {
		if d.useless {
			a.o.Logger.Log(fmt.Sprintf("mcp.pool: option %q is ignored: it wants %s", d.name, d.wants))
		}
	}
}

// poolOptions reads the options of a pool; who is the function that takes them.
func poolOptions(who string, t *lua.LTable, s *PoolOptions) error {
	for name, field := range map[string]*string{
		"name": &s.Name, "seed": &s.Seed, "filter": &s.Filter, "filter_conf": &s.FilterConf,
		"omode": &s.OMode, "beprefix": &s.Prefix, "hash_tag": &s.HashTag, "salt": &s.Salt,
	} {
		switch v := t.RawGetString(name).(type) {
		case *lua.LNilType:
		case lua.LString:
			*field = string(v)
		default:
			return fmt.Errorf("%s: %s: want a string, got %s", who, name, v.Type())
		}
	}
	if v := t.RawGetString("iothread"); v != lua.LNil {
		var err error
		if s.IOThread, err = onOrOff(who+": iothread", v); err != nil {
			return err
		}
	}
	if v := t.RawGetString("obuckets"); v != lua.LNil {
		n, ok := whole(v)
		if !ok || n < 1 {
			return fmt.Errorf("ring_hash: option argument must be a positive integer")
		}
		s.OBuckets = int(n)
	}
	return placement(who, t, s)
}

// placement reads how keys are placed: the constants of memcached's proxy and ours, or their names: hash = mcp.hash_fnv1a_64 or
// "fnv1a_64".
func placement(who string, t *lua.LTable, s *PoolOptions) error {
	switch v := t.RawGetString("dist").(type) {
	case *lua.LNilType:
	case lua.LString:
		s.Dist = string(v)
		if name, ok := strings.CutSuffix(s.Dist, "_hash"); ok { // jump_hash and ring_hash, as the constants are called
			s.Dist = name
		}
	case *lua.LTable:
		var ok bool
		if s.Dist, ok = marker(v.RawGetString("new")); !ok {
			return fmt.Errorf("key distribution object missing 'new' function")
		}
	case *lua.LUserData:
		if name, _ := marker(v); name != "murmur3" {
			return fmt.Errorf("%s: dist: want a distribution such as mcp.dist_jump_hash, got %s", who, v.Type())
		}
		s.Dist, s.Hash = "modula", "murmur3_seed0" // what memcached 1.6.13 did without a dist
	default:
		return fmt.Errorf("%s: dist: want a distribution such as mcp.dist_jump_hash, got %s", who, v.Type())
	}
	switch v := t.RawGetString("hash").(type) {
	case *lua.LNilType:
	case lua.LString:
		s.Hash = string(v)
	default:
		var ok bool
		if s.Hash, ok = marker(v); !ok {
			return fmt.Errorf("%s: hash: want a hash such as mcp.hash_xxhash, got %s", who, v.Type())
		}
	}
	return nil
}

// backendPlacement reads what mcp.backend{...} says of the keys that a backend gets.
func backendPlacement(t *lua.LTable, s *BackendSpec) error {
	switch v := t.RawGetString("weight").(type) {
	case *lua.LNilType:
	case lua.LNumber:
		s.Weight, s.Drained = float64(v), v == 0
		if !(s.Weight >= 0) || math.IsInf(s.Weight, 1) {
			return fmt.Errorf("mcp.backend: weight: want a number from 0 on, got %v", s.Weight)
		}
	default:
		return fmt.Errorf("mcp.backend: weight: want a number, got %s", v.Type())
	}
	switch v := t.RawGetString("hash_name").(type) {
	case *lua.LNilType:
	case lua.LString:
		if s.HashName = string(v); v == "" {
			return fmt.Errorf("mcp.backend: hash_name: it is empty")
		}
	default:
		return fmt.Errorf("mcp.backend: hash_name: want a string, got %s", v.Type())
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
