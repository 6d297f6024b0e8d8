// What is attached to commands: Lua functions, pools, and the native router.

package luaapi

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Route is what decides about a request. Exactly one of Gen, Pool and Router is set. It is immutable.
type Route struct {
	Name   string   // for metrics: the pool's name, file:line of a function, a generator's name, or "router"
	Gen    *Funcgen // of the worker that attached it
	Pool   Target
	Router *Router

	Latency *stat.Histogram // set by the engine when the route is attached; nil for a router
}

var routeFuncs = []Func{
	{"attach", StageRoutes, "cmd, route, tag?", "", "Attaches a route (function, function generator, pool or router) to a command, CMD_ANY_STORAGE or CMD_ANY.", attach},
	{"router_new", StageRoutes, "{map=, cmap=, mode=, start=, stop=, default=, class=, trim=}", "router",
		"A native router by key prefix and command. class and trim are Tidepool's own: what the prefix may consist of, and whether it is cut off the key.", routerNew},
	{"stat", StageRoutes, "index, change", "", "Adds change to the user counter index.", addToStat},
}

// attach is mcp.attach.
func attach(a *API, L *lua.LState) int {
	cmd := int(intArg(L, 1))
	route, err := a.toRoute(L.Get(2))
	switch {
	case errors.Is(err, errReplaced):
		return raise(L, "mcp.attach: cannot use a previously replaced function")
	case err != nil:
		return raise(L, "mcp.attach: must pass a function")
	}
	tag := ""
	if v := L.Get(3); v != lua.LNil {
		tag = L.CheckString(3)
		if len(tag) < 1 || len(tag) > 8 {
			return raise(L, "mcp.attach: tag must be 1 to 8 characters")
		}
	}
	from, to := mc.Cmd(cmd), mc.Cmd(cmd)
	switch {
	case cmd == int(mc.CmdAny):
		from, to = 1, mc.NumCmds-1
	case cmd == int(mc.CmdAnyStorage):
		from, to = 1, mc.CmdEndStorage-1
	case cmd < 1 || cmd >= int(mc.NumCmds):
		return raise(L, fmt.Sprintf("mcp.attach: no command has the number %d", cmd))
	}
	for c := from; c <= to; c++ {
		if c == mc.CmdMN || c == mc.CmdEndStorage {
			continue // mn is answered by the proxy itself: it separates pipelined answers
		}
		old := a.o.Worker.Attach(c, tag, route)
		route.use()
		if old != nil {
			old.unuse()
		}
	}
	return 0
}

// use notes that a command has the route; unuse, that it has it no more.
func (r *Route) use() {
	switch {
	case r.Gen != nil:
		r.Gen.use()
	case r.Router != nil:
		r.Router.uses++
	}
}

func (r *Route) unuse() {
	switch {
	case r.Gen != nil:
		r.Gen.unuse()
	case r.Router != nil:
		if r.Router.uses--; r.Router.uses == 0 {
			r.Router.tally.none()
			r.Router.Routes((*Route).unuse)
		}
	}
}

var errReplaced = errors.New("a previously replaced function")

// toRoute makes a route of a function, a function generator, a pool or a router.
func (a *API) toRoute(v lua.LValue) (*Route, error) {
	switch v := v.(type) {
	case *lua.LFunction:
		return a.plainRoute(v), nil
	case *lua.LUserData:
		switch x := v.Value.(type) {
		case Target:
			return &Route{Name: x.Name(), Pool: x}, nil
		case *Router:
			return &Route{Name: "router", Router: x}, nil
		case *Funcgen:
			if x.replaced {
				return nil, errReplaced
			}
			return &Route{Name: x.name, Gen: x}, nil // of one that gets its name later the route has none
		}
	}
	return nil, fmt.Errorf("want a function, a pool or a router, got %s", v.Type())
}

// plainRoute makes a route of a function that needs no generator.
func (a *API) plainRoute(fn *lua.LFunction) *Route {
	g := a.plainFunc(fn)
	return &Route{Name: g.name, Gen: g}
}

func addToStat(a *API, L *lua.LState) int {
	if err := a.o.Worker.Stat(int(intArg(L, 1)), intArg(L, 2)); err != nil {
		return raise(L, err.Error())
	}
	return 0
}
