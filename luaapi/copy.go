// The copy of what mcp_config_pools returned, from the configuration state into a worker.

package luaapi

import (
	"errors"

	lua "github.com/yuin/gopher-lua"
)

// maxDepth bounds how deep a configuration table may nest.
const maxDepth = 100

// Copy makes v, a value of another state, one of a's. Tables are copied, pools are shared; both states' locks must be held.
func (a *API) Copy(v lua.LValue) (lua.LValue, error) { return a.copy(v, 0) }

func (a *API) copy(v lua.LValue, depth int) (lua.LValue, error) {
	if depth > maxDepth {
		return nil, errors.New("configuration error: table recursion too deep")
	}
	switch v := v.(type) {
	case *lua.LNilType, lua.LBool, lua.LNumber, lua.LString:
		return v, nil
	case *lua.LUserData:
		if p, ok := toTarget(v); ok {
			return a.pool(p), nil
		}
		return nil, errors.New("unhandled userdata type in configuration table")
	case *lua.LTable:
		return a.copyTable(v, depth)
	}
	return nil, errors.New("unhandled data type in configuration table")
}

func (a *API) copyTable(from *lua.LTable, depth int) (lua.LValue, error) {
	to := a.st.L.NewTable()
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
