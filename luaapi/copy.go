// The copy of what mcp_config_pools returned, from the configuration state into a worker.

package luaapi

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

const (
	maxDepth  = 100       // how deep a configuration table may nest
	maxCopied = 1_000_000 // values that it may hold: a table that is referred to twice is copied twice, and so on
)

// Copy makes v, a value of another state, one of a's. Tables are copied, pools, rate limiters and counters are shared; both states' locks must be held.
func (a *API) Copy(v lua.LValue) (lua.LValue, error) {
	c := copier{API: a}
	return c.copy(v, 0)
}

// copier is one Copy under way.
type copier struct {
	*API
	n int // values copied
}

func (a *copier) copy(v lua.LValue, depth int) (lua.LValue, error) {
	if depth > maxDepth {
		return nil, errors.New("configuration error: table recursion too deep")
	}
	if a.n++; a.n > maxCopied {
		return nil, fmt.Errorf("configuration table too large (limit is %d values)", maxCopied)
	}
	switch v := v.(type) {
	case *lua.LNilType, lua.LBool, lua.LNumber, lua.LString:
		return v, nil
	case *lua.LUserData:
		if p, ok := toTarget(v); ok {
			return a.pool(p), nil
		}
		if l, ok := v.Value.(*limiter); ok {
			return a.limiter(l), nil
		}
		if c, ok := v.Value.(*stat.Counter); ok {
			return a.counter(c), nil
		}
		return nil, errors.New("unhandled userdata type in configuration table")
	case *lua.LTable:
		return a.copyTable(v, depth)
	}
	return nil, errors.New("unhandled data type in configuration table")
}

func (a *copier) copyTable(from *lua.LTable, depth int) (lua.LValue, error) {
	to := a.st.L.CreateTable(from.Len(), 0)
	var err error
	from.ForEach(func(k, v lua.LValue) {
		if err != nil {
			return
		}
		switch k.(type) {
		case lua.LString, lua.LNumber:
		default:
			err = errors.New("configuration table keys must be strings or numbers")
			return
		}
		var c lua.LValue
		if c, err = a.copy(v, depth+1); err == nil {
			to.RawSet(k, c)
		}
	})
	return to, err
}
