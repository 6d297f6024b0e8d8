// Function generators: who makes the functions that serve requests, one for each request that is under way at once.

package luaapi

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Funcgen makes functions and keeps those that serve nothing. It belongs to one worker; its lock guards it.
type Funcgen struct {
	api      *API
	name     string
	made     string         // where in the user's files
	plain    *lua.LFunction // attached as it is, without a generator
	generate *lua.LFunction
	arg      lua.LValue
	targets  []target
	objects  int // request_new and response_new of one slot at most
	ready    bool
	ranked   bool // results have the class of their rank, and strings are responses
	replaced bool
	uses     int // commands and handles that have it
	tally    *tally

	free     *Call // last used first
	idle     int64 // in free
	pressure int   // slots that came back while there were too many
	since    int64 // when that was first noticed, by backend.Now
}

// target is what is behind a handle: exactly one is set.
type target struct {
	pool     Target
	gen      *Funcgen
	internal bool
}

const (
	anonymous   = "anonymous"
	maxFuncName = 80
	maxObjects  = 255
)

// errNotFunction is what a generator's mistake is called, errNotReady what a request is told that comes to one before ready.
var (
	errNotFunction = errors.New("function generator didn't return a function")
	errNotReady    = errors.New("the function generator is not ready: fgen:ready has not been called")
)

// plainFunc makes a Funcgen of a function that is attached as it is.
func (a *API) plainFunc(fn *lua.LFunction) *Funcgen {
	g := &Funcgen{api: a, name: anonymous, plain: fn, ready: true}
	if !fn.IsG {
		g.name = fmt.Sprintf("%s:%d", fn.Proto.SourceName, fn.Proto.LineDefined)
	}
	g.tally = tallied(a, g, anonymous)
	return g
}

// fill makes a slot's function and its handles.
func (g *Funcgen) fill(c *Call) error {
	c.rctx = g.api.st.L.NewUserData()
	c.rctx.Value, c.rctx.Metatable = c, g.api.rctxMT
	c.handles = make([]handle, len(g.targets))
	for i, t := range g.targets {
		h := &c.handles[i]
		h.target = t
		if t.gen == nil {
			continue
		}
		var err error
		if h.sub, err = t.gen.take(c, i); err != nil {
			return err
		}
	}
	args := []lua.LValue{c.rctx}
	if g.arg != lua.LNil {
		args = append(args, g.arg)
	}
	vs, err := g.api.st.Invoke(g.generate, args...)
	if err != nil {
		return err
	}
	if len(vs) > 0 {
		c.fn, _ = vs[0].(*lua.LFunction)
	}
	if c.fn == nil {
		return errNotFunction
	}
	return nil
}

// use notes that a command or a handle has g; unuse, that it has it no more. What nobody has any more is replaced: it cannot be
// used again.
func (g *Funcgen) use() {
	if g.uses++; g.uses == 1 && g.plain != nil {
		g.tally.add(1, 0)
	}
}

func (g *Funcgen) unuse() {
	if g.uses--; g.uses > 0 {
		return
	}
	g.replaced = true
	if g.tally != nil {
		g.tally.none()
	}
	for _, t := range g.targets {
		if t.gen != nil {
			t.gen.unuse()
		}
	}
}

var funcgenFuncs = []Func{
	{"funcgen_new", StageRoutes, "", "funcgen", "A function generator: it gets handles to pools and other generators, and then makes the functions that serve requests. It can be attached, and be behind a handle, before it is ready; a request that comes to it sooner is answered SERVER_ERROR lua start failure.", funcgenNew},
}

var funcgenMethods = []Method{
	{"new_handle", "target", "handle", "A handle to a pool, another function generator or mcp.internal_handler: 0, 1, 2 ...", newHandle},
	{"ready", "{f=, a=, n=, u=, ranked=}", "", "Ends the making: f(rctx, a) makes a function for each request under way at once; n is a name for stats, u how many objects a slot may make. ranked = true, Tidepool's own: the class of a result, for waits too, is that of its rank: RES_GOOD for 4, RES_OK for 3; and where a function behind a handle returns a string, the result is a response.", funcgenReady},
	{"made_at", "where", "", "Says where the generator stands in the user's files, file:line, for who makes generators for others: `tidepool explain` shows it. Tidepool's own.", madeAt},
}

func funcgenNew(a *API, L *lua.LState) int {
	ud := L.NewUserData()
	ud.Value, ud.Metatable = &Funcgen{api: a, name: anonymous, made: caller(L), arg: lua.LNil}, a.funcgenMT
	L.Push(ud)
	return 1
}

func selfFuncgen(L *lua.LState) *Funcgen {
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if g, ok := ud.Value.(*Funcgen); ok {
			return g
		}
	}
	L.RaiseError("want a function generator, got %s", L.Get(1).Type())
	return nil
}

func newHandle(a *API, L *lua.LState) int {
	g := selfFuncgen(L)
	if g.ready {
		return raise(L, "cannot modify function generator after calling ready")
	}
	t := target{}
	if ud, ok := L.Get(2).(*lua.LUserData); ok {
		switch v := ud.Value.(type) {
		case Target:
			t.pool = v
		case *Funcgen:
			if v.replaced {
				return raise(L, "cannot use a replaced function in new_handle")
			}
			v.use()
			t.gen = v
		case *Router:
			return raise(L, "cannot assign a router to a handle in new_handle")
		case internalHandler:
			t.internal = true
		}
	}
	if t == (target{}) {
		return raise(L, "invalid argument to new_handle")
	}
	g.targets = append(g.targets, t)
	return number(L, len(g.targets)-1)
}

func funcgenReady(a *API, L *lua.LState) int {
	g := selfFuncgen(L)
	if g.ready {
		return raise(L, "cannot modify function generator after calling ready")
	}
	t := L.CheckTable(2)
	f, ok := t.RawGetString("f").(*lua.LFunction)
	if !ok {
		return raise(L, "Must specify generator function ('f') to fgen:ready")
	}
	for _, t := range g.targets {
		if t.gen != nil && !t.gen.ready { // g itself may be one
			return raise(L, "failed to generate request slot during queue_assign()")
		}
	}
	g.generate, g.arg = f, t.RawGetString("a")
	if v, ok := t.RawGetString("n").(lua.LString); ok { // what is no string is no name, nor an error
		g.name = string(v[:min(len(v), maxFuncName)])
	}
	if v, ok := t.RawGetString("u").(lua.LNumber); ok {
		if v < 1 || v > maxObjects {
			return raise(L, "user obj ('u') in fgen:ready must be between 1 and 255")
		}
		g.objects = int(v)
	}
	g.ranked = lua.LVAsBool(t.RawGetString("ranked"))
	g.tally = tallied(a, g, g.name)
	g.ready = true
	c, err := g.make(nil, 0)
	if err != nil {
		g.ready = false
		return raise(L, err.Error())
	}
	g.put(c)
	g.tally.add(1, 0)
	return 0
}

// madeAt is fgen:made_at. A place in a user's file that is known already is the better one.
func madeAt(a *API, L *lua.LState) int {
	if g := selfFuncgen(L); g.made == "" || strings.HasPrefix(g.made, "[") {
		g.made = L.CheckString(2)
	}
	return 0
}

// internalHandler is mcp.internal_handler: the proxy's own store as the target of a handle.
type internalHandler struct{}
