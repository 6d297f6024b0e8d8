// Describe: what routes are made of, as people want to see it.

package luaapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Node is a route, or what is behind a handle of one.
type Node struct {
	Kind    string  `json:"kind"`           // "pool", "function", "generator", "router" or "internal", which is the proxy's own store
	Name    string  `json:"name,omitempty"` // the pool's, the generator's
	Where   string  `json:"where,omitempty"`
	Handles []*Node `json:"handles,omitempty"` // by number
}

// String is the node alone.
func (n *Node) String() string {
	switch {
	case n == nil:
		return "nothing"
	case n.Kind == "pool":
		return "pool " + n.Name
	case n.Kind == "internal":
		return "the proxy's own store"
	case n.Name == "" || n.Name == n.Where:
		return strings.TrimSpace(n.Kind + " " + n.Where)
	case n.Where == "":
		return n.Kind + " " + n.Name
	}
	return fmt.Sprintf("%s %s (%s)", n.Kind, n.Name, n.Where)
}

// Node describes the route. It wants the lock of the worker that attached it, if it is not a pool.
func (r *Route) Node() *Node {
	switch {
	case r == nil:
		return nil
	case r.Pool != nil:
		return &Node{Kind: "pool", Name: r.Pool.Name()}
	case r.Gen != nil:
		return r.Gen.node()
	}
	return &Node{Kind: "router", Name: r.Router.Shape()}
}

func (g *Funcgen) node() *Node {
	if g.plain != nil {
		return &Node{Kind: "function", Name: g.name, Where: place(g.plain)}
	}
	n := &Node{Kind: "generator", Name: g.name, Where: g.made}
	if !g.ready { // generators that are not may be behind each other's handles
		return n
	}
	for _, t := range g.targets {
		switch {
		case t.pool != nil:
			n.Handles = append(n.Handles, &Node{Kind: "pool", Name: t.pool.Name()})
		case t.gen != nil:
			n.Handles = append(n.Handles, t.gen.node())
		default:
			n.Handles = append(n.Handles, &Node{Kind: "internal"})
		}
	}
	return n
}

func place(fn *lua.LFunction) string {
	if fn.IsG {
		return ""
	}
	return fmt.Sprintf("%s:%d", fn.Proto.SourceName, fn.Proto.LineDefined)
}

// maxFrames is how far up the stack a user's file is looked for.
const maxFrames = 32

// caller is the place in the user's files that the running Go function was called from, however many of our own files lie between; in
// ours if there is none.
func caller(L *lua.LState) (where string) {
	for i := 1; i < maxFrames; i++ {
		dbg, ok := L.GetStack(i)
		if !ok {
			break
		}
		if _, err := L.GetInfo("Sl", dbg, lua.LNil); err != nil || dbg.CurrentLine <= 0 {
			continue
		}
		at := fmt.Sprintf("%s:%d", dbg.Source, dbg.CurrentLine)
		if !strings.HasPrefix(at, "[") {
			return at
		}
		if where == "" {
			where = at
		}
	}
	return where
}

// Path leads from the route that serves a client's request to the function that c runs: which handle of each is taken. Empty: c runs the route.
func (c *Call) Path() []int {
	if c.parent == nil {
		return nil
	}
	return append(c.parent.Path(), c.at)
}

// Shape tells what a router does beyond choosing.
func (r *Router) Shape() string {
	s := fmt.Sprintf("prefix ends at %q", r.stop)
	if r.anchor {
		s = fmt.Sprintf("prefix from %q to %q", r.start, r.stop)
	}
	switch {
	case r.prefixes == nil:
		return "by command"
	case r.classed != "":
		s += " of " + r.classed
	}
	if r.trim {
		s += ", cut off"
	}
	return s
}

// Prefixes are those that the router knows, in order.
func (r *Router) Prefixes() []string { return slices.Sorted(maps.Keys(r.prefixes)) }

// Key is a key of which Find takes prefix for its prefix.
func (r *Router) Key(prefix, rest string) string {
	if r.anchor {
		return string(r.start) + prefix + string(r.stop) + rest
	}
	return prefix + string(r.stop) + rest
}

// Behind gives the route for a command on keys with a prefix that the router knows.
func (r *Router) Behind(cmd mc.Cmd, prefix string) *Route {
	if route := r.prefixes[prefix].route(cmd); route != nil {
		return route
	}
	return r.Otherwise(cmd)
}

// Otherwise gives the route for a command on all other keys; nil if there is none.
func (r *Router) Otherwise(cmd mc.Cmd) *Route {
	if route := r.cmds.route(cmd); route != nil {
		return route
	}
	return r.fallback
}
