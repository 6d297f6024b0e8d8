// The native router: a map from key prefix to route. It stands in for a Lua pattern, which costs ten times as much.

package luaapi

import (
	"bytes"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Router finds a request's route by the prefix of its key and by its command. It may be used by any number of requests at once.
type Router struct {
	start, stop []byte
	anchor      bool            // the key must begin with start
	class       func(byte) bool // what the prefix consists of; nil = anything
	classed     string          // class as scripts write it
	trim        bool            // cut start, prefix and stop off the key, and put them back in the answer
	prefixes    map[string]*entry
	cmds        *entry // cmap
	fallback    *Route
	uses        int // commands that have it
	tally       *tally
}

// entry is a route for all commands, or one for each.
type entry struct {
	all *Route
	cmd [mc.CmdEndStorage]*Route
}

func (e *entry) route(cmd mc.Cmd) *Route {
	if e == nil {
		return nil
	}
	if int(cmd) < len(e.cmd) && e.cmd[cmd] != nil {
		return e.cmd[cmd]
	}
	return e.all
}

// Find gives the route for a command on a key and how many bytes of the key it cuts off; nil without one.
func (r *Router) Find(cmd mc.Cmd, key []byte) (route *Route, trim int) {
	if r.prefixes != nil {
		if from, to, ok := r.prefix(key); ok {
			route = r.prefixes[string(key[from:to])].route(cmd)
			if r.trim {
				trim = to + len(r.stop)
			}
		}
		if route != nil {
			return route, trim
		}
	}
	if route = r.cmds.route(cmd); route == nil {
		route = r.fallback
	}
	return route, trim // a prefix that nobody claimed is cut for the default route too, as simple.lua has always done
}

// prefix gives the bounds of key's prefix.
func (r *Router) prefix(key []byte) (from, to int, ok bool) {
	if r.anchor {
		if !bytes.HasPrefix(key, r.start) {
			return 0, 0, false
		}
		from = len(r.start)
	}
	n := bytes.Index(key[from:], r.stop)
	if n < 0 {
		return 0, 0, false
	}
	to = from + n
	if r.class != nil {
		if n == 0 {
			return 0, 0, false
		}
		for _, c := range key[from:to] {
			if !r.class(c) {
				return 0, 0, false
			}
		}
	}
	return from, to, true
}

// Routes calls f for every route that the router can choose.
func (r *Router) Routes(f func(*Route)) {
	each := func(e *entry) {
		if e == nil {
			return
		}
		for _, route := range append(e.cmd[:], e.all) {
			if route != nil {
				f(route)
			}
		}
	}
	for _, e := range r.prefixes {
		each(e)
	}
	each(r.cmds)
	if r.fallback != nil {
		f(r.fallback)
	}
}

// routerNew is mcp.router_new.
func routerNew(a *API, L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		return raise(L, "Must pass a table of arguments to mcp.router_new")
	}
	r, err := a.router(t)
	if err != nil {
		return raise(L, err.Error())
	}
	r.tally = tallied(a, r, "mcp_router")
	r.tally.add(1, 0)
	ud := L.NewUserData()
	ud.Value, ud.Metatable = r, a.routerMT
	L.Push(ud)
	return 1
}

