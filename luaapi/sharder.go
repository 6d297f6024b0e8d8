// Sharders: which of several names a key belongs to, by what places keys in pools.

package luaapi

import (
	"errors"
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// sharder places keys on names. It is immutable.
type sharder struct{ pool *pools.Pool }

var sharderFuncs = []Func{
	{"sharder_new", StageRoutes, "names, opts?", "sharder",
		"An object that is called with a request, or a key, and gives the place in the list of the name that the key belongs to. opts: weights, a list; dist, hash, seed, salt, filter, filter_conf, hash_tag, omode and obuckets as of mcp.pool. Tidepool's own.", newSharder},
}

// shardOptions are those of mcp.pool that say where keys go, and weights.
var shardOptions = map[string]bool{
	"weights": true, "dist": true, "hash": true, "seed": true, "salt": true, "filter": true, "filter_conf": true, "hash_tag": true, "omode": true, "obuckets": true,
}

// newSharder is mcp.sharder_new(names, opts).
func newSharder(a *API, L *lua.LState) int {
	list := L.CheckTable(1)
	var members []pools.Member
	for i := 1; i <= list.Len(); i++ {
		name, ok := list.RawGetInt(i).(lua.LString)
		if !ok || name == "" {
			return raise(L, fmt.Sprintf("mcp.sharder_new: names[%d]: want a name, got %s", i, list.RawGetInt(i).Type()))
		}
		members = append(members, pools.Member{Backend: shard(name), Host: string(name)})
	}
	if len(members) == 0 {
		return raise(L, "mcp.sharder_new: want names, got none")
	}
	var spec PoolOptions
	if opts, ok := L.Get(2).(*lua.LTable); ok {
		if err := sharding(opts, &spec, members); err != nil {
			return raise(L, "mcp.sharder_new: "+err.Error())
		}
	}
	p, err := pools.New(pools.Options{
		Name: "shards", Dist: pools.Dist(spec.Dist), Hash: pools.Hash(spec.Hash), Seed: spec.Seed, Salt: spec.Salt, HashTag: spec.HashTag,
		Filter: spec.Filter, FilterConf: spec.FilterConf, OMode: spec.OMode, OBuckets: spec.OBuckets,
	}, members)
	if err != nil {
		return raise(L, "mcp.sharder_new: "+err.Error())
	}
	ud := L.NewUserData()
	ud.Value, ud.Metatable = &sharder{p}, a.sharderMT
	L.Push(ud)
	return 1
}

// sharding reads the options of a sharder. The weights become the members'.
func sharding(opts *lua.LTable, spec *PoolOptions, members []pools.Member) (err error) {
	opts.ForEach(func(k, _ lua.LValue) {
		if !shardOptions[k.String()] && err == nil {
			err = fmt.Errorf("there is no option %q", k.String())
		}
	})
	if err != nil {
		return err
	}
	switch v := opts.RawGetString("weights").(type) {
	case *lua.LNilType:
	case *lua.LTable:
		if v.Len() != len(members) {
			return fmt.Errorf("weights: want %d, one for each name, got %d", len(members), v.Len())
		}
		for i := range members {
			w, ok := v.RawGetInt(i + 1).(lua.LNumber)
			if !ok || !(w >= 0) || math.IsInf(float64(w), 1) {
				return fmt.Errorf("weights[%d]: want a number from 0 on, got %s", i+1, v.RawGetInt(i+1).String())
			}
			members[i].Weight, members[i].Drained = float64(w), w == 0
		}
	default:
		return fmt.Errorf("weights: want a list of numbers, got %s", v.Type())
	}
	return poolOptions("mcp.pool", opts, spec)
}

// callSharder is the call of a sharder.
func callSharder(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	s, _ := ud.Value.(*sharder)
	var key []byte
	if text, ok := L.Get(2).(lua.LString); ok {
		key = []byte(text)
	} else {
		key = checkRequest(L, 2, "sharder").r.Key
	}
	a.charge(L, 1, len(key), bytesPerStep)
	i, _ := s.pool.Pick(key)
	return number(L, i+1)
}

// shard stands for a name in a sharder's pool, which is asked where keys go and is never sent anything.
type shard string

func (s shard) Send(_ *mc.Request, p *backend.Pending) { backend.Refuse(p, errShard) }
func (s shard) Name() string                           { return string(s) }
func (s shard) Status() backend.Status                 { return backend.Status{Name: string(s)} }
func (s shard) Close() error                           { return nil }

var errShard = errors.New("a shard is only a name")