func (a *API) router(t *lua.LTable) (*Router, error) {
	r := &Router{start: []byte("/"), stop: []byte("/"), trim: lua.LVAsBool(t.RawGetString("trim"))}
	pmap, cmap := t.RawGetString("map"), t.RawGetString("cmap")
	if pmap == lua.LNil && cmap == lua.LNil {
		return nil, fmt.Errorf("Must pass map and/or cmap to mcp.router_new")
	}
	if err := r.delimiters(t); err != nil {
		return nil, err
	}
	var err error
	if pmap != lua.LNil {
		m, ok := pmap.(*lua.LTable)
		if !ok {
			return nil, fmt.Errorf("Must pass a table to map argument of router_new")
		}
		if r.prefixes, err = a.prefixMap(m); err != nil {
			return nil, err
		}
	}
	if cmap != lua.LNil {
		m, ok := cmap.(*lua.LTable)
		if !ok {
			return nil, fmt.Errorf("Must pass a table to cmap argument of mcp.router_new")
		}
		if r.cmds, err = a.cmdMap(m); err != nil {
			return nil, err
		}
	}
	if v := t.RawGetString("default"); v != lua.LNil {
		if r.fallback, err = a.leafRoute(v); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// delimiters reads mode, start, stop and class.
func (r *Router) delimiters(t *lua.LTable) error {
	given := map[string]bool{}
	for name, field := range map[string]*[]byte{"start": &r.start, "stop": &r.stop} {
		switch v := t.RawGetString(name).(type) {
		case *lua.LNilType:
		case lua.LString:
			if len(v) == 0 {
				return fmt.Errorf("must pass a non-zero length string to %s in mcp.router_new", name)
			}
			if len(v) > 5 && t.RawGetString("class") == lua.LNil {
				return fmt.Errorf("%s is too long in mcp.router_new", name)
			}
			*field, given[name] = []byte(v), true
		default:
			return fmt.Errorf("must pass a string to %s in mcp.router_new", name)
		}
	}
	switch v := t.RawGetString("mode"); v.String() {
	case "nil", "prefix":
	case "anchor":
		r.anchor = true
		if given["start"] != given["stop"] {
			return fmt.Errorf("must specify start and stop if mode is anchor in mcp.router_new")
		}
	default:
		return fmt.Errorf("unknown type passed to mcp.router_new")
	}
	if v := t.RawGetString("class"); v != lua.LNil {
		r.classed = v.String()
		if r.class = classes[r.classed]; r.class == nil {
			return fmt.Errorf("class: want one of %%a %%d %%l %%u %%w %%x in mcp.router_new, got %q", r.classed)
		}
	}
	return nil
}

// classes are the character classes of Lua patterns, in the C locale.
var classes = map[string]func(byte) bool{
	"%a": isAlpha, "%d": isDigit, "%l": isLower, "%u": isUpper,
	"%w": func(c byte) bool { return isAlpha(c) || isDigit(c) },
	"%x": func(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' },
}

func isAlpha(c byte) bool { return isLower(c) || isUpper(c) }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

func (a *API) prefixMap(t *lua.LTable) (map[string]*entry, error) {
	m := map[string]*entry{}
	var err error
	t.ForEach(func(k, v lua.LValue) {
		if err != nil {
			return
		}
		key, ok := k.(lua.LString)
		if !ok {
			err = fmt.Errorf("unhandled data in router_new map")
			return
		}
		if cmds, ok := v.(*lua.LTable); ok {
			m[string(key)], err = a.cmdMap(cmds)
			return
		}
		var route *Route
		if route, err = a.leafRoute(v); err == nil {
			m[string(key)] = &entry{all: route}
		}
	})
	return m, err
}

func (a *API) cmdMap(t *lua.LTable) (*entry, error) {
	e := &entry{}
	var err error
	t.ForEach(func(k, v lua.LValue) {
		if err != nil {
			return
		}
		n, ok := k.(lua.LNumber)
		if !ok || n != lua.LNumber(int(n)) {
			err = fmt.Errorf("Non integer key in router command map in router_new")
			return
		}
		var route *Route
		if route, err = a.leafRoute(v); err != nil {
			return
		}
		switch cmd := int(n); {
		case cmd == int(mc.CmdAnyStorage):
			e.all = route
		case cmd >= 1 && cmd < int(mc.CmdEndStorage):
			e.cmd[cmd] = route
		default:
			err = fmt.Errorf("Bad command in router command map in router_new")
		}
	})
	return e, err
}

// leafRoute is a route inside a router: a function or a pool, no further router.
func (a *API) leafRoute(v lua.LValue) (*Route, error) {
	r, err := a.toRoute(v)
	if err != nil || r.Router != nil {
		return nil, fmt.Errorf("unhandled data in router_new map")
	}
	r.use()
	return r, nil
}
